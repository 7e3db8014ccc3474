"""Videos of kth-mini as scenes: people who cross the view or act in place, and the camera."""

import copy
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from vidlib.data.kth import ACTIONS
from vidlib.rendered.kth import body
from vidlib.rendered.scene import Scene, smooth, track

ASPECT = 4 / 3
FPS = 25
ZOOM = (0.8, 1.2)  # of scenario d2
CYCLES = {"boxing": 1.15, "handclapping": 1.3, "handwaving": 0.62}  # per second


class Film(NamedTuple):
    """All frames of a video.

    scene: joints in all frames, also between the sequences. zoom: (T,), the camera's magnification
    about the middle of the frame. ranges: first frame of each sequence, and the one after its last.
    """

    scene: Scene
    zoom: np.ndarray
    ranges: list[tuple[int, int]]

    def sequences(self) -> list[Scene]:
        """Return the scene of each sequence; its event lasts while a person is in view."""
        scenes = [self.scene.take(np.arange(*ends)) for ends in self.ranges]
        for scene in scenes:
            there = np.flatnonzero(in_view(scene).max(axis=0))
            scene.event = (int(there[0]), int(there[-1]) + 1)
        return scenes


def in_view(scene: Scene) -> np.ndarray:
    """Tell which joints are in the picture in which frames: (joints, T) bool."""
    return np.stack([scene.in_view(one) for one in scene.tracks])


def _drift(rng: np.random.Generator, frames: int, every: int, amplitude: float) -> np.ndarray:
    """Return slow random motion about 0, (frames,), which turns about every `every` frames."""
    knots = amplitude * rng.standard_normal(frames // every + 3)
    at = np.arange(frames) / every
    k = at.astype(int)
    return knots[k] + smooth(at - k) * (knots[k + 1] - knots[k])


def _crossings(person: body.Subject, action: str, height: float, rng, sequences: int) -> tuple:
    """Return the pose of a person who crosses the view to and fro, and the end of each crossing.

    The pose also has "x", of the hip in frame heights, "facing", 1 or -1, and "phase".
    """
    left_first, parts = rng.random() < 0.5, []
    for k in range(sequences):
        gait = copy.copy(body.GAITS[action])
        vars(gait).update(
            speed=gait.speed * person.pace * rng.uniform(0.97, 1.03),
            cadence=gait.cadence * person.tempo * rng.uniform(0.985, 1.015),
            swing=gait.swing * person.style,
            elbow=gait.elbow + 30 * (person.style - 1) + rng.uniform(-2, 2),
            lean=gait.lean + 8 * (person.style - 1) + rng.uniform(-0.4, 0.4),
        )
        step = gait.speed * height / FPS
        way = ASPECT / 2 / ZOOM[0] + 0.5 * height + step * rng.integers(2, 12)
        frames = np.arange(int(2 * way / step))
        phase = (rng.random() + gait.cadence / 2 / FPS * frames) % 1
        facing = 1 if (k % 2 == 0) == left_first else -1
        x = ASPECT / 2 + facing * (step * frames - way)
        pose = body.gait_pose(person, gait, phase)
        parts.append({**pose, "x": x, "facing": np.full(len(x), facing), "phase": phase})
    stops = np.cumsum([len(part["x"]) for part in parts])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, stops


def _in_place(person: body.Subject, action: str, rng, sequences: int) -> tuple:
    """Return the same as `_crossings` for a person who stays in one place."""
    stops = np.cumsum(rng.integers(60, 121, sequences))
    frames = int(stops[-1])
    tempo = person.tempo * rng.uniform(0.9, 1.1) * (1 + _drift(rng, frames, 12, 0.07))
    phase = (rng.random() + np.cumsum(CYCLES[action] / FPS * tempo)) % 1
    size = person.style * rng.uniform(0.97, 1.03)
    if action == "boxing":
        pose, facing = body.boxing_pose(person, size, phase), rng.choice([1, -1])
    else:
        pose, facing = body.front_pose(person, action, size, phase), 1
    x = np.full(frames, ASPECT / 2 + rng.uniform(-0.12, 0.12))
    pose |= {"x": x, "facing": np.full(frames, facing), "phase": phase}
    return pose, stops


def _cut(there: np.ndarray, whole: np.ndarray, rng) -> tuple[int, int]:
    """Return the first frame of the sequence to cut from a crossing, and the one after its last.

    there, whole: (T,) bool, whether any or all of the person is in view. On average, of seven
    sequences three begin and end with empty frames, three begin, end or both with the person partly
    in view, and one begins with the whole person in view.
    """
    come, gone = np.flatnonzero(there)[[0, -1]]
    first, last = np.flatnonzero(whole)[[0, -1]]
    start = rng.integers(come // 2, come)
    stop = rng.integers(gone + 2, gone + 2 + (len(there) - gone) // 2)
    partly = rng.choice(["", "", "", "begin", "end", "both", "whole"])
    if partly in ("begin", "both"):
        start = rng.integers(come, first)
    elif partly == "whole":
        start = rng.integers(first, first + (last - first) // 3 + 1)
    if partly in ("end", "both"):
        stop = rng.integers(last + 2, gone + 2)
    return int(start), int(stop)


def film(
    action: str, person: body.Subject, scenario: str, rng: np.random.Generator, sequences: int = 4
) -> Film:
    """Return a video of a person in a scenario, d1 to d4, with several sequences of an action.

    A person who walks, jogs or runs crosses the view once per sequence, to and fro, and is out of
    view in between. The camera is hand-held outdoors, and zooms in d2. Angles are the facing of the
    head (0 to the right, pi to the left, pi / 2 to the viewer) and the pitch of the feet.

    >>> from vidlib.rendered.kth.body import Subject
    >>> made = film("walking", Subject(1), "d1", np.random.default_rng(0), sequences=2)
    >>> len(made.ranges), len(made.scene) == len(made.zoom)
    (2, True)
    """
    size = person.height * {"d1": 1, "d2": 0.86, "d3": 1, "d4": 1.02}[scenario]
    if action in body.GAITS:
        pose, stops = _crossings(person, action, size, rng, sequences)
    else:
        size *= 0.9
        pose, stops = _in_place(person, action, rng, sequences)
    frames = len(pose["x"])
    zoom = np.ones(frames)
    if scenario == "d2":
        turn = 2 * np.pi * (np.arange(frames) / rng.uniform(120, 260) + rng.random())
        zoom = np.mean(ZOOM) + (ZOOM[1] - ZOOM[0]) / 2 * np.sin(turn)
    shake = {"d1": 0.006, "d2": 0.008, "d3": 0.006, "d4": 0.0004}[scenario]
    camera = np.stack([_drift(rng, frames, 9, shake) for _ in range(2)], axis=1)
    front = action in ("handclapping", "handwaving")
    facing = np.pi / 2 if front else np.where(pose["facing"] > 0, 0, np.pi)
    tracks = []
    for name in body.JOINTS:
        x = pose["x"] + pose["facing"] * size * pose[name][:, 0]
        y = body.GROUND - size * pose[name][:, 1]
        angle = facing if name == "head" else 0.0
        if name.endswith("foot"):
            angle = facing + pose["facing"] * np.radians(pose[name.replace("foot", "pitch")])
        part = name.split("_")[-1]
        thickness = size * body.THICKNESS[part] * (1 if name == "head" else person.width)
        x, y = ASPECT / 2 + zoom * (x - ASPECT / 2), 0.5 + zoom * (y - 0.5)
        tracks.append(track(name, "joint", frames, x, y, zoom * thickness, angle))
    scene = Scene(ACTIONS.index(action), tracks, camera, (0, frames), pose["phase"], ASPECT)
    ranges = list(pairwise([0, *stops.tolist()]))
    if action in body.GAITS:
        there, whole = in_view(scene).max(axis=0), in_view(scene).min(axis=0)
        scene.phase = np.where(there, scene.phase, np.nan)
        cuts = [_cut(there[a:b], whole[a:b], rng) for a, b in ranges]
        ranges = [(a + i, a + j) for (a, _), (i, j) in zip(ranges, cuts, strict=True)]
    return Film(scene, zoom, ranges)

"""Two small sets of clips in which a planted marker alone decides, and when and where is known.

"cue-marker": each clip shows one of four markers for a while; which one is the class. "cue-order":
each clip shows the same two markers one after the other; which comes first is the class. All else
(ground, camera, distractors, lengths, moments, places) is drawn before the class is looked at, so
that it cannot tell anything; all markers cover the same disc of pixels. A network trained on a set
can be asked by intervention what it relies on: `redraw` shows it the same clips without markers, or
with others.
"""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from vidlib.data.video import read_clip, write_webm
from vidlib.rendered.files import clip_rngs, entry, render_set, write_clip
from vidlib.rendered.observers import NOTHING, checked_orders
from vidlib.rendered.scene import Scene, Track, track
from vidlib.rendered.something.draw import Canvas, draw
from vidlib.rendered.something.looks import SPRITE, Look, dress, fill
from vidlib.rendered.something.shot import Shot
from vidlib.rendered.truth import InstanceMasks, Truth

MARKERS = {  # colours of similar luminance
    "red square": (216, 40, 40),
    "blue disc": (40, 80, 224),
    "green triangle": (0, 160, 60),
    "purple cross": (170, 30, 190),
}
ORDERED = ("red square", "blue disc")  # the two of cue-order; class 0 shows them in this order
KINDS = {  # the templates of the classes, numbered from 0
    "cue-marker": tuple(f"Showing [a {name}]" for name in MARKERS),
    "cue-order": tuple(
        f"Showing [a {one}] before [a {two}]" for one, two in (ORDERED, ORDERED[::-1])
    ),
}
INTERVENTIONS = ("nothing", "removed", "moved")
FRAMES = (24, 40)  # shortest and longest clip
ALONE, EACH = (0.15, 0.4), (0.15, 0.35)  # shares of a clip that a marker, and one of two, is shown


@dataclass(frozen=True)
class Showing:
    """When and where a marker is shown: first frame, the one after the last, centre, diameter."""

    start: int
    stop: int
    x: float
    y: float
    size: float

    def track(self, name: str, frames: int) -> Track:
        """Return the marker of that name as a track."""
        at = np.arange(frames)
        shown = (at >= self.start) & (at < self.stop)
        return track(name, "marker", frames, self.x, self.y, self.size, shown=shown)


def _showings(rng: np.random.Generator, frames: int, shares: list[tuple]) -> list[Showing]:
    """Draw disjoint showings, one after the other, of these (least, most) shares of the clip."""
    lengths = np.array([round(rng.uniform(*share) * frames) for share in shares])
    free = np.sort(rng.integers(0, frames - lengths.sum() + 1, len(lengths)))
    starts = free + lengths.cumsum() - lengths
    return [
        Showing(int(start), int(start + length), *rng.uniform(0.26, 0.74, 2).tolist(),
                float(rng.uniform(0.27, 0.3)))
        for start, length in zip(starts, lengths, strict=True)
    ]  # fmt: skip


def _with_markers(scene: Scene, label: int, markers: dict[str, Showing]) -> Scene:
    """Return the scene with these markers, in the order given, in place of those that it has."""
    others = [one for one in scene.tracks if one.role != "marker"]
    tracks = [showing.track(name, len(scene)) for name, showing in markers.items()]
    event = (min(s.start for s in markers.values()), max(s.stop for s in markers.values()))
    return replace(scene, label=label, tracks=[*others, *tracks], event=event)


def compose_cue(kind: str, label: int, rng: np.random.Generator) -> Scene:
    """Return a random scene of a class of "cue-marker" (0 to 3) or "cue-order" (0 or 1).

    From the same state of rng, scenes of all classes are the same but for which marker is shown
    when. The event is from the first frame with a marker to the last. Raises ValueError for other
    kinds and labels.
    """
    if kind not in KINDS or label not in range(len(KINDS[kind])):
        raise ValueError(f"no class {label} of {kind!r}: kinds are {', '.join(KINDS)}")
    frames = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    shot = Shot(rng, frames, 0.0, 1.0)
    shot.add_bystanders()
    shot.add_distractors()
    scene = Scene(label, shot.tracks, shot.camera((0, 0)), (0, frames))
    if kind == "cue-marker":
        names, showings = [list(MARKERS)[label]], _showings(rng, frames, [ALONE])
    else:  # the tracks stand in the same order in both classes
        names, showings = ORDERED, _showings(rng, frames, [EACH, EACH])[:: -1 if label else 1]
    return _with_markers(scene, label, dict(zip(names, showings, strict=True)))


def _markers(scene: Scene) -> list[Track]:
    return [one for one in scene.tracks if one.role == "marker"]


def _showing(one: Track) -> Showing:
    frames = np.flatnonzero(one.shown > 0)
    return Showing(int(frames[0]), int(frames[-1]) + 1, one.x[0], one.y[0], one.size[0])


def intervene(scene: Scene, what: str, rng: np.random.Generator) -> Scene:
    """Return a scene of a cue set changed in its markers alone.

    what: "nothing"; "removed", no marker is ever shown; "moved", in cue-marker the marker of
    another class at another time and place instead, in cue-order the two markers in each other's
    interval: the label is then the class that a network must name if it relies on the markers.
    Raises ValueError for others.
    """
    if what not in INTERVENTIONS:
        raise ValueError(f"no intervention {what!r}: there are {', '.join(INTERVENTIONS)}")
    if what == "nothing":
        return scene
    if what == "removed":
        tracks = [
            replace(t, shown=np.zeros(len(scene))) if t.role == "marker" else t
            for t in scene.tracks
        ]
        return replace(scene, tracks=tracks)
    markers = _markers(scene)
    if len(markers) == 2:
        one, two = map(_showing, markers)
        swapped = (
            replace(one, start=two.start, stop=two.stop),
            replace(two, start=one.start, stop=one.stop),
        )
        return _with_markers(scene, 1 - scene.label, dict(zip(ORDERED, swapped, strict=True)))
    was = _showing(markers[0])
    others = [label for label in range(len(MARKERS)) if label != scene.label]
    label = int(rng.choice(others))
    while True:
        (now,) = _showings(rng, len(scene), [ALONE])
        later = abs(now.start + now.stop - was.start - was.stop) / 2
        if later > 0.15 * len(scene) and np.hypot(now.x - was.x, now.y - was.y) > 0.25:
            return _with_markers(scene, label, {list(MARKERS)[label]: now})


def observe(scene: Scene, orders: np.ndarray | None = None) -> np.ndarray:
    """Return what an ideal observer of the markers says: (N,) int64 labels, -1 for none.

    orders: (N, T') int, the frames of the scene that are shown, in any order and with repeats (by
    default all, as they are: N is 1). In cue-order the marker that is seen first decides, and both
    have to be seen.
    """
    orders = checked_orders(scene, orders)
    markers = _markers(scene)
    seen = np.stack([one.shown[orders] > 0 for one in markers])  # (markers, N, T')
    all_seen = seen.any(2).all(0)
    if len(markers) == 1:
        label = np.full(len(orders), list(MARKERS).index(markers[0].name))
    else:
        first = seen.argmax(2)
        label = (first[1] < first[0]).astype(np.int64)
    return np.where(all_seen, label, NOTHING)


def marker_picture(name: str) -> np.ndarray:
    """Return a marker's sprite, (SPRITE, SPRITE, 4) float32, premultiplied RGBA.

    Colours are in [0, 255], alpha in [0, 1]. A white disc with a dark rim, the same for all, and on
    it a coloured shape of about the same area.
    """
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    disc = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    a, b = 0.26, 0.66
    shape = {
        "square": 0.74 * disc[6::12],
        "disc": 0.6 * disc,
        "triangle": 0.92 * disc[12::16] * (1, -1) + (0, 0.1),
        "cross": [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a),
                  (-b, a), (-b, -a), (-a, -a)],
    }[name.split()[1]]  # fmt: skip
    centre, radius = (SPRITE - 1) / 2, 0.48 * SPRITE
    alpha = np.zeros((SPRITE, SPRITE), np.uint8)
    picture = np.full((SPRITE, SPRITE, 3), 30, np.uint8)
    fill(alpha, centre + radius * disc, 255)
    fill(picture, centre + 0.9 * radius * disc, (250, 250, 250))
    fill(picture, centre + radius * np.asarray(shape), MARKERS[name])
    alpha = alpha.astype(np.float32)[..., None] / 255
    return np.concatenate([picture * alpha, alpha], axis=2)


def dress_cue(scene: Scene, rng: np.random.Generator, split: str, size: int) -> Look:
    """Choose the look of all but the markers of a scene, for frames of `size` pixels a side."""
    others = [one for one in scene.tracks if one.role != "marker"]
    return dress(replace(scene, tracks=others), rng, split, size)


def draw_cue(scene: Scene, look: Look, size: int) -> tuple[np.ndarray, InstanceMasks]:
    """Return the frames of a scene, (T, size, size, 3) uint8 RGB, and their masks."""
    frames, masks = draw(scene, look, size)  # all but the markers, which come on top
    for number, one in enumerate(scene.tracks, 1):
        if one.role == "marker":
            pixels = (min(SPRITE, round(1.5 * size * one.size[0])),) * 2
            picture = cv2.resize(marker_picture(one.name), pixels, interpolation=cv2.INTER_AREA)
            x, y = (size * seen for seen in scene.seen(one))
            for t in np.flatnonzero(one.shown):
                canvas = Canvas(frames[t], masks.numbers[t])
                canvas.paste(picture, x[t], y[t], size * one.size[t], 0.0, number)
    return frames, masks


def _render_clip(job: tuple[str, str, int], *, root: Path, kind: str, size: int, seed: int):
    """Render one clip, unless its file is there; return its list entry and its scene."""
    clip_id, split, label = job
    scene_rng, look_rng = clip_rngs(seed, clip_id)
    scene = compose_cue(kind, label, scene_rng)
    write_clip(
        root, clip_id, lambda: draw_cue(scene, dress_cue(scene, look_rng, split, size), size)
    )
    template = KINDS[kind][label]
    return entry(clip_id, template, re.findall(r"\[(.*?)\]", template)), scene


def render_cues(
    root: Path, *, kind: str, clips_per_class: dict[str, int], size: int, seed: int, processes: int
) -> None:
    """Render a cue set under root, `size` pixels a side, in Something-something V2's layout.

    kind: "cue-marker" or "cue-order". clips_per_class: how many clips of each class per split
    ("train", "validation"). A clip depends on the seed and its number alone, not on `processes`.
    Killed at any moment, the next call goes on where this one was. Raises ValueError for other
    kinds, and for sizes VP9's chroma cannot halve.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind {kind!r}: there are {', '.join(KINDS)}")
    settings = {"kind": kind, "seed": seed, "size": size}
    names = [template.replace("[", "").replace("]", "") for template in KINDS[kind]]
    render_set(
        root,
        partial(_render_clip, root=Path(root), **settings),
        {name: label for label, name in enumerate(names)},
        clips_per_class=clips_per_class,
        settings=settings,
        processes=processes,
    )


class Redrawn(NamedTuple):
    """Clips of a cue set after an intervention: frames (N, T, H, W, 3) uint8, labels (N,) int64.

    labels: of the classes that are shown now; -1 where none is.
    """

    frames: np.ndarray
    labels: np.ndarray


def redraw(
    root: Path, clip_ids: Sequence[str], what: str, *, frames: int, size: tuple[int, int]
) -> Redrawn:
    """Return clips of the cue set under root as a network sees them, changed in the markers alone.

    what: as for `intervene`. frames and size, (H, W), are those of the prepared clips. Clips go
    through the video codec, as those of the set did: after "nothing" they are the very same.
    Raises KeyError for clips that are not of the set.
    """
    truth = Truth(root)
    seed, pixels = truth.settings["seed"], truth.settings["size"]
    clips, labels = [], []
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "clip.webm"
        for clip_id in clip_ids:
            before = truth.scene(clip_id)
            _, look_rng = clip_rngs(seed, clip_id)
            look = dress_cue(before, look_rng, truth.clips.loc[clip_id, "split"], pixels)
            scene = intervene(before, what, np.random.default_rng([seed, int(clip_id), 3]))
            write_webm(video, draw_cue(scene, look, pixels)[0])
            clips.append(read_clip(video, frames, size))
            labels.append(int(observe(scene)[0]))
    return Redrawn(np.stack(clips), np.array(labels))

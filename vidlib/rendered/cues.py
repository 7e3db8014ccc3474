"""Two small sets of clips whose class depends only on planted markers, at known times and places.

"cue-marker": each clip shows one of four markers for a while; the class is which one. "cue-order":
each clip shows the same two markers one after the other; the class is which comes first. Everything
else (ground, camera, distractors, lengths, times, places) is drawn independently of the class, and
all markers cover the same disc of pixels. Interventions test what a trained network relies on:
`redraw` renders the same clips without markers, or with others.
"""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from vidlib import check
from vidlib.data.encoding import write_webm
from vidlib.data.video import read_clip
from vidlib.rendered.drawing import DISC, cut_out, fill
from vidlib.rendered.files import MadeClip, clip_rngs, render_set
from vidlib.rendered.observers import NOTHING, checked_orders
from vidlib.rendered.scene import Scene, Track, track
from vidlib.rendered.something.draw import Canvas, draw
from vidlib.rendered.something.looks import POLYGONS, SPRITE, Look
from vidlib.rendered.something.shot import Shot
from vidlib.rendered.truth import InstanceMasks, Truth

MARKERS = {  # colours of similar luminance
    "red square": (216, 40, 40),
    "blue disc": (40, 80, 224),
    "green triangle": (0, 160, 60),
    "purple cross": (170, 30, 190),
}
NAMES = list(MARKERS)
ORDERED = ("red square", "blue disc")  # the two of cue-order; class 0 shows them in this order
KINDS = {  # the templates of the classes, numbered from 0
    "cue-marker": tuple(f"Showing [a {name}]" for name in MARKERS),
    "cue-order": tuple(
        f"Showing [a {one}] before [a {two}]" for one, two in (ORDERED, ORDERED[::-1])
    ),
}
INTERVENTIONS = ("nothing", "removed", "moved")
FRAMES = (24, 40)  # shortest and longest clip
ALONE, EACH = (0.15, 0.4), (0.15, 0.35)  # shares of a clip that show the marker, or each of two


def _draw_markers(rng: np.random.Generator, frames: int, *shares: tuple) -> list[Track]:
    """Return markers still without names, shown one after the other.

    shares: of each marker, the least and most of the clip that it is shown.
    """
    lengths = np.array([round(rng.uniform(*share) * frames) for share in shares])
    free = np.sort(rng.integers(0, frames - lengths.sum() + 1, len(lengths)))
    starts = free + lengths.cumsum() - lengths
    at, markers = np.arange(frames), []
    for start, length in zip(starts, lengths, strict=True):
        (x, y), size = rng.uniform(0.26, 0.74, 2), rng.uniform(0.27, 0.3)
        shown = (at >= start) & (at < start + length)
        markers.append(track("", "marker", frames, x, y, size, shown=shown))
    return markers


def _markers(scene: Scene) -> list[Track]:
    return [one for one in scene.tracks if one.role == "marker"]


def _others(scene: Scene) -> list[Track]:
    return [one for one in scene.tracks if one.role != "marker"]


def _with_markers(scene: Scene, label: int, names: Sequence[str], markers: list[Track]) -> Scene:
    """Return the scene with these markers instead of its own."""
    named = [replace(one, name=name) for name, one in zip(names, markers, strict=True)]
    shown = np.flatnonzero(np.any([one.shown > 0 for one in markers], axis=0))
    event = (int(shown[0]), int(shown[-1]) + 1)
    return replace(scene, label=label, tracks=_others(scene) + named, event=event)


def compose_cue(kind: str, label: int, rng: np.random.Generator) -> Scene:
    """Return a random scene of a class of "cue-marker" (0 to 3) or "cue-order" (0 or 1).

    From the same state of rng, the scenes of all classes differ only in which marker is shown when.
    The event runs from the first frame with a marker to the last. Raises ValueError for other kinds
    and labels.

    >>> scene = compose_cue("cue-order", 1, np.random.default_rng(0))
    >>> [one.name for one in scene.tracks if one.role == "marker"], scene.label
    (['red square', 'blue disc'], 1)
    """
    check.one_of("kind", kind, KINDS)
    check.count("label", label, least=0, most=len(KINDS[kind]) - 1)
    frames = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    shot = Shot(rng, frames, 0.0, 1.0)
    shot.add_bystanders()
    shot.add_distractors()
    scene = Scene(label, shot.tracks, shot.camera((0, 0)), (0, frames))
    if kind == "cue-marker":
        return _with_markers(scene, label, [NAMES[label]], _draw_markers(rng, frames, ALONE))
    markers = _draw_markers(rng, frames, EACH, EACH)  # both classes list the tracks as `ORDERED`
    return _with_markers(scene, label, ORDERED, markers[::-1] if label else markers)


def intervene(scene: Scene, what: str, rng: np.random.Generator) -> Scene:
    """Return a scene of a cue set with only its markers changed.

    what: "nothing"; "removed", no marker is ever shown; "moved", the label becomes the class that a
    network must name if it relies on the markers. In cue-marker "moved" shows the marker of another
    class at another time and place; in cue-order the two markers swap their intervals. Raises
    ValueError for other interventions.

    >>> scene = compose_cue("cue-order", 0, np.random.default_rng(0))
    >>> moved = intervene(scene, "moved", np.random.default_rng(0))
    >>> observe(scene), observe(moved), moved.label
    (array([0]), array([1]), 1)
    """
    check.one_of("what", what, INTERVENTIONS)
    if what == "nothing":
        return scene
    markers = _markers(scene)
    if what == "removed":
        gone = [replace(one, shown=np.zeros(len(scene))) for one in markers]
        return replace(scene, tracks=_others(scene) + gone)
    if len(markers) == 2:
        one, two = markers
        swapped = [replace(one, shown=two.shown), replace(two, shown=one.shown)]
        return _with_markers(scene, 1 - scene.label, ORDERED, swapped)
    (was,) = markers
    label = int(rng.choice([k for k in range(len(MARKERS)) if k != scene.label]))
    while True:
        (now,) = _draw_markers(rng, len(scene), ALONE)
        moved = _with_markers(scene, label, [NAMES[label]], [now])
        later = abs(sum(moved.event) - sum(scene.event)) / 2
        away = np.hypot(now.x[0] - was.x[0], now.y[0] - was.y[0])
        if later > 0.15 * len(scene) and away > 0.25:
            return moved


def observe(scene: Scene, orders: np.ndarray | None = None) -> np.ndarray:
    """Return what an ideal observer of the markers says: (N,) int64 labels, -1 for none.

    orders: (N, T') int, the frames of the scene that are shown, in any order and with repeats; by
    default one, the frames as they are. In cue-order both markers must be seen, and the one seen
    first decides.

    >>> scene = compose_cue("cue-marker", 2, np.random.default_rng(0))
    >>> before = np.zeros((1, 4), int) + scene.event[0] - 1
    >>> observe(scene), observe(scene, before)
    (array([2]), array([-1]))
    """
    orders = checked_orders(scene, orders)
    markers = _markers(scene)
    seen = np.stack([one.shown[orders] > 0 for one in markers])  # (markers, N, T')
    if len(markers) == 1:
        label = np.array(NAMES.index(markers[0].name))
    else:
        first = seen.argmax(2)
        label = (first[1] < first[0]).astype(np.int64)
    return np.where(seen.any(2).all(0), label, NOTHING)


def marker_picture(name: str) -> np.ndarray:
    """Return a marker's sprite, as of `cut_out` with S = `SPRITE`.

    All are the same white disc with a dark rim and on it a coloured shape of about the same area.
    """
    shape = {
        "square": 0.74 * DISC[6::12],
        "disc": 0.6 * DISC,
        "triangle": 0.92 * DISC[12::16] * (1, -1) + (0, 0.1),
        "cross": POLYGONS["marker cross"],
    }[name.split()[1]]
    centre, radius = (SPRITE - 1) / 2, 0.48 * SPRITE
    alpha = np.zeros((SPRITE, SPRITE), np.uint8)
    picture = np.full((SPRITE, SPRITE, 3), 30, np.uint8)
    fill(alpha, centre + radius * DISC, 255)
    fill(picture, centre + 0.9 * radius * DISC, (250, 250, 250))
    fill(picture, centre + radius * shape, MARKERS[name])
    return cut_out(picture, alpha)


def dress_cue(scene: Scene, rng: np.random.Generator, split: str, size: int) -> Look:
    """Choose the look of everything except the markers, for frames of `size` pixels a side."""
    return Look(replace(scene, tracks=_others(scene)), rng, split, size)


def draw_cue(scene: Scene, look: Look, size: int) -> tuple[np.ndarray, InstanceMasks]:
    """Return the frames of a scene, (T, size, size, 3) uint8 RGB, and their masks."""
    frames, masks = draw(scene, look, size)  # all except the markers, which come on top
    for number, one in enumerate(scene.tracks, 1):
        if one.role == "marker":
            pixels = (min(SPRITE, round(1.5 * size * one.size[0])),) * 2
            picture = cv2.resize(marker_picture(one.name), pixels, interpolation=cv2.INTER_AREA)
            x, y = (size * seen for seen in scene.seen(one))
            for t in np.flatnonzero(one.shown):
                canvas = Canvas(frames[t], masks.numbers[t])
                canvas.paste(picture, x[t], y[t], size * one.size[t], 0.0, number)
    return frames, masks


def _make_clip(label: int, split: str, scene_rng, look_rng, *, size: int, kind: str) -> MadeClip:
    scene = compose_cue(kind, label, scene_rng)
    look = dress_cue(scene, look_rng, split, size)
    names = re.findall(r"\[(.*?)\]", KINDS[kind][label])
    return scene, names, partial(draw_cue, scene, look, size)


def render_cues(
    root: Path, *, kind: str, clips_per_class: dict[str, int], size: int, seed: int, processes: int
) -> None:
    """Render a cue set under root, `size` pixels a side, in Something-something V2's layout.

    kind: "cue-marker" or "cue-order". clips_per_class: how many clips of each class per split
    ("train", "validation"). A clip depends on the seed and its number only, not on `processes`.
    After an interruption the next call renders what is missing. Raises ValueError for other kinds
    and for sizes that are odd or below 32.

    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> counts = {"train": 1, "validation": 1}
    >>> render_cues(root, kind="cue-order", clips_per_class=counts, size=32, seed=0, processes=1)
    >>> sorted(Truth(root).clips["label"])
    [0, 0, 1, 1]
    """
    check.one_of("kind", kind, KINDS)
    templates = dict(enumerate(KINDS[kind]))
    render_set(
        root, _make_clip, templates, clips_per_class, processes, seed=seed, size=size, kind=kind
    )


def redraw(
    root: Path, clip_ids: Sequence[str], what: str, *, frames: int, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return clips of the cue set under root as a network sees them, with only the markers changed.

    what: as for `intervene`. frames and size, (H, W): those of the prepared clips. First come the
    clips, (N, T, H, W, 3) uint8, then the labels of the classes that they show, (N,) int64, -1
    where they show none. Clips pass through the video codec like those of the set, so that
    "nothing" returns the same pixels. Raises KeyError for clips that are not in the set.
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
    return np.stack(clips), np.array(labels)

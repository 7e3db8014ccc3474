"""The cue sets: only the marker decides, it is where the truth says, and networks can use it."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import files
from scipy.stats import binomtest
from torch import nn

from vidlib.data import load_clips, prepare_clips, read_something
from vidlib.data.clips import Clips, Frames
from vidlib.data.something import VIDEOS
from vidlib.data.video import read_clip
from vidlib.models.framewise import FrameAverage, FrameGRU
from vidlib.rendered.cues import (
    KINDS,
    MARKERS,
    ORDERED,
    compose_cue,
    draw_cue,
    dress_cue,
    intervene,
    observe,
    redraw,
    render_cues,
)
from vidlib.rendered.something.looks import SHAPES
from vidlib.rendered.truth import Truth
from vidlib.stages.intervene import intervention_table, turned_and_mirrored
from vidlib.training import Recipe, fit

CLASSES = [(kind, label) for kind, templates in KINDS.items() for label in range(len(templates))]
COUNTS = {"train": 2, "validation": 2}


def scene_of(kind, label, seed=0):
    return compose_cue(kind, label, np.random.default_rng(seed))


def drawn(scene, seed=0, size=64):
    look = dress_cue(scene, np.random.default_rng(seed), "validation", size)
    return draw_cue(scene, look, size)


def markers(scene):
    return [one for one in scene.tracks if one.role == "marker"]


# What decides, and what does not


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(20))
def test_classes_differ_only_in_the_markers(kind, seed):
    scenes = [scene_of(kind, label, seed) for label in range(len(KINDS[kind]))]
    first = scenes[0]
    for label, other in enumerate(scenes):
        assert other.label == label and len(other) == len(first)
        assert np.array_equal(other.camera, first.camera)
        assert other.event == first.event
        rest = [t for t in other.tracks if t.role != "marker"]
        for one, same in zip(rest, first.tracks, strict=False):
            assert one.name == same.name and np.array_equal(one.x, same.x)
        # Any marker: in the same frames, at the same places, of the same size.
        for value in ("shown", "x", "y", "size"):
            over_time = [
                sum(getattr(t, value) * t.shown for t in markers(s)) for s in (other, first)
            ]
            assert np.array_equal(*over_time)


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_of_classes_differ_only_on_the_markers(kind):
    clips = [drawn(scene_of(kind, label, 3)) for label in range(len(KINDS[kind]))]
    on_marker = clips[0][1].of("marker")
    grown = grow(on_marker)
    assert on_marker.any()
    for frames, masks in clips[1:]:
        assert np.array_equal(masks.of("marker"), on_marker)
        changed = (frames != clips[0][0]).any(3)
        assert changed.any() and not (changed & ~grown).any()


def grow(masks):
    """Add the pixels around: a mask ends where its thing covers half of a pixel."""
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    h, w = masks.shape[1:]
    return np.any([padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], axis=0)


@pytest.mark.parametrize(("kind", "label"), CLASSES)
def test_markers_are_in_view_for_a_known_share_of_the_clip(kind, label):
    for seed in range(30):
        scene = scene_of(kind, label, seed)
        assert 24 <= len(scene) <= 40
        shown = [np.flatnonzero(one.shown) for one in markers(scene)]
        assert scene.event == (min(s[0] for s in shown), max(s[-1] for s in shown) + 1)
        for one, frames in zip(markers(scene), shown, strict=True):
            assert (np.diff(frames) == 1).all()  # one interval
            share = len(frames) / len(scene)
            assert 0.12 < share < (0.43 if kind == "cue-marker" else 0.38)
            x, y = scene.seen(one)
            assert (np.minimum(x, y) > one.size / 2).all()
            assert (np.maximum(x, y) < 1 - one.size / 2).all()
        if kind == "cue-order":
            assert not set(shown[0]) & set(shown[1])
            assert (shown[0][0] < shown[1][0]) == (label == 0)


def test_moments_and_places_are_spread_out():
    scenes = [scene_of("cue-marker", 0, seed) for seed in range(300)]
    begin = np.array([s.event[0] / len(s) for s in scenes])
    assert begin.min() < 0.03 and begin.max() > 0.75
    for value in ("x", "y"):
        place = np.array([getattr(markers(s)[0], value)[0] for s in scenes])
        assert place.min() < 0.28 and place.max() > 0.72


@pytest.mark.parametrize(
    ("kind", "label", "said"),
    [
        ("cue", 0, "kind is 'cue'.*cue-marker, cue-order"),
        ("cue-marker", 4, "label is 4.*at most 3"),
        ("cue-order", -1, "label is -1.*at most 1"),
    ],
)
def test_other_kinds_and_labels_are_refused(kind, label, said):
    with pytest.raises(ValueError, match=said):
        scene_of(kind, label)


# Interventions and the ideal observer


@pytest.mark.parametrize(("kind", "label"), CLASSES)
def test_removed_markers_leave_no_trace_and_nothing_else_changes(kind, label):
    scene = scene_of(kind, label, 5)
    gone = intervene(scene, "removed", np.random.default_rng(0))
    (with_it, masks), (without, bare) = drawn(scene), drawn(gone)
    on_marker = masks.of("marker")
    assert not bare.of("marker").any() and masks.names == bare.names
    changed = np.abs(with_it.astype(int) - without).max(3) > 1  # except its faintest rim
    assert not (changed & ~grow(on_marker)).any()
    assert changed[on_marker].mean() > 0.98  # the ground seldom has the marker's colour
    shown = np.any([one.shown > 0 for one in markers(scene)], axis=0)
    assert np.array_equal(changed.any((1, 2)), shown)
    assert np.array_equal(on_marker.any((1, 2)), shown)


@pytest.mark.parametrize(("kind", "label"), CLASSES)
def test_the_observer_is_right_and_follows_the_markers(kind, label):
    for seed in range(30):
        scene = scene_of(kind, label, seed)
        rng = np.random.default_rng(seed)
        assert observe(scene).tolist() == [label]
        assert intervene(scene, "nothing", rng) is scene
        assert observe(intervene(scene, "removed", rng)).tolist() == [-1]
        moved = intervene(scene, "moved", rng)
        assert observe(moved).tolist() == [moved.label] and moved.label != label
        was, now = markers(scene), markers(moved)
        if kind == "cue-marker":
            assert abs(np.mean(scene.event) - np.mean(moved.event)) > 0.15 * len(scene)
            assert np.hypot(was[0].x[0] - now[0].x[0], was[0].y[0] - now[0].y[0]) > 0.25
        else:
            assert np.array_equal(now[0].shown, was[1].shown)
            assert np.array_equal(now[1].shown, was[0].shown)
            assert all(a.x[0] == b.x[0] for a, b in zip(was, now, strict=True))
            assert moved.event == scene.event


def test_moved_markers_become_all_other_classes():
    scene = scene_of("cue-marker", 1)
    rng = np.random.default_rng(0)
    assert {intervene(scene, "moved", rng).label for _ in range(40)} == {0, 2, 3}


def test_other_interventions_are_refused():
    with pytest.raises(ValueError, match=r"what is 'hidden'.*nothing, removed, moved"):
        intervene(scene_of("cue-marker", 0), "hidden", np.random.default_rng(0))


def test_the_observer_sees_the_frames_it_is_shown():
    scene = scene_of("cue-order", 0, 7)
    red, blue = (np.flatnonzero(one.shown) for one in markers(scene))
    orders = [
        [red[0], blue[0], red[-1]],
        [blue[0], blue[0], red[0]],
        [red[0], red[0], red[-1]],
        [blue[-1], blue[0], blue[0]],
    ]
    assert observe(scene, np.array(orders)).tolist() == [0, 1, -1, -1]
    assert observe(scene, np.arange(len(scene))[None, ::-1]).tolist() == [1]
    alone = scene_of("cue-marker", 2, 7)
    shown = np.flatnonzero(markers(alone)[0].shown)
    hidden = np.flatnonzero(markers(alone)[0].shown == 0)
    orders = np.array([hidden[:2], [hidden[0], shown[0]]])
    assert observe(alone, orders).tolist() == [-1, 2]
    assert observe(alone, orders).dtype == np.int64


# Files


@pytest.fixture(scope="module", params=KINDS)
def small(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    render_cues(root, kind=request.param, clips_per_class=COUNTS, size=48, seed=4, processes=2)
    return request.param, root


def test_a_set_is_read_like_the_original_without_problems(small):
    kind, root = small
    index = read_something(root, strict=True)
    assert index.attrs["problems"] == []
    names = [t.replace("[", "").replace("]", "") for t in KINDS[kind]]
    assert set(zip(index["label"], index["label_name"], strict=True)) == set(enumerate(names))
    assert (index.groupby(["split", "label"]).size() == 2).all()
    assert (index["text"].str.capitalize() == index["label_name"]).all()


def test_the_truth_is_what_is_drawn(small):
    kind, root = small
    truth, index = Truth(root), read_something(root)
    assert set(truth.clips.index) == set(index["clip_id"])
    assert truth.settings["kind"] == kind and truth.settings["size"] == 48
    for row in index.itertuples():
        scene, masks = truth.scene(row.clip_id), truth.masks(row.clip_id)
        assert scene.label == row.label and observe(scene).tolist() == [row.label]
        for one in markers(scene):
            assert np.array_equal(masks.of(one.name).any((1, 2)), one.shown > 0)
            assert one.name in MARKERS


def test_processes_and_interruptions_leave_the_same_bytes(small, tmp_path):
    kind, root = small
    render = {"kind": kind, "clips_per_class": COUNTS, "size": 48, "seed": 4}
    render_cues(tmp_path, **render, processes=1)
    assert files(tmp_path) == files(root)
    kept, lost = (tmp_path / VIDEOS / f"{clip_id}.webm" for clip_id in (1, 2))
    before = kept.stat().st_mtime_ns
    lost.rename(lost.with_name(f".part-0123abcd-{lost.name}"))
    (tmp_path / "truth/clips.parquet").unlink()
    render_cues(tmp_path, **render, processes=2)
    assert files(tmp_path) == files(root)
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize("split", SHAPES)
def test_what_validation_shows_never_occurs_in_training(split):
    for seed in range(20):
        scene = scene_of("cue-marker", 0, seed)
        look = dress_cue(scene, np.random.default_rng(seed), split, 48)
        others = [t.name for t in scene.tracks if t.role != "marker"]
        assert {look.names[name].split()[1] for name in others} <= set(SHAPES[split])


@pytest.mark.parametrize(
    ("kind", "size", "said"), [("cue", 48, "kind is 'cue'"), ("cue-order", 47, "47.*even")]
)
def test_other_sets_are_refused(tmp_path, kind, size, said):
    with pytest.raises(ValueError, match=said):
        render_cues(tmp_path, kind=kind, clips_per_class=COUNTS, size=size, seed=0, processes=1)


def test_redrawing_changes_only_the_markers(small):
    _, root = small
    validation = read_something(root).query("split == 'validation'")
    ids = validation["clip_id"].tolist()
    shape = {"frames": 8, "size": (32, 32)}
    same, labels = redraw(root, ids, "nothing", **shape)
    stored = np.stack([read_clip(path, 8, (32, 32)) for path in validation["path"]])
    assert np.array_equal(same, stored)
    assert np.array_equal(labels, validation["label"])
    (removed, none), (moved, others) = (
        redraw(root, ids, what, **shape) for what in ("removed", "moved")
    )
    assert (none == -1).all() and (others != labels).all()
    assert removed.shape == moved.shape == stored.shape
    assert np.array_equal(moved, redraw(root, ids, "moved", **shape)[0])
    with pytest.raises(KeyError):
        redraw(root, ["77"], "nothing", **shape)


# What networks make of it


def clips_of(kind, root, clips_per_class):
    """Render a set; return its training clips, turned and mirrored, and its validation clips."""
    render_cues(root, kind=kind, clips_per_class=clips_per_class, size=48, seed=1, processes=2)
    prepare_clips(read_something(root), root / "prepared", frames=8, size=(32, 32), processes=2)
    clips = load_clips(root / "prepared")
    return turned_and_mirrored(clips.split("train")), clips.split("validation")


def right_answers(network, train, validation, root, epochs):
    """Train a network and return how many of its answers are right under each intervention."""
    recipe = Recipe(epochs, batch_size=16, lr=5e-3, seed=0, weight_decay=0.01)
    fit(network, train, validation, root / f"{type(network).__name__}-{epochs}", recipe)
    table = intervention_table(network.eval(), root, validation).set_index("intervention")
    assert (table["clips"] == len(validation)).all()
    assert (table["low"] <= table["share"]).all() and (table["share"] <= table["high"]).all()
    return table["right"]


def at_chance(right, clips, classes):
    """Tell whether guessing may give this many right answers, at the level of 1 in 1000."""
    return binomtest(right, clips, 1 / classes).pvalue > 0.001


def test_turning_and_mirroring_gives_all_eight_ways(tmp_path):
    frames = np.arange(2 * 3 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 4, 3)
    index = pd.DataFrame({"clip_id": ["a", "b"], "label": [0, 1], "label_name": ["x", "y"]})
    clips = Clips(index, Frames(frames.__getitem__, np.arange(2), frames.shape[1:]), [0, 1])
    every = turned_and_mirrored(clips)
    assert len({every.frames[i].tobytes() for i in range(16)}) == 16
    assert every.outputs.tolist() == [0, 1] * 8
    for i in range(16):  # each is one of the two clips, frames in order, moved in the plane
        original = frames[i % 2]
        assert np.array_equal(
            np.sort(every.frames[i].reshape(3, -1)), np.sort(original.reshape(3, -1))
        )


class Reader(nn.Module):
    """Recognises the markers by their colours, so that its answers about a cue set are known."""

    def __init__(self, kind):
        super().__init__()
        self.names = ORDERED if kind == "cue-order" else list(MARKERS)

    def forward(self, clips):
        colours = torch.tensor([MARKERS[name] for name in self.names])[:, None, :, None, None, None]
        off = ((clips + 1) * 127.5 - colours).abs().amax(2)  # (K, B, T, H, W)
        area = (off < 45).sum((3, 4)).float().movedim(0, 1)  # (B, K, T)
        area -= area.amin(2, keepdim=True)  # a colour that is always there is no marker
        if len(self.names) > 2:
            return area.amax(2)
        when = (area * torch.arange(area.shape[2])).sum(2) / area.sum(2).clamp(min=1)
        return -when


def test_what_reads_the_markers_follows_every_intervention(small, tmp_path):
    kind, root = small
    prepare_clips(read_something(root), tmp_path, frames=8, size=(32, 32), processes=1)
    clips = load_clips(tmp_path)
    table = intervention_table(Reader(kind), root, clips).set_index("intervention")
    classes = len(KINDS[kind])
    assert table["clips"].tolist() == [4 * classes] * 3
    assert table.loc[["nothing", "moved"], "share"].tolist() == [1, 1]
    assert at_chance(table.loc["removed", "right"], 4 * classes, classes)
    assert (table["low"] <= table["share"]).all() and (table["share"] <= table["high"]).all()
    assert (table["chance"] == 1 / classes).all()


@pytest.mark.soak
def test_a_network_relies_on_the_marker(tmp_path, one_thread):
    clips = clips_of("cue-marker", tmp_path, {"train": 60, "validation": 20})
    torch.manual_seed(0)
    network = FrameGRU(4, width=8, shuffled=False)
    right = right_answers(network, *clips, tmp_path, 6)
    assert right["nothing"] >= 0.9 * 80
    assert at_chance(right["removed"], 80, 4)
    assert right["moved"] >= 0.8 * 80


@pytest.mark.soak
def test_only_a_network_that_knows_the_order_solves_the_order(tmp_path, one_thread):
    clips = clips_of("cue-order", tmp_path, {"train": 140, "validation": 30})
    torch.manual_seed(0)
    network = FrameGRU(2, width=8, shuffled=False)
    right = right_answers(network, *clips, tmp_path, 7)
    assert right["nothing"] >= 0.9 * 60
    assert at_chance(right["removed"], 60, 2)
    assert right["moved"] >= 0.8 * 60
    for blind in (FrameAverage(2, width=8), FrameGRU(2, width=8, shuffled=True)):
        right = right_answers(blind, *clips, tmp_path, 2)
        assert at_chance(right["nothing"], 60, 2) and at_chance(right["moved"], 60, 2)

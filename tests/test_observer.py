"""The ideal observer of something-mini: right about whole clips and about parts of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidlib.data import sample_frames
from vidlib.rendered.observers import NOTHING, verdicts
from vidlib.rendered.something.observer import observe
from vidlib.rendered.something.scripts import CLASSES, compose

MIRRORS = {36: 37, 45: 43, 93: 94, 166: 167, 165: 168}
MIRRORS |= {b: a for a, b in MIRRORS.items()}


def scene_of(label, seed):
    return compose(label, np.random.default_rng([seed, label, 11]))


@pytest.mark.parametrize("label", sorted(CLASSES))
def test_it_is_right_on_every_clip_as_it_is_and_as_networks_see_it(label):
    for seed in range(60):
        scene = scene_of(label, seed)
        assert observe(scene).tolist() == [label]
        for frames in (16, 32):
            assert observe(scene, sample_frames(len(scene), frames)[None]).tolist() == [label]


@pytest.mark.parametrize("label", sorted(CLASSES))
def test_a_still_shows_nothing(label):
    scene = scene_of(label, 1)
    stills = np.repeat(np.arange(len(scene))[:, None], 16, axis=1)
    assert (observe(scene, stills) == NOTHING).all()


@pytest.mark.parametrize("label", sorted(CLASSES))
@pytest.mark.parametrize("seed", range(8))
def test_backwards_it_sees_the_mirror_class_or_none(label, seed):
    scene = scene_of(label, seed)
    said = observe(scene, np.arange(len(scene))[None, ::-1])[0]
    # Passing, turning over and pretending look the same backwards.
    same = {39: 39, 164: 164, 81: 81, 38: 36}
    assert said == {**MIRRORS, **same}.get(label, NOTHING)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(CLASSES)), st.integers(0, 10_000), st.data())
def test_no_two_rules_are_true_in_any_order(label, seed, data):
    scene = scene_of(label, seed)
    frame = st.integers(0, len(scene) - 1)
    order = data.draw(st.lists(frame, min_size=2, max_size=20))
    observe(scene, np.array([order]))  # raises where two are


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(CLASSES)), st.integers(0, 10_000), st.data())
def test_many_orders_at_once_are_answered_as_one_by_one(label, seed, data):
    scene = scene_of(label, seed)
    orders = np.array(data.draw(st.lists(st.permutations(range(16)), min_size=1, max_size=5)))
    orders = sample_frames(len(scene), 16)[orders]
    alone = [observe(scene, order[None])[0] for order in orders]
    assert observe(scene, orders).tolist() == alone


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        ([0, 1], r"orders has shape \(2,\) and type int64: give whole numbers \(N, T\)"),
        ([[0.0, 1.0]], r"type float64: give whole numbers"),
        (np.zeros((2, 0), int), r"orders has shape \(2, 0\)"),
        ([[0, -1]], "orders runs from -1 to 0: the scene has frames 0 to"),
        ([[0, 99]], "orders runs from 0 to 99: the scene has frames 0 to"),
    ],
)
def test_orders_that_are_none_are_refused(orders, message):
    with pytest.raises(ValueError, match=message):
        observe(scene_of(45, 0), orders)


def test_verdicts_by_hand():
    rules = {7: np.array([True, False, False]), 3: np.array([False, False, True])}
    assert verdicts(rules).tolist() == [7, NOTHING, 3]
    with pytest.raises(ValueError, match=r"the rules of classes \[7, 3\] are true of one"):
        verdicts({**rules, 3: np.array([False, False, True]) | rules[7]})


def test_a_camera_that_loses_a_thing_does_not_take_it():
    """Of 50 clips of each turn, no window frozen makes the observer see a thing taken away."""
    first, last = np.triu_indices(16)
    frame = np.arange(16)
    on = (first[:, None] <= frame) & (frame <= last[:, None])
    held = np.maximum.accumulate(np.where(on & (frame > 0), 0, frame), axis=1)
    for label in (165, 166, 167, 168):
        for seed in range(50):
            scene = scene_of(label, seed)
            assert 147 not in observe(scene, sample_frames(len(scene), 16)[held])


def test_it_reads_only_states():
    """Another label and another event on the same states change nothing."""
    scene = scene_of(45, 0)
    scene.label, scene.event = 93, (0, 1)
    assert observe(scene).tolist() == [45]


@pytest.mark.parametrize(
    ("label", "kept", "seen"),
    [
        (45, "before", NOTHING),  # nothing has moved yet
        (45, "event", 45),
        (45, "after", NOTHING),
        (45, "ends", 45),  # nobody saw it move, but it has
        (39, "ends", 39),
        (164, "ends", 164),
        (4, "ends", 4),
        (147, "ends", 147),
        (81, "ends", NOTHING),  # nobody saw the hand
        (38, "before", NOTHING),
        (38, "after", NOTHING),
        (38, "ends", 37),  # nobody saw them touch: merely closer
        (167, "ends", 167),
    ],
)
def test_what_must_be_seen_of_each(label, kept, seen):
    scene = scene_of(label, 5)
    start, stop = scene.event
    before, after = (
        np.arange(max(1, start - 1)),
        np.arange(min(stop + 1, len(scene) - 1), len(scene)),
    )
    order = {
        "before": before,
        "event": np.arange(start, stop),
        "after": after,
        "ends": np.r_[before[0], after[-1]],
    }[kept]
    assert observe(scene, order[None]).tolist() == [seen]

"""Which windows remove a class: by hand, and against the observer asked one window at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from vidlib.compare import mask_survival, minimal, removing, survival, window_answers
from vidlib.compare.survival import NO_WINDOW, window_orders
from vidlib.data import sample_frames
from vidlib.explain import frame_order, freeze, reverse
from vidlib.rendered.scene import Scene, track
from vidlib.rendered.something.observer import observe
from vidlib.rendered.something.scripts import CLASSES, compose


def climb(frames=16, at=8):
    """An object that jumps up at a frame; nothing else is there."""
    y = np.where(np.arange(frames) < at, 0.7, 0.3)
    thing = track("object_a", "object", frames, 0.5, y, 0.2)
    return Scene(45, [thing], np.zeros((frames, 2)), (at, at + 1))


def test_orders_of_windows_by_hand():
    assert window_orders(3, "freeze").tolist() == [
        [0, 1, 2],  # frame 0 alone: nothing before it to hold
        [0, 0, 2],
        [0, 0, 0],
        [0, 0, 2],
        [0, 0, 0],
        [0, 1, 1],
    ]
    assert window_orders(3, "reverse").tolist() == [
        [0, 1, 2],
        [1, 0, 2],
        [2, 1, 0],
        [0, 1, 2],
        [0, 2, 1],
        [0, 1, 2],
    ]


def test_a_climb_is_hidden_only_to_the_end():
    """Freezing removes it where it holds a frame from before the jump until the last."""
    answers = window_answers(climb(), observe, 16, "freeze")
    removes = removing(answers, 45)
    first, last = np.nonzero(removes)
    assert set(zip(first, last, strict=True)) == {(s, 15) for s in range(9)}
    assert np.argwhere(minimal(removes)).tolist() == [[8, 15]]
    assert (answers[np.tril_indices(16, -1)] == NO_WINDOW).all()
    # Freezing the jump itself, or all of the clip but its end, leaves it there.
    assert answers[8, 8] == 45 and answers[0, 14] == 45


def test_a_climb_is_turned_into_its_opposite_only_as_a_whole():
    """Reversed are first and last frame at once, or neither: else one end stays what it was."""
    answers = window_answers(climb(), observe, 16, "reverse")
    seen = {tuple(w): answers[tuple(w)] for w in np.argwhere(answers != 45) if w[0] <= w[1]}
    for (start, stop), said in seen.items():
        assert (start == 0) | (stop == 15)
        assert said == (43 if (start, stop) == (0, 15) else -1)
    assert seen.keys() == {(0, e) for e in range(8, 16)} | {(s, 15) for s in range(8)}


def slow_minimal(removes):
    least = np.zeros_like(removes)
    for s, e in np.argwhere(removes):
        inside = [
            removes[a, b] for a in range(s, e + 1) for b in range(a, e + 1) if (a, b) != (s, e)
        ]
        least[s, e] = not any(inside)
    return least


@settings(max_examples=60, deadline=None)
@given(arrays(bool, (7, 7)))
def test_minimal_windows_contain_no_other(removes):
    removes = np.triu(removes)
    assert np.array_equal(minimal(removes), slow_minimal(removes))


@pytest.mark.parametrize(("name", "perturbation"), [("freeze", freeze), ("reverse", reverse)])
@pytest.mark.parametrize("label", [4, 37, 38, 81, 94, 147, 165])
def test_answers_are_those_to_one_window_at_a_time(label, name, perturbation):
    scene = compose(label, np.random.default_rng(label))
    answers = window_answers(scene, observe, 16, name)
    sampled = sample_frames(len(scene), 16)
    for start, stop in [(0, 15), (0, 7), (3, 9), (8, 15), (12, 12), (1, 14)]:
        mask = torch.zeros(1, 16)
        mask[0, start : stop + 1] = 1
        shown = scene.take(sampled[frame_order(perturbation(mask))[0].numpy()])
        assert observe(shown).tolist() == [answers[start, stop]]


def test_survival_tells_of_every_clip():
    scenes = {f"{n}": compose(n, np.random.default_rng(n)) for n in sorted(CLASSES)}
    scenes["climb"] = climb()
    labels = {name: scene.label for name, scene in scenes.items()}
    table, answers = survival(scenes, labels, observe, 16)
    table = table.set_index("clip_id")
    assert answers["freeze"].shape == answers["reverse"].shape == (17, 16, 16)
    climbs = table.loc["climb"]
    assert climbs["freeze_shortest"] == 8 and climbs["freeze_minimal"] == 1
    assert climbs["reverse_shortest"] == 9 and climbs["reverse_minimal"] == 2
    assert climbs["reversed_shows"] == 43 and climbs["order_matters"]
    # A still shows none of these classes, so some freezing removes each.
    assert table["freeze_shortest"].notna().all()
    assert table.loc["38", "freeze_shortest"] < 4 <= table.loc["93", "freeze_shortest"]


def test_an_observer_that_is_wrong_judges_nothing():
    with pytest.raises(ValueError, match=r"takes clip one for 45: sample more"):
        survival({"one": climb()}, {"one": 43}, observe, 16)


def test_masks_are_judged_by_what_they_leave():
    mask, start = np.zeros(16), np.zeros(16)
    mask[8:16], start[5:12] = 0.9, 1
    found = mask_survival(climb(), 45, mask, start, observe)
    # of the nine windows of eight frames, one removes
    expected = {"mask_removes": 1, "start_removes": 0, "random_removes": 1 / 9, "shortest": 8}
    assert found == pytest.approx(expected)
    mask[15] = 0.4  # the last frame shows where the thing is
    found = mask_survival(climb(), 45, mask, start, observe)
    assert found["mask_removes"] == 0 and found["random_removes"] == 0
    nothing = mask_survival(climb(), 45, np.zeros(16), start, observe)
    assert nothing["mask_removes"] == nothing["random_removes"] == 0

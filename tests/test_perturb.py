"""Perturbations of time against the paper's text, plain loops and their own laws."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidlib.explain import (
    PERTURBATIONS,
    REORDERINGS,
    blur,
    fade,
    frame_order,
    freeze,
    hold_next,
    perturb,
    repeat,
    reverse,
    reverse_by_first_half,
    shuffle,
)

unhurried = settings(max_examples=40, deadline=None)  # a busy machine is no failure
EVERY = [*PERTURBATIONS.values(), reverse_by_first_half]
every = pytest.mark.parametrize("perturbation", EVERY)
soft = st.lists(st.floats(0, 1), min_size=1, max_size=12)
hard = st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=12)
batches = st.integers(1, 8).flatmap(
    lambda t: st.lists(st.lists(st.floats(0, 1), min_size=t, max_size=t), min_size=1, max_size=4)
)


def rows(*masks):
    return torch.tensor(masks, dtype=torch.float64)


def plain_runs(mask):
    """The runs of active indices, one after another."""
    runs = []
    for i, value in enumerate(mask):
        if value > 0.1 and i and mask[i - 1] > 0.1:
            runs[-1].append(i)
        elif value > 0.1:
            runs.append([i])
    return runs


def plain_freeze(frames, mask):
    """The pseudocode of section 3.1, frame by frame."""
    perturbed = [frames[0]]
    for i in range(1, len(frames)):
        perturbed.append((1 - mask[i]) * frames[i] + mask[i] * perturbed[i - 1])
    return torch.stack(perturbed)


def plain_hold_next(frames, mask):
    perturbed = frames.clone()
    for i in range(len(frames) - 2, -1, -1):
        perturbed[i] = (1 - mask[i]) * frames[i] + mask[i] * perturbed[i + 1]
    return perturbed


def plain_reverse(frames, mask):
    """Each run blended with its mirror image."""
    perturbed = frames.clone()
    for run in plain_runs(mask):
        for i, mirrored in zip(run, reversed(run), strict=True):
            perturbed[i] = (1 - mask[i]) * frames[i] + mask[i] * frames[mirrored]
    return perturbed


def plain_reverse_by_first_half(frames, mask):
    """The two frames of each pair, from the outermost inwards, swapped by the first one's value."""
    perturbed = frames.clone()
    for run in plain_runs(mask):
        first, last = run[0], run[-1]
        while first < last:
            m = mask[first]
            perturbed[first] = (1 - m) * frames[first] + m * frames[last]
            perturbed[last] = (1 - m) * frames[last] + m * frames[first]
            first, last = first + 1, last - 1
    return perturbed


def plain_repeat(frames, mask, every=2):
    perturbed = frames.clone()
    for run in plain_runs(mask):
        for place, i in enumerate(run):
            if place % every == 0:
                kept = frames[i]
            perturbed[i] = (1 - mask[i]) * frames[i] + mask[i] * kept
    return perturbed


def plain_blur(frames, mask, sigma=2.0):
    perturbed = frames.clone()
    for i in range(len(frames)):
        weights = [math.exp(-((i - j) ** 2) / (2 * sigma**2)) for j in range(len(frames))]
        blurred = sum(w * frame for w, frame in zip(weights, frames, strict=True)) / sum(weights)
        perturbed[i] = (1 - mask[i]) * frames[i] + mask[i] * blurred
    return perturbed


def plain_fade(frames, mask):
    mean = sum(frames) / len(frames)
    return torch.stack([(1 - m) * x + m * mean for x, m in zip(frames, mask, strict=True)])


# ---------------------------------------------------------------- by hand


def test_reverse_turns_the_papers_example_round():
    mask = rows([int(c) for c in "0001111100000110"])
    order = frame_order(reverse(mask)) + 1
    assert order.tolist() == [[1, 2, 3, 8, 7, 6, 5, 4, 9, 10, 11, 12, 13, 15, 14, 16]]
    assert reverse(mask).unique().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("perturbation", "order"),
    [
        (freeze, [0, 0, 0, 3, 4, 4, 4, 4, 4]),
        (hold_next, [3, 3, 3, 3, 4, 8, 8, 8, 8]),
        (reverse, [2, 1, 0, 3, 4, 8, 7, 6, 5]),
        (repeat, [0, 0, 2, 3, 4, 5, 5, 7, 7]),
        (partial(repeat, every=3), [0, 0, 0, 3, 4, 5, 5, 5, 8]),
    ],
)
def test_orders_by_hand(perturbation, order):
    assert frame_order(perturbation(rows([1, 1, 1, 0, 0, 1, 1, 1, 1]))).tolist() == [order]


def test_freeze_by_hand():
    matrix = freeze(rows([0.5, 0.5, 0.25]))  # the first value has no effect
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0.125, 0.125, 0.75]]
    assert matrix.tolist() == [expected]
    assert frame_order(freeze(rows([0, 1, 1, 0, 1]))).tolist() == [[0, 0, 0, 3, 3]]


def test_reverse_by_hand():
    matrix = reverse(rows([0.2, 0.1, 0.5, 1.0, 0.75]))  # 0.1 itself is not active
    expected = [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0.5, 0, 0.5], [0, 0, 0, 1, 0]]
    assert matrix.tolist() == [[*expected, [0, 0, 0.75, 0, 0.25]]]


def test_reverse_by_first_half_by_hand():
    matrix = reverse_by_first_half(rows([0.2, 0.1, 0.5, 1.0, 0.75]))
    expected = [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0.5, 0, 0.5], [0, 0, 0, 1, 0]]
    assert matrix.tolist() == [[*expected, [0, 0, 0.5, 0, 0.5]]]


def test_blur_and_fade_by_hand():
    near, far = math.exp(-0.5), math.exp(-2)
    total = 1 + near + far
    matrix = blur(rows([0.5, 0, 1]), sigma=1)[0]
    assert matrix[0].tolist() == pytest.approx(
        [0.5 + 0.5 / total, 0.5 * near / total, 0.5 * far / total]
    )
    assert matrix[1].tolist() == [0, 1, 0]
    assert matrix[2].tolist() == pytest.approx([far / total, near / total, 1 / total])
    faded = fade(rows([1, 0.5, 0, 0]))[0]
    assert faded[:3].tolist() == [[0.25] * 4, [0.125, 0.625, 0.125, 0.125], [0, 0, 1, 0]]


def test_the_widest_blur_is_the_mean():
    mask = rows([0.3, 1, 0, 0.9, 0.5])
    torch.testing.assert_close(blur(mask, sigma=1e6), fade(mask))


# ---------------------------------------------------------------- laws of all of them


@every
@unhurried
@given(batch=batches)
def test_rows_are_convex_weights(perturbation, batch):
    matrix = perturbation(rows(*batch))
    assert (matrix >= 0).all()
    torch.testing.assert_close(matrix.sum(-1), torch.ones_like(matrix.sum(-1)))


@every
@unhurried
@given(length=st.integers(1, 12))
def test_zero_mask_is_the_identity(perturbation, length):
    matrix = perturbation(torch.zeros(2, length))
    assert torch.equal(matrix, torch.eye(length).expand(2, -1, -1))


@every
@unhurried
@given(batch=batches)
def test_a_batch_equals_one_by_one(perturbation, batch):
    alone = torch.cat([perturbation(rows(mask)) for mask in batch])
    assert torch.equal(perturbation(rows(*batch)), alone)


@pytest.mark.parametrize(
    ("perturbation", "plain"),
    [
        (freeze, plain_freeze),
        (hold_next, plain_hold_next),
        (reverse, plain_reverse),
        (reverse_by_first_half, plain_reverse_by_first_half),
        (repeat, plain_repeat),
        (partial(repeat, every=4), partial(plain_repeat, every=4)),
        (blur, plain_blur),
        (partial(blur, sigma=0.5), partial(plain_blur, sigma=0.5)),
        (fade, plain_fade),
    ],
)
@unhurried
@given(mask=soft)
def test_matrices_equal_the_plain_loops(perturbation, plain, mask):
    clip = torch.randn(len(mask), 2, 2, 3, dtype=torch.float64)
    perturbed = perturb(clip.transpose(0, 1)[None], perturbation(rows(mask)))
    torch.testing.assert_close(perturbed[0].transpose(0, 1), plain(clip, mask))


# ---------------------------------------------------------------- on/off masks


@pytest.mark.parametrize("name", REORDERINGS)
@unhurried
@given(mask=hard)
def test_reorderings_show_one_frame_of_the_clip_at_each_time(name, mask):
    matrix = PERTURBATIONS[name](rows(mask))
    shown = torch.nn.functional.one_hot(frame_order(matrix), len(mask))
    assert torch.equal(matrix, shown.double())


@pytest.mark.parametrize("name", sorted(PERTURBATIONS.keys() - set(REORDERINGS)))
def test_all_others_mix_frames(name):
    assert PERTURBATIONS[name](rows([0, 1, 1, 0])).max(-1).values.min() < 1


@pytest.mark.parametrize("perturbation", [freeze, hold_next, repeat])
@unhurried
@given(mask=hard)
def test_holding_frames_twice_changes_nothing(perturbation, mask):
    matrix = perturbation(rows(mask))
    assert torch.equal(matrix @ matrix, matrix)


@unhurried
@given(mask=hard)
def test_hard_reverse_is_an_involution_and_the_authors_reverse(mask):
    matrix = reverse(rows(mask))
    assert torch.equal(matrix @ matrix, torch.eye(len(mask), dtype=torch.float64)[None])
    assert torch.equal(matrix, reverse_by_first_half(rows(mask)))


@unhurried
@given(mask=hard, seed=st.integers(0, 2**32))
def test_shuffle_reorders_the_frames_of_every_run(mask, seed):
    (order,) = frame_order(shuffle(rows(mask), seed=seed)).tolist()
    runs = plain_runs(mask)
    inside = {i for run in runs for i in run}
    assert all(order[i] == i for i in range(len(mask)) if i not in inside)
    for run in runs:
        shuffled = [order[i] for i in run]
        assert sorted(shuffled) == run
        assert shuffled != run or len(run) == 1
        assert shuffled != run[::-1] or len(run) <= 2


@unhurried
@given(mask=soft)
def test_soft_shuffle_blends_by_the_order_of_the_hard_one(mask):
    hard = rows([float(m > 0.1) for m in mask])
    amount = (rows(mask) * hard)[..., None]
    still = torch.eye(len(mask), dtype=torch.float64)
    torch.testing.assert_close(shuffle(rows(mask)), (1 - amount) * still + amount * shuffle(hard))


def test_the_seed_fixes_the_order_of_a_run_wherever_it_lies():
    early, late = rows([1] * 9 + [0] * 3), rows([0] * 3 + [1] * 9)
    orders = [frame_order(shuffle(early, seed=seed))[0, :9].tolist() for seed in range(20)]
    assert frame_order(shuffle(late, seed=7))[0, 3:].sub(3).tolist() == orders[7]
    assert len({tuple(order) for order in orders}) == 20  # of 9! orders
    assert torch.equal(shuffle(early), shuffle(early, seed=0))


# ---------------------------------------------------------------- gradients


@every
@settings(max_examples=15, deadline=None)
@given(mask=st.lists(st.floats(0.11, 0.99) | st.floats(0.01, 0.09), min_size=1, max_size=6))
def test_gradients_agree_with_finite_differences(perturbation, mask):
    assert torch.autograd.gradcheck(perturbation, rows(mask).requires_grad_())


@every
@settings(max_examples=15, deadline=None)
@given(mask=hard)
def test_gradients_of_on_off_masks_are_the_slopes_between_0_and_1(perturbation, mask):
    mask = rows(mask)
    gradients = torch.autograd.functional.jacobian(perturbation, mask)[0, ..., 0, :]
    for t, m in enumerate(mask[0].tolist()):
        step = -0.25 if m else 0.05  # to where the runs are still the same
        moved = mask.clone()
        moved[0, t] += step
        slope = (perturbation(moved) - perturbation(mask))[0] / step  # exact: linear in each value
        torch.testing.assert_close(gradients[..., t], slope)


@every
@pytest.mark.parametrize("length", [1, 7])
@pytest.mark.parametrize("value", [0.0, 1e-45, 0.1, 0.5, 1.0])
def test_gradients_of_constant_masks_are_finite(perturbation, value, length):
    mask = torch.full((2, length), value, requires_grad=True)
    perturbation(mask).square().sum().backward()
    assert mask.grad.isfinite().all()


def test_every_frame_of_a_reversed_run_has_a_gradient_but_not_in_the_authors_code():
    frames = torch.arange(6, dtype=torch.float64) ** 2
    for perturbation, reached in ((reverse, [1, 2, 3, 4]), (reverse_by_first_half, [1, 2])):
        mask = rows([0, 0.9, 0.9, 0.9, 0.9, 0]).requires_grad_()
        (perturbation(mask) @ frames).square().sum().backward()
        assert mask.grad[0].nonzero().flatten().tolist() == reached


# ---------------------------------------------------------------- errors


@every
@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.zeros(4), r"give a floating-point mask \(B, T\)"),
        (torch.zeros(2, 4, dtype=torch.bool), "type torch.bool"),
        (torch.zeros(2, 0), "not empty"),
        (torch.tensor([[0.0, 1.1]]), r"outside \[0, 1\]"),
        (torch.tensor([[0.0, torch.nan]]), r"outside \[0, 1\]"),
    ],
)
def test_bad_masks_say_what_is_wanted(perturbation, mask, message):
    with pytest.raises(ValueError, match=message):
        perturbation(mask)


@pytest.mark.parametrize("sigma", [0, -1, math.nan])
def test_blur_wants_a_width(sigma):
    with pytest.raises(ValueError, match=f"sigma is {sigma}: .* above 0"):
        blur(torch.zeros(1, 4), sigma=sigma)


def test_repeat_wants_to_drop_a_frame():
    with pytest.raises(ValueError, match=r"every is 1: .* at least 2"):
        repeat(torch.zeros(1, 4), every=1)


def test_perturb_refuses_a_matrix_of_other_clips():
    with pytest.raises(ValueError, match=r"matrix has shape \(2, 5, 5\) .* clips \(B, C"):
        perturb(torch.zeros(2, 3, 4, 5, 5), torch.zeros(2, 5, 5))

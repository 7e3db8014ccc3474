"""Perturbations of time against the paper's text, plain loops and their own laws."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidlib.explain import frame_order, freeze, perturb, reverse

unhurried = settings(max_examples=60, deadline=None)  # a busy machine is no failure
both = pytest.mark.parametrize("perturbation", [freeze, reverse])
soft = st.lists(st.floats(0, 1), min_size=1, max_size=12)
hard = st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=12)
batches = st.integers(1, 8).flatmap(
    lambda t: st.lists(st.lists(st.floats(0, 1), min_size=t, max_size=t), min_size=1, max_size=4)
)


def rows(*masks):
    return torch.tensor(masks, dtype=torch.float64)


def plain_freeze(frames, mask):
    """The pseudocode of section 3.1, frame by frame."""
    perturbed = [frames[0]]
    for i in range(1, len(frames)):
        perturbed.append((1 - mask[i]) * frames[i] + mask[i] * perturbed[i - 1])
    return torch.stack(perturbed)


def plain_reverse(frames, mask):
    """Runs of active indices, one after another, each blended with its mirror image."""
    perturbed, runs = frames.clone(), []
    for i, value in enumerate(mask):
        if value > 0.1 and i and mask[i - 1] > 0.1:
            runs[-1].append(i)
        elif value > 0.1:
            runs.append([i])
    for run in runs:
        for i, mirrored in zip(run, reversed(run), strict=True):
            perturbed[i] = (1 - mask[i]) * frames[i] + mask[i] * frames[mirrored]
    return perturbed


def test_reverse_turns_the_papers_example_round():
    mask = rows([int(c) for c in "0001111100000110"])
    order = frame_order(reverse(mask)) + 1
    assert order.tolist() == [[1, 2, 3, 8, 7, 6, 5, 4, 9, 10, 11, 12, 13, 15, 14, 16]]
    assert reverse(mask).unique().tolist() == [0, 1]


def test_freeze_by_hand():
    matrix = freeze(rows([0.5, 0.5, 0.25]))  # the first value has no effect
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0.125, 0.125, 0.75]]
    assert matrix.tolist() == [expected]
    assert frame_order(freeze(rows([0, 1, 1, 0, 1]))).tolist() == [[0, 0, 0, 3, 3]]


def test_reverse_by_hand():
    matrix = reverse(rows([0.2, 0.1, 0.5, 1.0, 0.75]))  # 0.1 itself is not active
    expected = [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0.5, 0, 0.5], [0, 0, 0, 1, 0]]
    assert matrix.tolist() == [[*expected, [0, 0, 0.75, 0, 0.25]]]


def test_every_frame_of_a_reversed_run_has_a_gradient():
    mask = rows([0, 0.9, 0.9, 0.9, 0.9, 0]).requires_grad_()
    frames = torch.arange(6, dtype=torch.float64) ** 2
    (reverse(mask) @ frames).square().sum().backward()
    assert (mask.grad[0, 1:5] != 0).all()


@both
@unhurried
@given(batch=batches)
def test_rows_are_convex_weights(perturbation, batch):
    matrix = perturbation(rows(*batch))
    assert (matrix >= 0).all()
    torch.testing.assert_close(matrix.sum(-1), torch.ones_like(matrix.sum(-1)))


@both
@unhurried
@given(length=st.integers(1, 12))
def test_zero_mask_is_the_identity(perturbation, length):
    matrix = perturbation(torch.zeros(2, length))
    assert torch.equal(matrix, torch.eye(length).expand(2, -1, -1))


@unhurried
@given(mask=hard)
def test_hard_freeze_is_idempotent_and_hard_reverse_an_involution(mask):
    frozen, reversed_ = freeze(rows(mask)), reverse(rows(mask))
    assert torch.equal(frozen @ frozen, frozen)
    assert torch.equal(reversed_ @ reversed_, torch.eye(len(mask), dtype=torch.float64)[None])


@both
@unhurried
@given(batch=batches)
def test_a_batch_equals_one_by_one(perturbation, batch):
    alone = torch.cat([perturbation(rows(mask)) for mask in batch])
    assert torch.equal(perturbation(rows(*batch)), alone)


@pytest.mark.parametrize(
    ("perturbation", "plain"), [(freeze, plain_freeze), (reverse, plain_reverse)]
)
@unhurried
@given(mask=soft)
def test_matrices_equal_the_plain_loops(perturbation, plain, mask):
    clip = torch.randn(len(mask), 2, 2, 3, dtype=torch.float64)
    perturbed = perturb(clip.transpose(0, 1)[None], perturbation(rows(mask)))
    torch.testing.assert_close(perturbed[0].transpose(0, 1), plain(clip, mask))


@both
@settings(max_examples=15, deadline=None)
@given(mask=st.lists(st.floats(0.11, 0.99) | st.floats(0.01, 0.09), min_size=1, max_size=6))
def test_gradients_agree_with_finite_differences(perturbation, mask):
    assert torch.autograd.gradcheck(perturbation, rows(mask).requires_grad_())


@both
@pytest.mark.parametrize("value", [0.0, 0.1, 0.5, 1.0])
def test_gradients_of_constant_masks_are_finite(perturbation, value):
    mask = torch.full((2, 7), value, requires_grad=True)
    perturbation(mask).square().sum().backward()
    assert mask.grad.isfinite().all()


@both
@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.zeros(4), r"give a floating-point tensor \(B, T\)"),
        (torch.zeros(2, 4, dtype=torch.bool), "type torch.bool"),
        (torch.zeros(2, 0), "give a floating-point tensor"),
        (torch.tensor([[0.0, 1.1]]), r"outside \[0, 1\]: pass logits through a sigmoid"),
        (torch.tensor([[0.0, torch.nan]]), r"outside \[0, 1\]"),
    ],
)
def test_bad_masks_say_what_is_wanted(perturbation, mask, message):
    with pytest.raises(ValueError, match=message):
        perturbation(mask)


def test_perturb_refuses_a_matrix_of_other_clips():
    with pytest.raises(ValueError, match=r"do not fit: give clips as \(B, C, T, H, W\)"):
        perturb(torch.zeros(2, 3, 4, 5, 5), torch.zeros(2, 5, 5))

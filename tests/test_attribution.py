"""Attributions over time on networks whose decisive frames are known, and beside brute force."""

import pytest
import torch
from captum.attr import FeatureAblation
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import Transition, noise, ramp, small_net, state_of
from torch import nn

from vidlib.explain import (
    discriminative_crop,
    fade,
    freeze,
    integrated_gradients,
    occlusion,
    random_masks,
    reverse,
    score_clips,
    window_of,
)

pytestmark = pytest.mark.usefixtures("one_thread")

EVERY = [occlusion, integrated_gradients, random_masks, discriminative_crop]
every = pytest.mark.parametrize("attribute", EVERY)
SURE = torch.tensor(6.0).double().sigmoid().item()  # Transition's score of a ramp


class Additive(nn.Module):
    """The score of class 1 is 0.5 plus the sum of its frames' mean values."""

    def forward(self, clips):
        score = 0.5 + clips.mean((1, 3, 4)).sum(1)
        return torch.stack([1 - score, score], 1).log()


class Brightness(nn.Module):
    """Class 1 wins by the mean value of the whole clip."""

    def forward(self, clips):
        return torch.stack([torch.zeros(len(clips)), clips.mean((1, 2, 3, 4))], 1)


def frames_of(values):
    """One clip of 2 x 2 pixels whose frames have these values."""
    return torch.tensor(values, dtype=torch.float64)[None, None, :, None, None].expand(
        -1, -1, -1, 2, 2
    )


def score(net, clip, target):
    return net(clip[None]).softmax(1)[0, target].item()


def recorded(perturbation, masks):
    """The perturbation, which also appends to a list the masks it is asked for."""

    def record(mask):
        masks.append(mask)
        return perturbation(mask)

    return record


# ---------------------------------------------------------------- occlusion


def test_occlusion_finds_the_transition():
    # Freezing frame 5 removes the step; freezing frame 4 makes it a step of 2.
    doubled = torch.tensor(12.0).double().sigmoid().item()
    expected = [0, 0, 0, 0, SURE - doubled, SURE - 0.5, 0, 0]
    assert occlusion(Transition(5), ramp())[0].tolist() == pytest.approx(expected)


def test_a_wider_occlusion_reaches_the_transition_from_its_neighbours():
    drops = occlusion(Transition(5), ramp(), width=3)[0]
    assert drops[4:7].tolist() == pytest.approx([SURE - 0.5] * 3)
    assert (drops[[0, 1, 2, 3, 7]] < 1e-9).all()


@pytest.mark.parametrize("width", [1, 3, 5])
@pytest.mark.parametrize("perturbation", [freeze, reverse])
def test_occlusion_equals_brute_force(perturbation, width):
    clips, targets = noise(2, 2, 5, 3, 3), torch.tensor([2, 0])
    net = small_net(clips)
    drops = occlusion(net, clips, targets, perturbation=perturbation, width=width)
    net.eval()
    for row, target in enumerate(targets.tolist()):
        for t in range(5):
            window = [i for i in range(5) if abs(i - t) <= width // 2]
            frames = list(range(5))
            if perturbation is freeze:
                for i in window:
                    frames[i] = frames[max(i - 1, 0)]
            else:
                for i, j in zip(window, reversed(window), strict=True):
                    frames[i] = j
            original, perturbed = (score(net, clips[row][:, f], target) for f in (range(5), frames))
            assert drops[row, t].item() == pytest.approx(original - perturbed)


@pytest.mark.parametrize("perturbation", [freeze, fade])
def test_occlusion_agrees_with_captum(perturbation):
    clips, targets = noise(3, 2, 6, 3, 3), torch.tensor([1, 0, 2])
    net = small_net(clips)
    drops = occlusion(net, clips, targets, perturbation=perturbation)
    before = torch.cat([clips[:, :, :1], clips[:, :, :-1]], 2)
    mean = clips.mean(2, keepdim=True).expand_as(clips)
    ablated = FeatureAblation(lambda x: net.eval()(x).softmax(1)).attribute(
        clips,
        baselines=before if perturbation is freeze else mean,
        target=targets,
        feature_mask=torch.arange(6).view(1, 1, 6, 1, 1).expand(1, 2, 6, 3, 3),
    )
    torch.testing.assert_close(drops, ablated[:, 0, :, 0, 0])


# ---------------------------------------------------------------- integrated gradients


def test_integrated_gradients_by_hand():
    # Along the line the step grows from 0 to 1, so the mean slope by frame 5 is sigmoid(6) - 0.5,
    # and by frame 4 minus that. The ramp's mean is 3.5, from which they are 1.5 and 0.5 away.
    slope = SURE - 0.5
    expected = [0, 0, 0, 0, -0.5 * slope, 1.5 * slope, 0, 0]
    importances = integrated_gradients(Transition(5), ramp())
    assert importances[0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("given", [False, True])
def test_integrated_gradients_sum_to_the_difference_from_the_baseline(given):
    clips, targets = noise(3, 2, 6, 3, 3), torch.tensor([1, 0, 2])
    net = small_net(clips)
    start = clips.roll(1, 0) if given else clips.mean(2, keepdim=True).expand_as(clips)
    options = {"baseline": start} if given else {}
    importances = integrated_gradients(net, clips, targets, **options)
    own, from_ = (score_clips(net, x).gather(1, targets[:, None])[:, 0] for x in (clips, start))
    assert (own - from_).abs().max() > 0.1
    torch.testing.assert_close(importances.sum(1), own - from_, atol=1e-6, rtol=0)


def test_integrated_gradients_equal_a_plain_sum_along_the_line():
    clips = noise(1, 2, 4, 3, 3)
    net = small_net(clips)
    importances = integrated_gradients(net, clips, torch.tensor([2]), steps=100)
    net.eval()
    start = clips.mean(2, keepdim=True)
    total = torch.zeros_like(clips)
    for k in range(2000):
        point = (start + (k + 0.5) / 2000 * (clips - start)).requires_grad_()
        (gradient,) = torch.autograd.grad(net(point).softmax(1)[0, 2], point)
        total += gradient / 2000
    expected = (total * (clips - start)).sum((1, 3, 4))
    torch.testing.assert_close(importances, expected, atol=1e-5, rtol=0)


# ---------------------------------------------------------------- random masks


def test_random_masks_estimate_each_frames_part_of_an_additive_score():
    loses = torch.tensor([0.01, -0.05, 0.05, -0.02, 0.02, 0.04, 0.09, -0.06], dtype=torch.float64)
    loses = loses - loses.mean()  # so that a frame faded to the mean adds nothing
    masks = 4000
    importances = random_masks(
        Additive(),
        frames_of(loses.tolist()),
        torch.tensor([1]),
        perturbation=fade,
        masks=masks,
        micro_batch=500,
    )[0]
    # Each pair of masks gives for frame t its own part, plus or minus every other part.
    error = ((loses.square().sum() - loses.square()) / (masks / 2)).sqrt()
    assert ((importances - loses).abs() < 4 * error).all()
    assert error.max() < 0.1 * loses.abs().max()


def test_random_masks_find_the_transition():
    importances = random_masks(Transition(5), ramp())[0]
    assert importances.argmax() == 5
    assert importances[5].item() == pytest.approx(0.5, abs=0.01)  # 0.5 if frozen, else nearly 1
    assert importances[[0, 1, 2, 3, 6, 7]].abs().max() < 0.2


def test_random_masks_equal_brute_force_over_the_masks_drawn():
    clips, targets = noise(2, 2, 5, 3, 3), torch.tensor([2, 0])
    net, drawn = small_net(clips), []
    importances = random_masks(
        net, clips, targets, perturbation=recorded(freeze, drawn), masks=10, micro_batch=3
    )
    (masks,) = drawn
    assert masks.unique().tolist() == [0, 1]
    assert torch.equal(masks[:5], 1 - masks[5:])
    net.eval()
    for row, target in enumerate(targets.tolist()):
        scores = []
        for mask in masks.tolist():
            frames = list(range(5))
            for t in range(1, 5):
                frames[t] = frames[t - 1] if mask[t] else t
            scores.append(score(net, clips[row][:, frames], target))
        for t in range(5):
            kept = [s for s, mask in zip(scores, masks, strict=True) if not mask[t]]
            perturbed = [s for s, mask in zip(scores, masks, strict=True) if mask[t]]
            expected = sum(kept) / len(kept) - sum(perturbed) / len(perturbed)
            assert importances[row, t].item() == pytest.approx(expected)


def test_the_seed_fixes_the_masks_and_half_of_all_frames_are_perturbed():
    drawn = []
    for seed in (0, 0, 1):
        options = {"perturbation": recorded(freeze, drawn), "seed": seed}
        random_masks(Transition(5), ramp(), **options)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert drawn[0].shape == (256, 8)
    assert drawn[0].mean(0).tolist() == [0.5] * 8
    together = (drawn[0][:128, :-1] == drawn[0][:128, 1:]).double().mean()
    assert 0.4 < together < 0.6  # neighbours are independent


# ---------------------------------------------------------------- the most discriminative crop


@pytest.mark.parametrize(
    ("shortest", "crop"),
    [
        (1, [0, 0, 0, 1, 0, 0, 0, 0]),  # of equal crops the shortest, then the earliest
        (2, [0, 0, 0, 1, 1, 0, 0, 0]),
        (3, [0, 0, 0, 1, 1, 1, 0, 0]),
        (8, [1] * 8),
    ],
)
def test_the_crop_keeps_the_bright_frames(shortest, crop):
    clips = frames_of([0, 0, 0, 1, 1, 1, 0, 0])
    found = discriminative_crop(Brightness(), clips, torch.tensor([1]), shortest=shortest)
    assert found.tolist() == [crop]


def test_the_crop_by_default_has_two_frames_or_more():
    clips = frames_of([0, 0, 2, 1, 0, 0])
    assert discriminative_crop(Brightness(), clips, torch.tensor([1])).tolist() == [
        [0, 0, 1, 1, 0, 0]
    ]


@pytest.mark.parametrize("shortest", [1, 3])
def test_the_crop_equals_brute_force(shortest):
    clips, targets = noise(4, 2, 6, 3, 3), torch.tensor([2, 0, 1, 1])
    net = small_net(clips)
    found = discriminative_crop(net, clips, targets, shortest=shortest, micro_batch=4)
    net.eval()
    for row, target in enumerate(targets.tolist()):
        scores = {}
        for first in range(6):
            for last in range(first + shortest - 1, 6):
                frames = [first + round(t * (last - first) / 5) for t in range(6)]
                scores[first, last] = score(net, clips[row][:, frames], target)
        first, last = max(scores, key=scores.get)
        assert found[row].tolist() == [float(first <= t <= last) for t in range(6)]


# ---------------------------------------------------------------- windows


def test_windows_by_hand():
    importances = torch.tensor(
        [[0.0, 3, -1, 2, 2], [1, 1, 1, 1, 1], [5, 0, 0, 0, 9], [1, 2, 3, 4, 5]]
    )
    windows = window_of(importances, torch.tensor([2, 3, 0, 5]))
    assert windows.tolist() == [[0, 0, 0, 1, 1], [1, 1, 1, 0, 0], [0] * 5, [1] * 5]


@settings(deadline=None)
@given(row=st.lists(st.integers(-9, 9), min_size=1, max_size=9), data=st.data())
def test_no_other_window_has_a_greater_sum(row, data):
    length = data.draw(st.integers(0, len(row)))
    (window,) = window_of(torch.tensor([row]).double(), torch.tensor([length])).tolist()
    on = [t for t, value in enumerate(window) if value]
    assert set(window) <= {0, 1} and len(on) == length
    assert on == list(range(on[0], on[0] + length)) if on else length == 0
    sums = [sum(row[first : first + length]) for first in range(len(row) - length + 1)]
    assert not on or on[0] == sums.index(max(sums))


@pytest.mark.parametrize(
    ("importances", "lengths", "message"),
    [
        (torch.zeros(4), torch.tensor([1]), r"importances has shape \(4,\) .* give \(B, T\)"),
        (torch.full((1, 4), torch.nan), torch.tensor([1]), "all finite"),
        (
            torch.zeros(2, 4),
            torch.tensor([1]),
            r"lengths has shape \(1,\) .* each of 2 rows",
        ),
        (torch.zeros(1, 4), torch.tensor([1.5]), "lengths is 1.5: give a whole number"),
        (torch.zeros(1, 4), torch.tensor([5]), "lengths is 5: .* at most 4"),
        (torch.zeros(1, 4), torch.tensor([-1]), "lengths is -1: .* at least 0"),
    ],
)
def test_windows_refuse_what_they_cannot_use(importances, lengths, message):
    with pytest.raises(ValueError, match=message):
        window_of(importances, lengths)


# ---------------------------------------------------------------- all of them


@every
def test_a_clip_is_attributed_as_if_alone_whatever_the_micro_batch(attribute):
    clips = noise(4, 2, 6, 3, 3)
    net = small_net(clips)
    together = attribute(net, clips)
    alone = torch.cat([attribute(net, clip[None]) for clip in clips])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(attribute(net, clips, micro_batch=3), alone)
    assert together.shape == (4, 6) and not together.requires_grad


@every
def test_targets_default_to_the_guess(attribute):
    clips = noise(4, 2, 6, 3, 3)
    net = small_net(clips)
    guess = score_clips(net, clips).argmax(1)
    assert len(guess.unique()) > 1
    assert torch.equal(attribute(net, clips), attribute(net, clips, guess))
    assert not torch.equal(attribute(net, clips), attribute(net, clips, (guess + 1) % 3))


@every
@pytest.mark.parametrize("fails", [False, True])
def test_model_is_left_as_found_even_after_an_exception(attribute, fails):
    clips = noise(2, 2, 4, 3, 3).requires_grad_()
    net = small_net(clips)
    net[2].eval()
    net[5].bias.requires_grad_(False)
    net(clips).sum().backward()
    clips.grad, calls = None, []

    def watch(module, _inputs):
        calls.append(module)
        assert not any(m.training for m in module.modules())
        assert not any(p.requires_grad for p in module.parameters())
        if fails and len(calls) > 1:  # the clips themselves are scored in the first
            raise RuntimeError("broken")

    handle = net.register_forward_pre_hook(watch)
    modes, flags, grads = state_of(net)
    if fails:
        with pytest.raises(ValueError, match="broken"):
            attribute(net, clips)
    else:
        attribute(net, clips)
    handle.remove()
    after = state_of(net)
    assert (after[0], after[1]) == (modes, flags)
    for grad, now in zip(grads, after[2], strict=True):
        assert now is grad is None or torch.equal(now, grad)
    assert clips.grad is None
    assert not any(m._forward_hooks or m._backward_hooks for m in net.modules())


@every
@pytest.mark.parametrize(
    ("clips", "options", "message"),
    [
        (torch.zeros(1, 8, 2, 2), {}, r"floating-point clips \(B, C, T, H, W\)"),
        (torch.zeros(1, 1, 8, 2, 2, dtype=torch.uint8), {}, "type torch.uint8"),
        (ramp(), {"micro_batch": 0}, "micro_batch is 0"),
    ],
)
def test_bad_clips_stop_before_the_model_runs(attribute, clips, options, message):
    net = Transition(5)
    with pytest.raises(ValueError, match=message):
        attribute(net, clips, **options)
    assert net.calls == 0


@pytest.mark.parametrize(
    ("attribute", "options", "message"),
    [
        (occlusion, {"width": 2}, "width is 2: give an odd number"),
        (occlusion, {"width": 9}, "width is 9: .* at most 8"),
        (occlusion, {"width": -1}, "width is -1"),
        (integrated_gradients, {"steps": 0}, "steps is 0: .* at least 1"),
        (
            integrated_gradients,
            {"baseline": ramp(7)},
            r"baseline has shape \(1, 1, 7, 2, 2\) .* the clips' shape",
        ),
        (random_masks, {"masks": 0}, "masks is 0: .* at least 2"),
        (random_masks, {"masks": 7}, "masks is 7: give an even number"),
        (discriminative_crop, {"shortest": 0}, "shortest is 0: .* at least 1"),
        (discriminative_crop, {"shortest": 9}, "shortest is 9: .* at most 8"),
    ],
)
def test_bad_options_stop_before_the_model_runs(attribute, options, message):
    net = Transition(5)
    with pytest.raises(ValueError, match=message):
        attribute(net, ramp(), **options)
    assert net.calls == 0


@every
def test_bad_targets_are_named(attribute):
    with pytest.raises(ValueError, match=r"targets lie in \[2, 2\]: .* 0 to 1"):
        attribute(Transition(5), ramp(), torch.tensor([2]))

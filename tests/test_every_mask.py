"""Every mask there is: what follows from all scores, against slow definitions."""

from functools import partial
from itertools import combinations, permutations

import pytest
import torch
from networks import noise, small_net
from torch import nn

from vidlib.explain import (
    best_hard_mask,
    freeze,
    hold_next,
    learn_masks,
    penalty,
    perturb,
    score_all_masks,
    search_masks,
    shapley_interactions,
    shapley_values,
    smallest_sets,
)
from vidlib.models import CLSTM, I3D

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("perturbation", [freeze, hold_next])
def test_each_mask_is_there_once_with_its_own_logits(perturbation):
    x = noise(2, 2, 5, 3, 3)
    net = small_net(x)
    found = score_all_masks(net, x, perturbation=perturbation)
    stays = 0 if perturbation is freeze else 4
    assert found.masks.shape == (16, 5) and len(found.masks.unique(dim=0)) == 16
    assert not found.masks[:, stays].any()
    assert not found.masks[0].any() and found.masks[-1].sum() == 4
    for clip, logits in zip(x, found.logits, strict=True):
        shown = perturb(clip.expand(16, *clip.shape), perturbation(found.masks))
        torch.testing.assert_close(logits, net.eval()(shown).detach(), atol=1e-5, rtol=1e-4)
    scores = found.logits.softmax(2)
    torch.testing.assert_close(
        found.scores(), scores.gather(2, scores[:, :1].argmax(2, True).expand(-1, 16, 1))[..., 0]
    )
    torch.testing.assert_close(
        found.scores(torch.tensor([1, 0])), torch.stack([scores[0, :, 1], scores[1, :, 0]])
    )


@pytest.mark.parametrize(
    "network",
    [I3D(3, width=1 / 32), CLSTM(3, frames=7, size=(16, 16), layers=1, hidden=2)],
    ids=["i3d", "clstm"],
)
def test_networks_that_share_work_say_what_plain_passes_say(network, monkeypatch):
    x = torch.rand(2, 3, 7, 16, 16)
    shared = score_all_masks(network, x, micro_batch=5)
    monkeypatch.setattr(network, "shares_work", False)
    plain = score_all_masks(network, x, micro_batch=5)
    torch.testing.assert_close(shared.logits, plain.logits, atol=1e-5, rtol=1e-4)


def test_other_perturbations_and_long_clips_are_refused():
    x = noise(1, 2, 5, 3, 3)
    with pytest.raises(ValueError, match="perturbation"):
        score_all_masks(small_net(x), x, perturbation=perturb)
    long = noise(1, 1, 21, 1, 1)
    seen = []
    network = nn.Sequential(nn.Flatten(), nn.Linear(21, 2))
    network.register_forward_hook(lambda *call: seen.append(call))
    with pytest.raises(ValueError, match="frames"):
        score_all_masks(network, long)
    with pytest.raises(ValueError, match="perturbation"):
        score_all_masks(network, x, perturbation=partial(freeze))
    assert not seen  # the network is not asked first


# ---------------------------------------------------------------- the best hard mask


@pytest.mark.parametrize("weights", [(0.01, 0.02, 3), (0.001, 0.0, 1), (0.0, 0.2, 2)])
@pytest.mark.parametrize("perturbation", [freeze, hold_next])
def test_the_best_hard_mask_is_the_best_of_all_2_to_the_t(perturbation, weights):
    x = 3 * noise(3, 2, 5, 3, 3)
    net = small_net(x)
    masks = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 5)
    named = dict(zip(("l1", "tv", "beta"), weights, strict=True))
    mask, loss = best_hard_mask(score_all_masks(net, x, perturbation=perturbation), **named)
    for i, clip in enumerate(x):
        shown = perturb(clip.expand(32, *clip.shape), perturbation(masks))
        scores = net.eval()(shown).softmax(1)[:, net(clip[None]).argmax()].detach()
        losses = scores + penalty(masks, *weights)
        assert loss[i] == pytest.approx(losses.min().item(), abs=1e-5)
        own = (masks == mask[i]).all(1)
        assert losses[own].item() == pytest.approx(losses.min().item(), abs=1e-5)


def test_no_window_is_better_than_the_best_hard_mask_but_a_soft_mask_may_be():
    x = 3 * noise(8, 2, 6, 3, 3)
    net = small_net(x)
    _, best = best_hard_mask(score_all_masks(net, x))
    assert (search_masks(net, x).loss >= best - 1e-5).all()
    soft = learn_masks(net, x, iterations=60).loss
    assert (soft > best + 1e-4).any() and (soft < best - 1e-4).any()


# ---------------------------------------------------------------- sets and values


def test_smallest_sets_by_hand():
    size = torch.tensor([0, 1, 1, 2, 1, 2, 2, 3])
    good = torch.tensor([0, 0, 0, 1, 0, 0, 1, 1]).bool()
    assert smallest_sets(good, size).tolist() == [3, 6]
    assert smallest_sets(good & (size > 5), size).tolist() == []


def by_definition(scores, frames):
    """Shapley values as an average over all orders in which frames are frozen."""
    added = [0.0] * frames
    orders = list(permutations(range(frames)))
    for order in orders:
        frozen = 0
        for k in order:
            then = frozen | 1 << (frames - 1 - k)
            added[k] += (scores[frozen] - scores[then]) / len(orders)
            frozen = then
    return added


def pair_by_definition(scores, frames, i, j):
    """The interaction of two players: those two as one, less each without the other."""
    from math import factorial

    bit = [1 << (frames - 1 - k) for k in range(frames)]
    others = [k for k in range(frames) if k not in (i, j)]
    total = 0.0
    for count in range(len(others) + 1):
        weight = factorial(count) * factorial(frames - count - 2) / factorial(frames - 1)
        for chosen in combinations(others, count):
            s = sum(bit[k] for k in chosen)
            drop = [scores[0] - scores[s | extra] for extra in (0, bit[i], bit[j], bit[i] | bit[j])]
            total += weight * (drop[3] - drop[1] - drop[2] + drop[0])
    return total


def test_shapley_values_and_interactions_are_what_their_definitions_say():
    scores = torch.rand(2**5, generator=torch.Generator().manual_seed(0))
    values, pairs = shapley_values(scores), shapley_interactions(scores)
    torch.testing.assert_close(
        values.tolist(), by_definition(scores.tolist(), 5), atol=1e-6, rtol=0
    )
    for i, j in combinations(range(5), 2):
        expected = pair_by_definition(scores.tolist(), 5, i, j)
        assert pairs[i, j] == pairs[j, i] == pytest.approx(expected, abs=1e-6)
    assert not pairs.diagonal().any()


def test_values_sum_to_what_freezing_all_takes_and_idle_frames_get_none():
    scores = torch.rand(2**6, generator=torch.Generator().manual_seed(1))
    assert shapley_values(scores).sum() == pytest.approx((scores[0] - scores[-1]).item(), abs=1e-6)
    idle = scores[: 2**5].repeat(2)  # the first frame changes nothing
    assert shapley_values(idle)[0] == 0
    assert not shapley_interactions(idle)[0].any()
    assert shapley_values(scores)[0] != 0


def test_frames_that_only_together_decide():
    frozen = torch.cartesian_prod(*[torch.tensor([0, 1])] * 4)  # the masks, in their order
    scores = 1 - (frozen[:, 1] & frozen[:, 3]).float()
    torch.testing.assert_close(shapley_values(scores), torch.tensor([0, 0.5, 0, 0.5]))
    pairs = shapley_interactions(scores)
    assert pairs[1, 3] == pytest.approx(1) and pairs.sum() == pytest.approx(2)

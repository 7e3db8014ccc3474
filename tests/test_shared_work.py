"""What perturbations of a clip share is computed once, and comes to what plain passes say."""

import pytest
import torch
from networks import small_net
from torch import nn

from vidlib.explain import find_masks, freeze, learn_masks, perturb, reverse, search_masks
from vidlib.explain.objective import Objective
from vidlib.explain.perturb import frame_order, window_masks
from vidlib.models import CLSTM, I3D
from vidlib.models.i3d import distinct_runs

pytestmark = pytest.mark.usefixtures("one_thread")

NARROW = {"width": 1 / 16, "num_classes": 5}
FITTED = {"frames": 6, "size": (24, 20)}
SMALL = {"num_classes": 5, **FITTED, "hidden": 3}
NETWORKS = {
    "i3d": lambda: I3D(**NARROW),
    "strides": lambda: I3D(**NARROW, temporal_strides=(2, 2, 2), spatial_strides=(1, 2, 2, 1, 1)),
    "causal": lambda: I3D(**NARROW, causal=True, head="pairs"),
    "pixels": lambda: I3D(
        **NARROW, head="sequence", frames=6, size=(24, 20), input_range="0 to 255"
    ),
    "clstm": lambda: CLSTM(**SMALL, layers=2),
    "one layer": lambda: CLSTM(**SMALL, layers=1, head="average", input_range="0 to 255"),
    "last": lambda: CLSTM(**SMALL, layers=2, head="last", shared_norm=True, stride=(1, 2)),
}


def clips(count=2, frames=6):
    generator = torch.Generator().manual_seed(1)
    return 2 * torch.rand(count, 3, frames, 24, 20, generator=generator, dtype=torch.double) - 1


def made(name, seed=0):
    """Return a network whose BatchNorm has seen clips, so that its answer depends on a clip."""
    torch.manual_seed(seed)
    network = NETWORKS[name]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias, std=0.3)
    with torch.no_grad():
        network.train()(clips(8).float())
    return network.eval().double()  # so that no rounding hides an error


@pytest.fixture(params=NETWORKS)
def network(request):
    return made(request.param)


def test_frames_mixed_after_the_first_layer_are_frames_mixed_before_it(network):
    x = clips()
    generator = torch.Generator().manual_seed(2)
    masks = torch.rand(2, 6, generator=generator, dtype=torch.double).requires_grad_()
    found = {}
    for way in ("plain", "shared"):
        matrices = freeze(masks)
        if way == "plain":
            logits = network(perturb(x, matrices))
        else:
            logits = network.of_mixed(network.frame_responses(x), matrices)
        found[way] = logits, torch.autograd.grad(logits.square().sum(), masks)[0]
    for plain, shared in zip(*found.values(), strict=True):
        torch.testing.assert_close(shared, plain, atol=1e-10, rtol=1e-8)
    assert found["plain"][1].abs().max() > 1e-4


@pytest.mark.parametrize("most", [1, 3, 100])
def test_orders_of_a_clip_get_what_each_gets_alone(network, most):
    x = clips(1)
    generator = torch.Generator().manual_seed(3)
    orders = torch.randint(6, (20, 6), generator=generator)
    orders = torch.cat([orders, orders[:3], torch.arange(6)[None]])  # some twice
    with torch.no_grad():
        plain = torch.cat([network(x[:, :, order]) for order in orders])
        found = network.of_orders(network.frame_responses(x), orders, most)
    torch.testing.assert_close(found, plain, atol=1e-10, rtol=1e-8)
    assert plain.std(0).max() > 1e-3


@pytest.mark.parametrize("name", ["i3d", "clstm"])
def test_masks_and_windows_are_those_of_plain_passes(name, monkeypatch):
    network, x = made(name), clips(3)
    options = {"l1": 1e-4, "tv": 1e-4, "micro_batch": 2}  # or the best mask of such nets is none

    def all_ways():
        yield from (search_masks(network, x, perturbation=p, **options) for p in (freeze, reverse))
        yield learn_masks(network, x, iterations=5, **options)
        yield learn_masks(network, x, iterations=5, procedure="paper", **options)
        yield find_masks(network, x, **options)

    shared = list(all_ways())
    monkeypatch.setattr(network, "shares_work", False)
    for ours, plain in zip(shared, all_ways(), strict=True):
        for what in ("mask", "loss", "score", "original_score", "landscape", "path"):
            one, other = getattr(ours, what), getattr(plain, what)
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-7, equal_nan=True)


def windows(frames):
    first, last = torch.triu_indices(frames, frames)
    return frame_order(freeze(window_masks(first, last, frames).float())).unique(dim=0)


def all_orders(frames):
    bits = torch.arange(2 ** (frames - 1))[:, None] >> torch.arange(frames - 1) & 1
    masks = torch.nn.functional.pad(bits.float(), (1, 0))
    return frame_order(freeze(masks))


def counted_runs(orders):
    """Count, with sets, the distinct runs of frames that the first two convolutions see."""
    first, second = set(), set()
    for order in orders.tolist():
        padded = [-1] * 3 + order + [-1] * 3
        runs = [tuple(padded[t : t + 7]) for t in range(len(order))]
        first |= set(runs)
        runs = [None, *runs, None]
        second |= {tuple(runs[t : t + 3]) for t in range(len(order))}
    return len(first), len(second)


@pytest.mark.parametrize(("orders", "wanted"), [(windows(16), (721, 918)), (all_orders(10), None)])
def test_i3d_computes_each_run_of_frames_once(orders, wanted, monkeypatch):
    network = I3D(2, width=1 / 64)
    seen = []
    monkeypatch.setattr(
        "vidlib.models.i3d.distinct_runs",
        lambda *args: seen.append(distinct_runs(*args)) or seen[-1],
    )
    frames = orders.shape[1]
    x = torch.rand(1, 3, frames, 8, 8)
    with torch.no_grad():
        network.eval().of_orders(network.frame_responses(x), orders, 64)
    found = tuple(len(runs) for runs, _ in seen)
    assert found == counted_runs(orders) == (wanted or found)
    assert sum(found) < orders.numel()


@pytest.mark.parametrize(("orders", "wanted"), [(windows(16), 696), (all_orders(10), 2**10 - 1)])
def test_clstm_computes_each_beginning_once(orders, wanted):
    network = CLSTM(2, frames=orders.shape[1], size=(8, 8), layers=1, stride=1, hidden=2).eval()
    steps = []
    network.layers[0].cell.register_forward_hook(lambda _m, given, _o: steps.append(len(given[0])))
    beginnings = {tuple(order[: t + 1]) for order in orders.tolist() for t in range(len(order))}
    with torch.no_grad():
        network.of_orders(
            network.frame_responses(torch.rand(1, 3, orders.shape[1], 8, 8)), orders, 9
        )
    assert max(steps) <= 9
    assert sum(steps) == len(beginnings) == wanted < orders.numel()


class Louder(I3D):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize("why", ["foreign", "bidirectional", "forward", "hook"])
def test_plain_passes_where_a_network_offers_nothing_else_or_something_is_in_the_way(why):
    x = clips()
    torch.manual_seed(0)
    network = {
        "foreign": lambda: small_net(x),
        "bidirectional": lambda: CLSTM(**SMALL, layers=1, bidirectional=True),
        "forward": lambda: Louder(**NARROW),
        "hook": lambda: made("i3d"),
    }[why]()
    network = network.double()
    if why == "hook":
        network.Conv3d_1a_7x7.register_forward_hook(lambda _m, _i, output: output + 1)
    objective = Objective(network, x)
    assert not objective.shares
    masks = torch.rand(2, 6, dtype=torch.double)
    with torch.no_grad():
        plain = network.eval()(perturb(x, freeze(masks))).softmax(1)
    expected = plain.gather(1, objective.targets[:, None])[:, 0]
    torch.testing.assert_close(objective.under_masks(masks), expected)


def test_what_is_kept_of_frames_counts_in_the_micro_batch(monkeypatch):
    from vidlib.explain import scores

    network, x = made("i3d"), clips()
    kept = network.frame_responses(x[:1]).nbytes
    monkeypatch.setattr(network, "shares_work", False)
    monkeypatch.setattr(scores, "LARGEST_BATCH", 10**9)
    monkeypatch.setattr(scores, "ROOM", 10**12)
    without = 10**12 / scores.fitting_batch(network, x)
    monkeypatch.setattr(network, "shares_work", True)
    assert 10**12 / scores.fitting_batch(network, x) == pytest.approx(without + kept, rel=1e-3)


def test_networks_in_double_precision_and_clips_in_another_type():
    network, x = made("clstm"), clips().half()
    objective = Objective(network, x)
    assert objective.shares
    assert objective.under_masks(torch.rand(2, 6)).isfinite().all()

"""The two networks against slow references of the same equations, written without their code."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from vidlib.models import CLSTM, I3D
from vidlib.models.anatomy import temporal_reach
from vidlib.models.i3d import causal_padding, same_padding

QUICK = (2, 2, 2, 1, 1)


pytestmark = pytest.mark.usefixtures("one_thread")


def randomised(net, seed=0):
    """Give every parameter and statistic a value that a mistake in its use would show."""
    torch.manual_seed(seed)
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif value.is_floating_point() and value.ndim == 1:
            value.uniform_(-0.5, 1.0)
        elif value.is_floating_point():
            value.normal_(0, (2 / value[0].numel()) ** 0.5)
    return net.double().eval()


def random_clips(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1


def outputs_of(module, net, clips):
    found = []
    handle = module.register_forward_hook(lambda _m, _i, output: found.append(output))
    with torch.no_grad():
        net(clips)
    handle.remove()
    return found


# ---------------------------------------------------------------- parameter counts and shapes


def test_parameter_counts_are_the_published_ones():
    def count(net):
        return sum(p.numel() for p in net.parameters())

    assert count(I3D(174)) == 12_465_614
    assert count(CLSTM(174, shared_norm=True)) == 1_324_014
    assert count(CLSTM(174)) == 1_324_142


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"),
    [
        (224, 7, 2, (2, 3)),  # 112 windows reach 2 * 111 + 7 = 229
        (16, 7, 1, (3, 3)),
        (112, 3, 2, (0, 1)),
        (7, 3, 2, (1, 1)),
        (7, 2, 2, (0, 1)),
        (8, 2, 2, (0, 0)),
        (8, 2, 1, (0, 1)),
        (4, 1, 3, (0, 0)),
    ],
)
def test_same_padding_by_hand(size, kernel, stride, pads):
    assert same_padding(size, kernel, stride) == pads


@pytest.mark.parametrize(
    ("frames", "pixels", "strides", "options", "expected"),
    [
        (16, 224, (2, 2, 2, 2, 2), {}, (8, 7, 7)),
        (16, 56, QUICK, {}, (8, 7, 7)),
        (16, 56, QUICK, {"temporal_strides": (1, 1, 2)}, (8, 7, 7)),
        (32, 60, QUICK, {}, (16, 8, 8)),
        (5, 33, (2, 2, 2, 2, 2), {}, (3, 2, 2)),
        (64, 56, QUICK, {"temporal_strides": (2, 2, 2)}, (8, 7, 7)),  # the original
        (9, 56, QUICK, {"temporal_strides": (2, 2, 2)}, (2, 7, 7)),
        (32, 56, QUICK, {"temporal_strides": (2, 2, 2)}, (4, 7, 7)),  # the authors' for KTH
    ],
)
def test_i3d_halves_time_once_and_the_original_thrice(frames, pixels, strides, options, expected):
    net = I3D(3, width=1 / 64, spatial_strides=strides, **options).eval()
    (map_,) = outputs_of(net.gradcam_layer, net, torch.zeros(1, 3, frames, pixels, pixels))
    assert net.gradcam_layer is net.Mixed_5c
    assert map_.shape[2:] == expected


def test_i3d_state_dict_is_the_usual_one():
    state = I3D(5, width=1 / 16).state_dict()
    names = {
        "Conv3d_1a_7x7.conv3d.weight": (4, 3, 7, 7, 7),
        "Conv3d_2c_3x3.bn.running_var": (12,),
        "Mixed_3b.b0.conv3d.weight": (4, 12, 1, 1, 1),
        "Mixed_4d.b1b.conv3d.weight": (16, 8, 3, 3, 3),
        "Mixed_5c.b3b.bn.bias": (8,),
        "logits.conv3d.weight": (5, 64, 1, 1, 1),
        "logits.conv3d.bias": (5,),
    }
    assert {name: tuple(state[name].shape) for name in names} == names
    assert len(state) == 57 * 6 + 2  # 57 convolutions with BatchNorm, and the last with its bias
    assert all(value.is_contiguous() for value in state.values())  # as safetensors wants them


# ---------------------------------------------------------------- I3D, pad by pad


def reference_pad(x, kernel, stride, value, causal):
    for axis, (k, s) in enumerate(zip(kernel, stride, strict=True), start=2):
        windows = len(range(0, x.shape[axis], s))
        missing = max(0, (windows - 1) * s + k - x.shape[axis])
        ahead = missing // 2
        if causal and axis == 2:  # the first window ends with the first frames it stands for
            ahead = k - min(s, k)
        before = x.new_full([*x.shape[:axis], ahead, *x.shape[axis + 1 :]], value)
        after = x.new_full([*x.shape[:axis], max(0, missing - ahead), *x.shape[axis + 1 :]], value)
        x = torch.cat([before, x, after], axis)
    return x


def reference_windows(x, kernel, stride, value, causal=False):
    """Yield each kernel position with the strided slice of the padded clip that it meets."""
    sizes = [len(range(0, n, s)) for n, s in zip(x.shape[2:], stride, strict=True)]
    x = reference_pad(x, kernel, stride, value, causal)
    for offset in product(*map(range, kernel)):
        slices = [
            slice(o, o + (n - 1) * s + 1, s) for o, n, s in zip(offset, sizes, stride, strict=True)
        ]
        yield offset, x[(slice(None), slice(None), *slices)]


def reference_pool(x, kernel, stride, causal):
    windows = reference_windows(x, kernel, stride, -torch.inf, causal)
    return torch.stack([w for _, w in windows]).amax(0)


def reference_unit(state, name, x, kernel, causal, stride=(1, 1, 1)):
    weight = state[f"{name}.conv3d.weight"]
    x = sum(
        torch.einsum("bcthw,kc->bkthw", w, weight[(slice(None), slice(None), *offset)])
        for offset, w in reference_windows(x, (kernel,) * 3, stride, 0.0, causal)
    )
    bn = [
        state[f"{name}.bn.{k}"][:, None, None, None]
        for k in ("weight", "bias", "running_mean", "running_var")
    ]
    return ((x - bn[2]) / (bn[3] + 1e-3).sqrt() * bn[0] + bn[1]).clamp(min=0)


def reference_inception(state, name, x, causal):
    def unit(branch, x, kernel):
        return reference_unit(state, f"{name}.{branch}", x, kernel, causal)

    b0 = unit("b0", x, 1)
    b1 = unit("b1b", unit("b1a", x, 1), 3)
    b2 = unit("b2b", unit("b2a", x, 1), 3)
    b3 = unit("b3b", reference_pool(x, (3, 3, 3), (1, 1, 1), causal), 1)
    return torch.cat([b0, b1, b2, b3], 1)


def reference_i3d(state, x, s, temporal_strides, head, causal=False):
    t1, t4, t5 = temporal_strides
    x = reference_unit(state, "Conv3d_1a_7x7", x, 7, causal, (t1, s[0], s[0]))
    x = reference_pool(x, (1, 3, 3), (1, s[1], s[1]), causal)
    x = reference_unit(state, "Conv3d_2b_1x1", x, 1, causal)
    x = reference_unit(state, "Conv3d_2c_3x3", x, 3, causal)
    x = reference_pool(x, (1, 3, 3), (1, s[2], s[2]), causal)
    x = reference_inception(state, "Mixed_3b", x, causal)
    x = reference_inception(state, "Mixed_3c", x, causal)
    x = reference_pool(x, (3, 3, 3), (t4, s[3], s[3]), causal)
    for letter in "bcdef":
        x = reference_inception(state, f"Mixed_4{letter}", x, causal)
    x = reference_pool(x, (2, 2, 2), (t5, s[4], s[4]), causal)
    x = reference_inception(state, "Mixed_5b", x, causal)
    x = reference_inception(state, "Mixed_5c", x, causal)
    if head == "sequence":
        return x.flatten(1) @ state["logits.weight"].T + state["logits.bias"]
    weight, bias = state["logits.conv3d.weight"][:, :, 0, 0, 0], state["logits.conv3d.bias"]
    if head == "average":
        return x.mean((2, 3, 4)) @ weight.T + bias
    windows = nn.functional.avg_pool3d(x, (2, 7, 7), stride=1)  # as the original has it
    logits = [window.flatten(1) @ weight.T + bias for window in windows.unbind(2)]
    return sum(logits) / len(logits)


@pytest.mark.parametrize(
    ("frames", "height", "width", "strides", "temporal_strides", "head", "causal"),
    [
        (8, 24, 24, QUICK, (1, 2, 1), "average", False),
        (7, 33, 20, (2, 2, 2, 2, 2), (1, 1, 2), "average", False),
        (21, 49, 56, QUICK, (2, 2, 2), "pairs", False),  # 3 steps of 7 by 7
        (8, 24, 24, QUICK, (1, 2, 1), "average", True),
        (9, 20, 33, QUICK, (2, 2, 2), "average", True),
        (7, 24, 18, QUICK, (1, 2, 1), "sequence", False),
    ],
)
def test_i3d_equals_the_plain_reference(
    frames, height, width, strides, temporal_strides, head, causal
):
    options = {"temporal_strides": temporal_strides, "head": head, "causal": causal}
    if head == "sequence":
        options |= {"frames": frames, "size": (height, width)}
    net = randomised(I3D(5, width=1 / 32, spatial_strides=strides, **options))
    clips = random_clips(2, 3, frames, height, width)
    with torch.no_grad():
        state = net.state_dict()
        expected = reference_i3d(state, clips, strides, temporal_strides, head, causal)
        torch.testing.assert_close(net(clips), expected, atol=1e-8, rtol=1e-8)
        torch.testing.assert_close(
            net.float()(clips.float()).double(), expected, atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"),
    [
        (16, 7, 1, (6, 0)),
        (16, 3, 2, (1, 0)),  # windows end at 1, 3, ..., 15
        (15, 3, 2, (1, 1)),  # the last would end at 15
        (16, 2, 2, (0, 0)),
        (16, 1, 2, (0, 0)),
        (5, 1, 1, (0, 0)),
    ],
)
def test_causal_padding_by_hand(size, kernel, stride, pads):
    assert causal_padding(size, kernel, stride) == pads


@pytest.mark.parametrize("temporal_strides", [(1, 2, 1), (1, 1, 2), (2, 2, 2)])
@pytest.mark.parametrize("frames", [16, 13])
def test_a_causal_i3d_never_sees_ahead_and_misses_no_frame(frames, temporal_strides):
    """By gradients: which frames each step of Mixed_5c depends on."""
    step = math.prod(temporal_strides)
    for causal in (True, False):
        options = {"temporal_strides": temporal_strides, "causal": causal}
        net = randomised(I3D(3, width=1 / 16, spatial_strides=QUICK, **options))
        reach = temporal_reach(net, random_clips(1, 3, frames, 24, 24))
        assert reach.shape == (-(-frames // step), frames)
        ahead = [reach[t, (t + 1) * step :].any() for t in range(len(reach))]
        assert any(ahead) != causal
        assert reach.any(0).all() and all(row[t * step] for t, row in enumerate(reach))


def test_pairs_of_one_time_step_or_of_two_are_the_plain_mean():
    for frames in (8, 16):
        nets = [
            randomised(
                I3D(5, width=1 / 32, spatial_strides=QUICK, temporal_strides=(2, 2, 2), head=how)
            )
            for how in ("average", "pairs")
        ]
        clips = random_clips(1, 3, frames, 24, 24)
        torch.testing.assert_close(*(net(clips) for net in nets), atol=1e-8, rtol=1e-8)


# ---------------------------------------------------------------- C-LSTM, cell by cell


def reference_layer(inner, sequence, stride, hidden):
    padding = inner.conv.kernel_size[0] // 2
    w_x, w_h = inner.conv.weight.split(hidden), inner.cell.conv.weight.split(hidden)
    bias = inner.conv.bias.split(hidden)
    h = c = None
    outputs = []
    for x in sequence:
        terms = [
            nn.functional.conv2d(x[None], w_x[k], bias[k], stride, padding)[0] for k in range(4)
        ]
        if h is None:
            h = c = torch.zeros_like(terms[0])
        terms = [
            terms[k] + nn.functional.conv2d(h[None], w_h[k], None, 1, padding)[0] for k in range(4)
        ]
        i, f, o = (1 / (1 + torch.exp(-terms[k])) for k in range(3))
        c = f * c + i * torch.tanh(terms[3])
        h = o * torch.tanh(c)
        outputs.append(h)
    return outputs


def reference_clstm(net, clips, strides, hidden):
    """Eight separate convolutions per layer and step, one clip and one cell at a time."""
    logits = []
    for clip in clips:
        sequence = list(clip.unbind(1))
        for index, stride in enumerate(strides):
            outputs = reference_layer(net.layers[index], sequence, stride, hidden)
            if net.bidirectional:
                other = net.backward_layers[index]
                back = reference_layer(other, sequence[::-1], stride, hidden)[::-1]
                outputs = [torch.cat(both) for both in zip(outputs, back, strict=True)]
            norm = net.norms[index if len(net.norms) > 1 else 0]
            mean, var, weight, bias = (
                v[:, None, None]
                for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
            )
            sequence = []
            for h in outputs:
                y = (h - mean) / (var + norm.eps).sqrt() * weight + bias
                rows, columns = y.shape[1] // 2 * 2, y.shape[2] // 2 * 2
                y = y[:, :rows, :columns]
                corners = [y[:, a::2, b::2] for a in (0, 1) for b in (0, 1)]
                sequence.append(torch.stack(corners).amax(0))
        features = {
            "sequence": torch.cat([y.flatten() for y in sequence]),
            "last": sequence[-1].flatten(),
            "average": sum(y.mean((1, 2)) for y in sequence) / len(sequence),
        }[net.head]
        logits.append(net.linear.weight @ features + net.linear.bias)
    return torch.stack(logits)


@pytest.mark.parametrize(
    ("size", "stride", "options"),
    [
        ((24, 24), (2, 1, 1), {}),
        ((29, 35), 2, {"layers": 2, "head": "last"}),
        ((25, 18), (2, 1), {"layers": 2, "kernel": 3, "shared_norm": True, "head": "average"}),
        ((13, 14), 1, {"layers": 2, "shared_norm": True}),
        ((24, 20), (2, 1), {"layers": 2, "bidirectional": True}),
        ((24, 20), (2, 1), {"layers": 2, "bidirectional": True, "head": "average"}),
        ((64, 64), (1, 1, 1, 1, 1), {"layers": 5}),
        ((36, 33), (1, 1, 1, 1), {"layers": 4}),
    ],
)
def test_clstm_equals_the_plain_reference(size, stride, options):
    net = randomised(CLSTM(5, frames=4, size=size, hidden=3, stride=stride, **options))
    clips = random_clips(2, 3, 4, *size)
    strides = [stride] * len(net.layers) if isinstance(stride, int) else stride
    with torch.no_grad():
        expected = reference_clstm(net, clips, strides, 3)
        torch.testing.assert_close(net(clips), expected, atol=1e-8, rtol=1e-8)
        torch.testing.assert_close(
            net.float()(clips.float()).double(), expected, atol=1e-5, rtol=1e-5
        )


def gradients_of(score, net, clips):
    found = torch.autograd.grad(score.square().sum(), [clips, *net.parameters()])
    return [one / one.abs().max().clamp(min=1e-12) for one in found]


@pytest.mark.parametrize("options", [{}, {"causal": True}])
def test_gradients_of_i3d_are_those_of_the_plain_reference(options):
    net = randomised(I3D(5, width=1 / 32, spatial_strides=QUICK, **options))
    clips = random_clips(2, 3, 8, 24, 24).requires_grad_()
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    expected = reference_i3d(state, clips, QUICK, (1, 2, 1), "average", **options)
    torch.testing.assert_close(
        gradients_of(net(clips), net, clips),
        gradients_of(expected, net, clips),
        atol=1e-8,
        rtol=1e-6,
    )


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"shared_norm": True}])
def test_gradients_of_clstm_are_those_of_the_plain_reference(options):
    net = randomised(CLSTM(5, frames=4, size=(16, 18), layers=2, hidden=3, stride=1, **options))
    clips = random_clips(2, 3, 4, 16, 18).requires_grad_()
    expected = reference_clstm(net, clips, (1, 1), 3)
    torch.testing.assert_close(
        gradients_of(net(clips), net, clips),
        gradients_of(expected, net, clips),
        atol=1e-8,
        rtol=1e-6,
    )


def test_clstm_norms_are_one_or_one_per_layer():
    assert len(CLSTM(2, size=(64, 64), shared_norm=True).norms) == 1
    assert len(CLSTM(2, size=(64, 64)).norms) == 3


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"head": "average"}])
def test_clstm_shows_its_last_maps_after_pooling(options):
    net = randomised(CLSTM(5, frames=4, size=(16, 18), layers=2, hidden=3, stride=1, **options))
    clips = random_clips(2, 3, 4, 16, 18)
    (pooled,) = outputs_of(net.pooled, net, clips)
    assert pooled.shape == (2, net.norms[-1].num_features, 4, 4, 4)
    if "bidirectional" in options:
        (before,) = outputs_of(net.gradcam_layer, net, clips)
    else:
        before = torch.stack([h for h, _ in outputs_of(net.gradcam_layer, net, clips)], 2)
    with torch.no_grad():
        for t in range(4):
            expected = nn.functional.max_pool2d(net.norms[-1](before[:, :, t]), 2)
            torch.testing.assert_close(pooled[:, :, t], expected)
        features = pooled.mean((2, 3, 4)) if "head" in options else pooled.transpose(1, 2)
        torch.testing.assert_close(net.linear(features.flatten(1)), net(clips))
    assert not [name for name in net.state_dict() if name.startswith(("pooled", "joined"))]


def test_clstm_dropout_is_between_layers_only():
    torch.manual_seed(0)
    clips = random_clips(1, 3, 2, 16, 16).float()
    one = CLSTM(2, frames=2, size=(16, 16), layers=1, hidden=2, dropout=0.9)
    two = CLSTM(2, frames=2, size=(16, 16), layers=2, hidden=2, dropout=0.9)
    assert torch.equal(one(clips), one(clips))
    assert not torch.equal(two(clips), two(clips))


# ---------------------------------------------------------------- batches and time


def small_nets():
    return [
        randomised(I3D(4, width=1 / 16, spatial_strides=QUICK)),
        randomised(CLSTM(4, frames=6, size=(24, 24), hidden=3, stride=(2, 1, 1))),
    ]


def test_a_clip_does_not_depend_on_its_batch():
    clips = random_clips(3, 3, 6, 24, 24)
    for net in small_nets():
        with torch.no_grad():
            alone = torch.cat([net(clip[None]) for clip in clips])
            together = net(clips)
            shuffled = net(clips[[2, 0, 1]])[[1, 2, 0]]
        torch.testing.assert_close(together, alone, atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(shuffled, alone, atol=1e-10, rtol=1e-10)


def test_which_frames_each_step_depends_on():
    i3d, clstm = small_nets()
    clips = random_clips(1, 3, 6, 24, 24)
    back = temporal_reach(clstm, clips)
    assert np.array_equal(back, np.tril(np.ones((6, 6), bool)))
    both = randomised(CLSTM(4, frames=6, size=(24, 24), hidden=3, stride=(2, 1, 1),
                            bidirectional=True))  # fmt: skip
    assert temporal_reach(both, clips).all()
    assert temporal_reach(i3d, clips).all()
    first = temporal_reach(i3d, clips, i3d.Conv3d_1a_7x7)  # seven frames wide
    frames = np.arange(6)
    assert np.array_equal(first, abs(frames[:, None] - frames) <= 3)


def test_the_controls_have_the_capacity_they_claim():
    def count(net):
        return sum(p.numel() for p in net.parameters())

    assert count(I3D(174, causal=True)) == count(I3D(174))
    deep = CLSTM(174, layers=5, stride=(2, 2, 1, 1, 1))
    assert len(deep.layers) == len(deep.norms) == 5
    # The paper's for KTH: gates of 3 and of 32 channels, each with those of h; norms; the linear
    # layer on 32 steps of 32 maps of 7 by 10 (120 and 160 halved four times).
    kth = CLSTM(6, frames=32, size=(120, 160), layers=2, hidden=32, dropout=0.5)
    gates = (3 + 32) * 128 * 25 + 128 + (32 + 32) * 128 * 25 + 128
    assert count(kth) == gates + 2 * 64 + 32 * 32 * 7 * 10 * 6 + 6 and kth.dropout.p == 0.5
    assert kth(torch.zeros(1, 3, 32, 120, 160)).shape == (1, 6)


def test_clstm_looks_back_only_and_i3d_both_ways():
    i3d, clstm = small_nets()
    clips = random_clips(1, 3, 6, 24, 24)
    later = clips.clone()
    later[:, :, 4:] *= -1
    before, after = (outputs_of(clstm.gradcam_layer, clstm, x) for x in (clips, later))
    assert len(before) == 6  # one call per time step
    for t, ((h, _), (changed, _)) in enumerate(zip(before, after, strict=True)):
        assert torch.equal(h, changed) == (t < 4)
    (map_,), (changed,) = (outputs_of(i3d.gradcam_layer, i3d, x) for x in (clips, later))
    assert not torch.allclose(map_[:, :, 0], changed[:, :, 0])


# ---------------------------------------------------------------- what a network is fed, and norms


@pytest.mark.parametrize("network", [I3D, CLSTM])
def test_layers_see_pixels_from_0_to_255_where_asked(network):
    own = {"width": 1 / 16} if network is I3D else {"frames": 4, "layers": 2, "stride": 1}
    plain = randomised(network(3, size=(16, 20), **own))
    wide = randomised(network(3, size=(16, 20), input_range="0 to 255", **own))
    pixels = (255 * random_clips(2, 3, 4, 16, 20).abs()).round()
    with torch.no_grad():
        expected = plain(pixels)
        torch.testing.assert_close(wide(pixels / 127.5 - 1), expected)
        assert not torch.allclose(plain(pixels / 127.5 - 1), expected)


def test_batchnorm_takes_the_share_of_the_newest_batch_that_is_asked_for():
    net = I3D(2, width=1 / 32, bn_momentum=0.25).double()
    norms = [one for one in net.modules() if isinstance(one, nn.BatchNorm3d)]
    assert len(norms) == 57 and {one.momentum for one in norms} == {0.25}
    first = net.Conv3d_1a_7x7
    seen = []
    first.bn.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    net(random_clips(1, 3, 4, 16, 16))
    torch.testing.assert_close(first.bn.running_mean, 0.25 * seen[0].mean((0, 2, 3, 4)))


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: I3D(0), "num_classes is 0"),
        (lambda: I3D(2, width=0), "width is 0: .* above 0"),
        (lambda: I3D(2, width=math.nan), "width is nan: .* above 0"),
        (
            lambda: I3D(2, spatial_strides=(2.5, 2, 2, 2, 2)),
            "spatial_strides .* give 5 whole numbers",
        ),
        (lambda: I3D(2, spatial_strides=2), "spatial_strides is 2: give 5 whole numbers"),
        (lambda: I3D(2, head="sequence", frames=0), "frames is 0"),
        (
            lambda: I3D(2, head="sequence", size=32),
            "size is 32: give 2 whole numbers",
        ),
        (lambda: CLSTM(2, size=224), "size is 224: give 2 whole numbers"),
        (lambda: I3D(2, spatial_strides=(2, 2, 2)), "spatial_strides .* give 5 whole numbers"),
        (lambda: I3D(2, temporal_strides=(2, 2)), "temporal_strides .* give 3 whole numbers"),
        (
            lambda: I3D(2, width=1 / 32, head="sequence", size=(32, 32))(
                torch.zeros(1, 3, 9, 32, 32)
            ),
            r"give .*3, 16, 32, 32\)",
        ),
        (lambda: I3D(2, temporal_strides=(1, 0, 2)), r"temporal_strides is \(1, 0, 2\)"),
        (lambda: I3D(2, bn_momentum=1.5), r"bn_momentum is 1\.5: .* at most 1"),
        (lambda: I3D(2, input_range="0-255"), "input_range is '0-255'.*: give one of -1 to 1, 0"),
        (lambda: CLSTM(2, input_range=255), "input_range is 255: give one of -1 to 1, 0 to 255"),
        (lambda: I3D(2, head="max"), "head is 'max'.*: give one of average, pairs, sequence"),
        (lambda: CLSTM(2, layers=0), "layers is 0"),
        (lambda: CLSTM(2, kernel=4), "kernel is 4: .*odd"),
        (lambda: CLSTM(2, stride=(2, 1)), "stride is .* give 3 whole numbers"),
        (lambda: CLSTM(2, stride=0), "stride is .*0"),
        (lambda: CLSTM(2, size=(32, 32)), "leaves no pixel after 3 layers"),
        (lambda: CLSTM(2, head="mean"), "head is 'mean'.*: give one of sequence, last, average"),
    ],
)
def test_impossible_networks_say_why(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_unfit_input_says_what_fits():
    net = CLSTM(2, frames=4, size=(16, 20), layers=1)
    for shape in [(1, 3, 5, 16, 20), (1, 3, 4, 20, 16), (3, 4, 16, 20)]:
        with pytest.raises(ValueError, match=r"clips has .* give \(B, 3, 4, 16, 20\)"):
            net(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"clips has .* give clips \(B, 3, T, H, W\)"):
        I3D(2, width=1 / 16)(torch.zeros(1, 16, 3, 8, 8))

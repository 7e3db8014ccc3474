"""Grad-CAM against values worked by hand, finite differences, plain autograd and its peers."""

from functools import cache, partial
from itertools import product

import cv2
import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vidlib.explain import grad_cam
from vidlib.explain.gradcam import channels_last, token_grid
from vidlib.models import CLSTM, I3D
from vidlib.models.clstm import ConvLSTMCell

pytestmark = pytest.mark.usefixtures("one_thread")


class Linear3d(nn.Module):
    """Two channels, A_1 = x and A_2 = -x, and a linear layer over all their positions."""

    def __init__(self, weight):
        super().__init__()
        self.conv = nn.Conv3d(1, 2, 1, bias=False)
        self.head = nn.Linear(weight.shape[1], len(weight), bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1, 1))
            self.head.weight.copy_(weight)

    @property
    def gradcam_layer(self):
        return self.conv

    def forward(self, clips):
        return self.head(self.conv(clips).flatten(1))


def plain_cam(activation, gradient, shape, weights="clip"):
    """Eq. 2 for one clip (K, T', H', W'), loop by loop; resized to the clip's (T, H, W)."""
    channels, steps, height, width = activation.shape
    maps = torch.zeros(steps, height, width, dtype=activation.dtype)
    for t, k in product(range(steps), range(channels)):
        averages = {"clip": gradient[k].mean(), "frame": gradient[k, t].mean()}
        maps[t] += averages.get(weights, gradient[k, t]) * activation[k, t]
    return resized(maps, shape)


def resized(maps, shape):
    """Positive parts of maps (T', H', W'), each for its share of the frames; of maximum 1."""
    maps = maps.clamp(min=0)
    frames = [maps[int(t * len(maps) / shape[0])] for t in range(shape[0])]
    maps = torch.stack(
        [F.interpolate(m[None, None], shape[1:], mode="bilinear")[0, 0] for m in frames]
    )
    return maps / maps.max()


def random_clips(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1


# ---------------------------------------------------------------- by hand


def hand_made():
    """One clip of two frames of 1 x 2 pixels, its logits 23 and 14.

    Class 0 weighs A_1 by 1 2 3 2 and A_2 by 1 -1 0 4, class 1 by 0 0 2 2 and 0 0 0 4.
    """
    weight = torch.tensor([[1.0, 2, 3, 2, 1, -1, 0, 4], [0, 0, 2, 2, 0, 0, 0, 4]])
    return Linear3d(weight), torch.tensor([[[[[1.0, 2]], [[3.0, -4]]]]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # w = (8 / 4, 4 / 4) = (2, 1), so the map is ReLU(2 x - 1 x) = ReLU(x), of maximum 3.
        ({}, [[1 / 3, 2 / 3], [1, 0]]),
        ({"scale": "frame"}, [[1 / 2, 1], [1, 0]]),
        # frame 0: w = (3 / 2, 0 / 2), map 1.5 x; frame 1: w = (5 / 2, 4 / 2), map 0.5 x.
        ({"weights": "frame"}, [[0.5, 1], [0.5, 0]]),
        ({"weights": "frame", "scale": "frame"}, [[0.5, 1], [1, 0]]),
        # (1 - 1) 1, (2 + 1) 2, (3 - 0) 3, (2 - 4) -4, which add up to the logit
        ({"weights": "cell"}, [[0, 6 / 9], [1, 8 / 9]]),
        ({"weights": "cell", "scale": "frame"}, [[0, 1], [1, 8 / 9]]),
        # As softmax has it, class 0 less class 1, so 1 2 1 0 and 1 -1 0 0: w = (1, 0); by frame
        # (3 / 2, 0) and (1 / 2, 0); and by cell (1 - 1) 1, (2 + 1) 2, (1 - 0) 3, 0.
        ({"score": "softmax"}, [[1 / 3, 2 / 3], [1, 0]]),
        ({"score": "softmax", "weights": "frame"}, [[0.5, 1], [0.5, 0]]),
        ({"score": "softmax", "weights": "cell"}, [[0, 1], [0.5, 0]]),
    ],
)
def test_values_by_hand(options, expected):
    net, clips = hand_made()
    assert net(clips).tolist() == [[23, 14]]
    saliency = grad_cam(net, clips, torch.tensor([0]), **options)
    torch.testing.assert_close(saliency, torch.tensor(expected)[None, :, None])


def test_a_probability_of_nearly_one_is_still_explained():
    net, clips = hand_made()
    clips = 2 * clips  # a lead of 18: in single precision p is 1, and 1 - p nothing
    assert net(clips).softmax(1)[0, 0] == 1
    saliency = grad_cam(net, clips, score="softmax", weights="cell")
    torch.testing.assert_close(saliency, torch.tensor([[[[0, 1]], [[0.5, 0]]]]))


def test_maps_are_resized_to_the_pixels_and_serve_their_share_of_the_frames_by_hand():
    net = nn.Sequential(nn.MaxPool3d((3, 1, 2), ceil_mode=True), nn.Flatten(), nn.Linear(4, 1))
    nn.init.ones_(net[2].weight)
    clips = torch.tensor([[0.0, 0, 4, 4]] * 3 + [[2.0, 2, 2, 2]] * 2).view(1, 1, 5, 1, 4)
    saliency = grad_cam(net, clips, layer=net[0])  # steps 0 4 and 2 2
    expected = torch.tensor([[0, 0.25, 0.75, 1]] * 3 + [[0.5] * 4] * 2)
    torch.testing.assert_close(saliency, expected.view(1, 5, 1, 4))


@pytest.mark.parametrize("scale", ["clip", "frame"])
def test_a_map_of_zeros_stays_zero_and_clips_are_scaled_on_their_own(scale):
    net, clips = hand_made()
    with torch.no_grad():
        net.head.weight[1] = 0
    cam = partial(grad_cam, net, scale=scale)
    saliency = cam(torch.cat([clips, clips * 100]), torch.tensor([1, 0]))
    assert saliency[0].eq(0).all()
    torch.testing.assert_close(saliency[1:], cam(clips, torch.tensor([0])))
    dark = torch.tensor([[[[[1.0, 2]], [[-3.0, -4]]]]])  # no positive value in its second frame
    torch.testing.assert_close(cam(dark), torch.tensor([[[[0.5, 1]], [[0, 0]]]]))


def test_targets_default_to_the_guess_and_it_is_the_logit_that_is_explained():
    net, clips = hand_made()
    with torch.no_grad():
        net.head.weight[1] = net.head.weight[0] * 0.5  # softmax would mix this class in
    assert torch.equal(grad_cam(net, clips), grad_cam(net, clips, torch.tensor([0])))
    assert torch.equal(grad_cam(net, -clips), grad_cam(net, -clips, torch.tensor([1])))
    torch.testing.assert_close(
        grad_cam(net, clips, torch.tensor([1])), grad_cam(net, clips, torch.tensor([0]))
    )


@given(
    st.tuples(*[st.integers(1, 3)] * 5),
    st.integers(0, 8),
)
def test_tokens_find_their_places(sizes, extra):
    batch, channels, *grid = sizes
    frames, height, width = grid
    extra = min(extra, height * width - 1)
    tokens = torch.rand(batch, extra + frames * height * width, channels)
    maps = token_grid(*grid)(tokens)
    assert maps.shape == (batch, channels, *grid)
    for t, i, j in product(*map(range, grid)):
        token = extra + t * height * width + i * width + j
        assert torch.equal(maps[:, :, t, i, j], tokens[:, token])


# ---------------------------------------------------------------- through time


class Doubling(nn.Module):
    """One step of h_t = x_t + 2 h_{t-1}: gives h_t, then h_t and c_t = 2 h_{t-1}, its state."""

    def forward(self, x, h):
        doubled = 2 * h
        h = x + doubled
        return h, (h, doubled)


class Recurrent(nn.Module):
    """F = 1 h_0 + 3 h_1 - 1 h_2 + 5 c_2, the steps connected by one of the two h that are given."""

    def __init__(self, by_state):
        super().__init__()
        self.cell, self.by_state = Doubling(), by_state

    def forward(self, clips):
        h, score = torch.zeros_like(clips[:, :, 0]), 0
        for weight, x in zip((1, 3, -1), clips.unbind(2), strict=True):
            h, state = self.cell(x, h)
            score = score + weight * h
            if self.by_state:
                h = state[0]
        return (score + 5 * state[1]).flatten(1)


@pytest.mark.parametrize("by_state", [False, True])
def test_through_time_or_direct_by_hand(by_state):
    # h = 1, 2, 5. Through time h_2 weighs -1, h_1 3 - 2 + 10 = 11, h_0 1 + 2 * 11 = 23, so that the
    # maps are ReLU(23, 22, -5); direct, with what h_1 does through the next step left out, they are
    # ReLU(1, 6, -5).
    net, clips = Recurrent(by_state), torch.tensor([1.0, 0, 1]).view(1, 1, 3, 1, 1)
    cam = partial(grad_cam, net, clips, layer=net.cell, weights="frame")
    torch.testing.assert_close(cam().flatten(), torch.tensor([1, 22 / 23, 0]))
    direct = cam(gradients="direct")
    torch.testing.assert_close(direct.flatten(), torch.tensor([1 / 6, 1, 0]))


class LastStep(nn.Module):
    """The last of the states h_t = x_t + 2 h_{t-1} alone."""

    def __init__(self):
        super().__init__()
        self.cell = Doubling()

    def forward(self, clips):
        h = torch.zeros_like(clips[:, :, 0])
        for x in clips.unbind(2):
            h, _ = self.cell(x, h)
        return h.flatten(1)


def test_steps_that_nothing_else_looks_at_have_no_direct_map():
    net, clips = LastStep(), torch.tensor([1.0, 0, 1]).view(1, 1, 3, 1, 1)
    cam = partial(grad_cam, net, clips, layer=net.cell, weights="frame")
    torch.testing.assert_close(cam().flatten(), torch.tensor([4 / 5, 2 * 2 / 5, 1]))
    assert cam(gradients="direct").flatten().tolist() == [0, 0, 1]


def small_clstm(through_alone):
    """A C-LSTM of two layers; optionally its first two steps act through the last alone."""
    torch.manual_seed(0)
    net = CLSTM(2, frames=3, size=(8, 8), layers=2, hidden=2, kernel=3, stride=1)
    with torch.no_grad():
        net.gradcam_layer.conv.weight.mul_(4)  # so that much of a step's effect goes through time
        if through_alone:
            net.linear.weight[:, :16].zero_()
    return net.double().eval(), random_clips(1, 3, 3, 8, 8)


@cache
def clstm_differences(gradients):
    """Return every step's h (K, T, H', W') and the finite differences of class 1's logit by it."""
    net, clips = small_clstm(gradients == "through")
    cell, original = net.gradcam_layer, []

    def logit(step=None, element=0, amount=0.0):
        calls = []

        def cut(_module, inputs):
            if gradients == "direct" and 0 < len(calls) <= len(original):
                return inputs[0], original[len(calls) - 1]  # the state as if nothing had changed

        def nudge(_module, _inputs, output):
            calls.append(output)
            if len(calls) - 1 == step:
                h = output[0].clone()
                h.view(-1)[element] += amount
                return h, output[1]

        handles = [cell.register_forward_pre_hook(cut), cell.register_forward_hook(nudge)]
        with torch.no_grad():
            value = net(clips)[0, 1].item()
        for handle in handles:
            handle.remove()
        return value, calls

    original.extend(logit()[1])
    steps = torch.stack([h for h, _ in original])
    differences = torch.empty_like(steps)
    for step, element in product(range(3), range(steps[0].numel())):
        up, down = (logit(step, element, amount)[0] for amount in (1e-5, -1e-5))
        differences[step].view(-1)[element] = (up - down) / 2e-5
    return steps[:, 0].transpose(0, 1), differences[:, 0].transpose(0, 1)


@pytest.mark.parametrize("gradients", ["through", "direct"])
@pytest.mark.parametrize("weights", ["clip", "frame", "cell"])
def test_every_step_of_a_recurrent_layer_agrees_with_finite_differences(gradients, weights):
    activation, differences = clstm_differences(gradients)
    assert (differences.abs().amax((0, 2, 3)) > 1e-5).all()  # of every step
    net, clips = small_clstm(gradients == "through")
    options = {"weights": weights, "gradients": gradients}
    saliency = grad_cam(net, clips, torch.tensor([1]), **options)
    expected = plain_cam(activation, differences, (3, 8, 8), weights)
    torch.testing.assert_close(saliency[0], expected, atol=1e-5, rtol=1e-4)
    options["gradients"] = "direct" if gradients == "through" else "through"
    other = grad_cam(net, clips, torch.tensor([1]), **options)
    assert not torch.allclose(other, saliency, atol=1e-2)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("weights", ["clip", "frame", "cell"])
def test_the_last_block_of_clstm_is_explained_before_and_after_pooling(weights, bidirectional):
    torch.manual_seed(0)
    options = {"layers": 2, "hidden": 2, "stride": 1, "bidirectional": bidirectional}
    net = CLSTM(3, frames=4, size=(12, 16), **options).double().eval()
    clips = random_clips(1, 3, 4, 12, 16)
    seen = {}
    names = ["pooled", "joined"] if bidirectional else ["pooled"]
    hooks = [
        getattr(net, name).register_forward_hook(
            lambda _m, _i, x, name=name: seen.update({name: x})
        )
        for name in names
    ]
    net(clips)
    for hook in hooks:
        hook.remove()

    def head(pooled):
        return net.linear(pooled.transpose(1, 2).flatten(1))

    def pool(maps):  # (B, K, T, H, W), frame by frame
        return torch.stack([F.max_pool2d(net.norms[-1](m), 2) for m in maps.unbind(2)], 2)

    for name in names:
        activation = seen[name].detach().requires_grad_()
        logits = head(activation) if name == "pooled" else head(pool(activation))
        (gradient,) = torch.autograd.grad(logits[0, 1], activation)
        saliency = grad_cam(
            net, clips, torch.tensor([1]), layer=getattr(net, name), weights=weights
        )
        expected = plain_cam(activation[0].detach(), gradient[0], (4, 12, 16), weights)
        torch.testing.assert_close(saliency[0], expected)
    if bidirectional:
        default = grad_cam(net, clips, torch.tensor([1]), weights=weights)
        assert torch.equal(default, saliency)


@pytest.mark.parametrize("weights", ["clip", "frame", "cell"])
def test_direct_gradients_of_a_layer_called_once_are_all_of_them(weights):
    torch.manual_seed(0)
    net = I3D(3, width=1 / 16, spatial_strides=(2, 2, 2, 1, 1))
    clips = random_clips(2, 3, 8, 24, 24).float()
    both = [grad_cam(net, clips, weights=weights, gradients=g) for g in ("through", "direct")]
    assert torch.equal(*both)


def test_maps_of_half_the_frames_serve_two_frames_each():
    torch.manual_seed(0)
    net = I3D(3, width=1 / 16, spatial_strides=(2, 2, 2, 1, 1))
    clips = random_clips(2, 3, 8, 24, 24).float()
    saliency = grad_cam(net, clips)
    assert saliency.shape == (2, 8, 24, 24)
    assert torch.equal(saliency[:, 0::2], saliency[:, 1::2])
    assert not torch.equal(saliency[:, 0], saliency[:, 2])
    assert saliency.amax((1, 2, 3)).tolist() == [1, 1]
    by_frame = grad_cam(net, clips, scale="frame")
    peaks = saliency.amax((2, 3), keepdim=True)
    torch.testing.assert_close(by_frame, torch.where(peaks > 0, saliency / peaks, 0))


# ---------------------------------------------------------------- torchvision's networks


def r3d_18():
    from torchvision.models.video import r3d_18

    net = r3d_18(num_classes=4)
    body = nn.Sequential(net.stem, net.layer1, net.layer2)
    head = nn.Sequential(net.layer3, net.layer4, net.avgpool, nn.Flatten(), net.fc)
    return net, net.layer2, body, head, (4, 16, 24)


def s3d():
    from torchvision.models.video import s3d

    net = s3d(num_classes=4)
    net.avgpool = nn.AdaptiveAvgPool3d(1)  # its own wants frames of 224 pixels
    head = nn.Sequential(net.features[-1], net.avgpool, net.classifier, nn.Flatten())
    return net, net.features[-2], net.features[:-1], head, (16, 64, 64)


def swin3d():
    from torchvision.models.video import SwinTransformer3d

    net = SwinTransformer3d([2, 4, 4], 8, [2, 2], [2, 2], [2, 2, 2], num_classes=4)
    body = nn.Sequential(net.patch_embed, net.pos_drop, net.features[0])

    def head(output):  # (B, T', H', W', K)
        return net.head(net.norm(net.features[1:](output)).mean((1, 2, 3)))

    return net, net.features[0], body, head, (4, 16, 24)


def mvit():
    from torchvision.models.video import MViT
    from torchvision.models.video.mvit import MSBlockConfig

    blocks = [
        MSBlockConfig(2, channels, 8, [3] * 3, [3] * 3, [1, stride, stride], [1] * 3)
        for channels, stride in ((4, 1), (8, 2), (8, 1))
    ]
    # Of all this, what makes an MViT a mvit_v2_s.
    version_2 = {"residual_pool": True, "rel_pos_embed": True, "proj_after_attn": True}
    net = MViT((32, 48), 8, blocks, residual_with_cls_embed=False, num_classes=4, **version_2)

    def body(clips):
        tokens = net.pos_encoding(net.conv_proj(clips).flatten(2).transpose(1, 2))
        tokens, size = net.blocks[0](tokens, (4, 8, 12))
        return net.blocks[1](tokens, size)[0]

    def head(output):  # (B, N, K), the class token first
        return net.head(net.norm(net.blocks[2](output, (4, 4, 6))[0])[:, 0])

    return net, net.blocks[1], body, head, (8, 32, 48)


@pytest.mark.parametrize(
    ("build", "reshape", "arrange"),
    [
        (r3d_18, None, lambda x: x),
        (s3d, None, lambda x: x),
        (swin3d, channels_last, lambda x: x.permute(0, 4, 1, 2, 3)),
        (mvit, token_grid(4, 4, 6), lambda x: x[:, 1:].mT.reshape(1, 8, 4, 4, 6)),
    ],
)
def test_torchvision_networks_agree_with_plain_autograd(build, reshape, arrange):
    torch.manual_seed(0)
    net, layer, body, head, shape = build()
    net.double().eval()
    clips = random_clips(1, 3, *shape)
    output = body(clips).detach().requires_grad_()
    logits = head(output)
    torch.testing.assert_close(logits, net(clips))
    (gradient,) = torch.autograd.grad(logits.max(), output)
    activation, gradient = arrange(output.detach())[0], arrange(gradient)[0]
    for weights in ("clip", "frame", "cell"):
        saliency = grad_cam(net, clips, layer=layer, weights=weights, reshape=reshape)
        expected = plain_cam(activation, gradient, shape, weights)
        torch.testing.assert_close(saliency[0], expected)


def test_where_the_class_token_is_classified_the_last_block_has_no_map():
    torch.manual_seed(0)
    net, _, _, _, shape = mvit()
    saliency = grad_cam(
        net, random_clips(1, 3, *shape).float(), layer=net.blocks[2], reshape=token_grid(4, 4, 6)
    )
    assert saliency.eq(0).all()


def test_frames_laid_together_can_be_explained_by_reshape():
    torch.manual_seed(0)
    net, clips = Branches().double(), random_clips(2, 1, 2, 2, 2)
    saliency = grad_cam(
        net,
        clips,
        torch.tensor([0, 1]),
        layer=net.merged,
        weights="cell",
        reshape=lambda frames: frames.unflatten(0, (2, 2)).transpose(1, 2),
    )
    with torch.no_grad():
        frames = net.merged(net.twice(net.twice(clips)).transpose(1, 2).flatten(0, 1))
    for clip in range(2):
        gradient = net.head.weight[clip].detach().view(2, 2, 2)
        maps = gradient * frames[2 * clip : 2 * clip + 2, 0]
        torch.testing.assert_close(saliency[clip], resized(maps, (2, 2, 2)))


# ---------------------------------------------------------------- peers


def captum_maps(net, layer, clips, targets):
    cam = LayerGradCam(net.eval(), layer)
    return cam.attribute(clips, targets, relu_attributions=True).detach()[:, 0]


def grad_cam_maps(method, net, layer, clips, targets):
    """Maps of the package grad-cam as found, before it smooths them in time and scales them."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with getattr(pytorch_grad_cam, method)(net, [layer]) as cam:
        cam(clips, [ClassifierOutputTarget(target) for target in targets.tolist()])
        found = cam.activations_and_grads
        (activation,), (gradient,) = found.activations, found.gradients
        maps = cam.get_cam_image(clips, layer, None, activation.numpy(), gradient.numpy(), False)
    return torch.from_numpy(maps)


def narrow_i3d():
    net = I3D(4, width=1 / 16, spatial_strides=(2, 2, 2, 1, 1))
    return net, net.Mixed_5c, (8, 24, 24)


def small_r3d():
    net, layer, _, _, shape = r3d_18()
    return net, layer, shape


@pytest.mark.parametrize("build", [narrow_i3d, small_r3d])
def test_agrees_with_peers_on_3d_networks(build):
    torch.manual_seed(0)
    net, layer, shape = build()
    net.double().eval()
    clips, targets = random_clips(2, 3, *shape), torch.tensor([3, 1])
    for peer, weights in [
        (captum_maps, "clip"),
        (partial(grad_cam_maps, "GradCAM"), "clip"),
        (partial(grad_cam_maps, "HiResCAM"), "cell"),
    ]:
        ours = grad_cam(net, clips, targets, layer=layer, weights=weights)
        maps = peer(net, layer, clips, targets)
        torch.testing.assert_close(ours, torch.stack([resized(m, shape) for m in maps]))


class SteppedNetwork(nn.Module):
    """One layer of ConvLSTM whose states pass through ``shown``, as peers want one tensor."""

    def __init__(self):
        super().__init__()
        self.conv, self.cell = nn.Conv2d(3, 8, 3, padding=1), ConvLSTMCell(2, 3)
        self.shown, self.head = nn.Identity(), nn.Linear(4 * 2 * 6 * 6, 3)

    def forward(self, clips):
        state, outputs = None, []
        for frame in clips.unbind(2):
            h, c = self.cell(self.conv(frame), state)
            state = self.shown(h), c
            outputs.append(state[0])
        return self.head(torch.stack(outputs, 1).flatten(1))


def test_on_a_layer_called_per_step_peers_return_one_step_and_ours_all():
    """Captum and torchcam return the last; the package grad-cam takes the first, and fails."""
    from torchcam.methods import GradCAM

    torch.manual_seed(0)
    net = SteppedNetwork().double().eval()
    clips, targets = random_clips(1, 3, 4, 6, 6), torch.tensor([1])
    ours = grad_cam(net, clips, targets, layer=net.shown, weights="frame", scale="frame")
    assert ours.shape == (1, 4, 6, 6)
    assert all(not torch.allclose(ours[:, 3], ours[:, t], atol=0.1) for t in range(3))

    captums = captum_maps(net, net.shown, clips, targets)
    with GradCAM(net, net.shown) as cam:
        (torchcams,) = cam(1, net(clips), normalized=False)
    for maps in (captums, torchcams):
        torch.testing.assert_close(maps / maps.amax(), ours[:, 3])
    with pytest.raises(cv2.error):  # it takes the clip's frames for a map's
        grad_cam_maps("GradCAM", net, net.shown, clips, targets)


def test_operations_in_place_after_the_layer_change_nothing():
    def net(inplace):
        torch.manual_seed(0)
        layers = [nn.Conv3d(3, 4, 3), nn.ReLU(inplace), nn.Flatten(), nn.LazyLinear(2)]
        return nn.Sequential(*layers)

    clips = random_clips(2, 3, 4, 6, 6).float()
    both = [(module, module(clips))[0] for module in (net(True), net(False))]
    both[1].load_state_dict(both[0].state_dict())
    kept, changed = (grad_cam(module, clips, layer=module[0]) for module in both)
    torch.testing.assert_close(kept, changed)


# ---------------------------------------------------------------- the model is left as found


class FailingBackward(torch.autograd.Function):
    @staticmethod
    def forward(_ctx, x):
        return x.clone()

    @staticmethod
    def backward(_ctx, _gradient):
        raise RuntimeError("failed in backward")


def failing(*_):
    raise RuntimeError("failed in forward")


@pytest.mark.parametrize("where", [None, "targets", "layer", "forward", "backward"])
@pytest.mark.parametrize("gradients", ["through", "direct"])
def test_hooks_modes_and_grads_are_left_as_found(where, gradients):
    net = CLSTM(2, frames=3, size=(8, 8), layers=2, hidden=2, kernel=3, stride=1)
    clips = random_clips(1, 3, 3, 8, 8).float().requires_grad_()
    net(clips).sum().backward()
    clips.grad = None
    net.norms[0].eval()
    net.linear.bias.requires_grad_(False)
    faults = {
        "layer": (net.gradcam_layer.conv, failing),
        "forward": (net.linear, failing),
        "backward": (net.linear, lambda _m, _i, logits: FailingBackward.apply(logits)),
    }
    hooks = {}
    if where in faults:
        module, fault = faults[where]
        module.register_forward_hook(fault)
        hooks[module] = 1
    modes = [m.training for m in net.modules()]
    flags = [p.requires_grad for p in net.parameters()]
    grads = [p.grad.clone() for p in net.parameters()]
    targets = torch.tensor([9 if where == "targets" else 0])
    with torch.no_grad():
        if where is None:
            grad_cam(net, clips, targets, gradients=gradients)
        else:
            message = "targets lie in" if where == "targets" else "failed in (for|back)ward"
            with pytest.raises((ValueError, RuntimeError), match=message):
                grad_cam(net, clips, targets, gradients=gradients)
        assert not torch.is_grad_enabled()
    assert all(len(m._forward_hooks) == hooks.get(m, 0) for m in net.modules())
    assert all(not m._forward_pre_hooks for m in net.modules())
    assert [m.training for m in net.modules()] == modes
    assert [p.requires_grad for p in net.parameters()] == flags
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), grads, strict=True))
    assert clips.grad is None and clips.requires_grad


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_maps_are_the_same_where_gradients_are_off(mode):
    torch.manual_seed(0)
    net = CLSTM(2, frames=3, size=(8, 8), layers=2, hidden=2, kernel=3, stride=1)
    clips = random_clips(1, 3, 3, 8, 8).float()
    expected = grad_cam(net, clips)
    with mode():
        assert torch.equal(grad_cam(net, clips.clone()), expected)
        assert not torch.is_grad_enabled()


def test_clips_that_the_layer_passes_on_stay_without_gradients():
    net = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(4, 1))
    clips = torch.ones(1, 1, 1, 2, 2)
    grad_cam(net, clips, layer=net[0])
    assert not clips.requires_grad and clips.grad is None


# ---------------------------------------------------------------- errors


class Branches(nn.Module):
    """Layers that cannot be explained as they are: of no use, called twice, frames as clips."""

    def __init__(self):
        super().__init__()
        self.unused, self.twice = nn.Conv3d(1, 1, 1), nn.Conv3d(1, 1, 1)
        self.dropped, self.listed = nn.Conv3d(1, 1, 1), nn.Conv3d(1, 1, 1)
        self.listed.register_forward_hook(lambda _m, _i, output: str(output))
        self.merged, self.head = nn.Conv2d(1, 1, 1), nn.Linear(8, 2)

    def forward(self, clips):
        self.dropped(clips), self.listed(clips)
        clips = self.twice(self.twice(clips))
        frames = self.merged(clips.transpose(1, 2).flatten(0, 1))
        return self.head(frames.view(len(clips), -1))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unused", "layer was not called in the forward pass"),
        ("dropped", "logits do not depend on what layer returned: pass a layer on the way"),
        ("listed", "returned no tensor, alone or in a tuple"),
        ("twice", r"returned \(1, 1, 2, 2, 2\) in 2 call\(s\) for 1 clips"),
        ("merged", r"returned \(2, 1, 2, 2\) in 1 call\(s\) for 1 clips"),
        ("head", r"\(B, K, T, H, W\) once or \(B, K, H, W\) per step, or give reshape="),
    ],
)
def test_layers_without_maps_are_refused(name, message):
    net = Branches()
    with pytest.raises(ValueError, match=message):
        grad_cam(net, torch.ones(1, 1, 2, 2, 2), layer=getattr(net, name))


def test_bad_arguments_say_what_to_do():
    net, clips = hand_made()
    with pytest.raises(ValueError, match="Branches has no gradcam_layer: pass layer="):
        grad_cam(Branches(), clips)
    with pytest.raises(ValueError, match="layer is not a module of the model"):
        grad_cam(net, clips, layer=nn.Conv3d(1, 2, 1))
    with pytest.raises(ValueError, match=r"give floating-point clips \(B, C, T, H, W\)"):
        grad_cam(net, clips[0])
    with pytest.raises(
        ValueError, match="reshape is 'tokens': give a function of the layer's output"
    ):
        grad_cam(net, clips, reshape="tokens")
    with pytest.raises(ValueError, match="the maps of clip 1 are not finite: check its values"):
        grad_cam(net, torch.cat([clips, clips / 0]))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weights", "weights is 'step': give one of clip, frame, cell"),
        ("score", "score is 'step': give one of logit, softmax"),
        ("gradients", "gradients is 'step': give one of through, direct"),
        ("scale", "scale is 'step': give one of clip, frame"),
    ],
)
def test_unknown_choices_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(*hand_made(), **{name: "step"})


def test_tokens_that_do_not_fit_the_grid_are_refused():
    with pytest.raises(ValueError, match=r"height is 0: .* at least 1"):
        token_grid(4, 0, 2)
    arrange = token_grid(2, 2, 3)
    for shape in [(1, 11, 4), (1, 18, 4), (1, 12), (1, 2, 2, 3, 4)]:
        with pytest.raises(ValueError, match="N = 12 and fewer than 6 class tokens"):
            arrange(torch.zeros(shape))

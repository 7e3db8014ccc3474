"""Grad-CAM against values worked by hand, finite differences and captum."""

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from torch import nn

from vidlib.explain import grad_cam
from vidlib.models import CLSTM, I3D

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


def plain_cam(activation, gradient, weights, shape):
    """Eq. 2 for one clip (K, T', H', W'), loop by loop; resized to the clip's (T, H, W)."""
    channels, steps, height, width = activation.shape
    maps = torch.zeros(steps, height, width, dtype=activation.dtype)
    for t in range(steps):
        for k in range(channels):
            w = gradient[k].mean() if weights == "clip" else gradient[k, t].mean()
            maps[t] += w * activation[k, t]
    maps = maps.clamp(min=0)
    frames = [maps[int(t * steps / shape[0])] for t in range(shape[0])]
    maps = torch.stack(
        [F.interpolate(m[None, None], shape[1:], mode="bilinear")[0, 0] for m in frames]
    )
    return maps / maps.max()


def random_clips(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1


# ---------------------------------------------------------------- by hand


def hand_made():
    """One clip of two frames of 1 x 2 pixels; class 0 weighs A_1 by 1 2 3 2 and A_2 by 1 -1 0 4."""
    weight = torch.tensor([[1.0, 2, 3, 2, 1, -1, 0, 4], [0] * 8])
    return Linear3d(weight), torch.tensor([[[[[1.0, 2]], [[3.0, -4]]]]])


def test_values_by_hand_averaged_over_the_clip():
    # w = (8 / 4, 4 / 4) = (2, 1), so the map is ReLU(2 x - 1 x) = ReLU(x), of maximum 3.
    net, clips = hand_made()
    saliency = grad_cam(net, clips, torch.tensor([0]))
    torch.testing.assert_close(saliency, torch.tensor([[[[1 / 3, 2 / 3]], [[1.0, 0]]]]))


def test_values_by_hand_averaged_per_frame():
    # frame 0: w = (3 / 2, 0 / 2), map 1.5 x; frame 1: w = (5 / 2, 4 / 2), map 0.5 x.
    net, clips = hand_made()
    saliency = grad_cam(net, clips, torch.tensor([0]), weights="frame")
    torch.testing.assert_close(saliency, torch.tensor([[[[0.5, 1.0]], [[0.5, 0]]]]))


def test_a_map_of_zeros_stays_zero_and_clips_are_scaled_on_their_own():
    net, clips = hand_made()
    saliency = grad_cam(net, torch.cat([clips, clips * 100]), torch.tensor([1, 0]))
    assert saliency[0].eq(0).all()
    torch.testing.assert_close(saliency[1:], grad_cam(net, clips, torch.tensor([0])))


def test_targets_default_to_the_guess_and_it_is_the_logit_that_is_explained():
    net, clips = hand_made()
    with torch.no_grad():
        net.head.weight[1] = net.head.weight[0] * 0.5  # softmax would mix this class in
    assert net(clips).argmax(1).item() == (0 if net(clips)[0, 0] > 0 else 1)
    assert torch.equal(grad_cam(net, clips), grad_cam(net, clips, net(clips).argmax(1)))
    torch.testing.assert_close(
        grad_cam(net, clips, torch.tensor([1])), grad_cam(net, clips, torch.tensor([0]))
    )


# ---------------------------------------------------------------- through time


@pytest.mark.parametrize("weights", ["clip", "frame"])
def test_every_step_of_a_recurrent_layer_agrees_with_finite_differences(weights):
    torch.manual_seed(0)
    net = CLSTM(2, frames=3, size=(8, 8), layers=2, hidden=2, kernel=3, stride=1)
    net = net.double().eval()
    with torch.no_grad():
        net.gradcam_layer.conv.weight.mul_(4)  # so that much of a step's effect goes through time
        net.linear.weight[:, :16].zero_()  # and the first two steps have no other effect
    clips = random_clips(1, 3, 3, 8, 8)

    def logit(step=None, element=0, amount=0.0):
        calls = []

        def nudge(_module, _inputs, output):
            calls.append(output[0].clone())
            if len(calls) - 1 == step:
                h = output[0].clone()
                h.view(-1)[element] += amount
                return h, output[1]
            return None

        handle = net.gradcam_layer.register_forward_hook(nudge)
        with torch.no_grad():
            value = net(clips)[0, 1].item()
        handle.remove()
        return value, torch.stack(calls)

    steps = logit()[1]
    gradient = torch.empty_like(steps)
    for step in range(3):
        for element in range(steps[0].numel()):
            up, down = (logit(step, element, amount)[0] for amount in (1e-5, -1e-5))
            gradient[step].view(-1)[element] = (up - down) / 2e-5
    assert (gradient[:2].abs().amax((1, 2, 3, 4)) > 1e-5).all()  # all of it through time
    expected = plain_cam(
        steps[:, 0].transpose(0, 1), gradient[:, 0].transpose(0, 1), weights, (3, 8, 8)
    )
    saliency = grad_cam(net, clips, torch.tensor([1]), weights=weights)
    torch.testing.assert_close(saliency[0], expected, atol=1e-5, rtol=1e-4)


def test_maps_of_half_the_frames_serve_two_frames_each():
    torch.manual_seed(0)
    net = I3D(3, width=1 / 16, spatial_strides=(2, 2, 2, 1, 1))
    saliency = grad_cam(net, random_clips(2, 3, 8, 24, 24).float())
    assert saliency.shape == (2, 8, 24, 24)
    assert torch.equal(saliency[:, 0::2], saliency[:, 1::2])
    assert not torch.equal(saliency[:, 0], saliency[:, 2])
    assert saliency.amax((1, 2, 3)).tolist() == [1, 1]


# ---------------------------------------------------------------- peers


def captum_cam(net, layer, clips, targets):
    """Captum's maps of a 3D CNN, resized and scaled as ours are."""
    maps = LayerGradCam(net.eval(), layer).attribute(clips, targets, relu_attributions=True)
    maps = maps.detach()[:, 0]
    steps, frames = maps.shape[1], clips.shape[2]
    maps = maps[:, torch.arange(frames) * steps // frames]
    maps = F.interpolate(maps, clips.shape[3:], mode="bilinear")
    return maps / maps.amax((1, 2, 3), keepdim=True)


def test_agrees_with_captum_on_i3d():
    torch.manual_seed(0)
    net = I3D(4, width=1 / 16, spatial_strides=(2, 2, 2, 1, 1)).double()
    clips, targets = random_clips(2, 3, 8, 24, 24), torch.tensor([3, 1])
    ours = grad_cam(net, clips, targets)
    torch.testing.assert_close(ours, captum_cam(net, net.Mixed_5c, clips, targets))


def test_agrees_with_captum_on_a_torchvision_network():
    from torchvision.models.video import r3d_18

    torch.manual_seed(0)
    net = r3d_18(weights=None).eval()
    clips, targets = random_clips(1, 3, 8, 32, 32).float(), torch.tensor([7])
    ours = grad_cam(net, clips, targets, layer=net.layer3)
    expected = captum_cam(net, net.layer3, clips, targets)
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


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


@pytest.mark.parametrize("fails", [False, True])
def test_hooks_modes_and_grads_are_left_as_found(fails):
    net = CLSTM(2, frames=3, size=(8, 8), layers=2, hidden=2, kernel=3, stride=1)
    clips = random_clips(1, 3, 3, 8, 8).float().requires_grad_()
    net(clips).sum().backward()
    clips.grad = None
    net.norms[0].eval()
    net.linear.bias.requires_grad_(False)
    modes = [m.training for m in net.modules()]
    flags = [p.requires_grad for p in net.parameters()]
    grads = [p.grad.clone() for p in net.parameters()]
    if fails:
        with pytest.raises(ValueError, match="targets lie in"):
            grad_cam(net, clips, torch.tensor([9]))
    else:
        grad_cam(net, clips)
    assert all(not m._forward_hooks for m in net.modules())
    assert [m.training for m in net.modules()] == modes
    assert [p.requires_grad for p in net.parameters()] == flags
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), grads, strict=True))
    assert clips.grad is None


# ---------------------------------------------------------------- errors


class Branches(nn.Module):
    """Layers that cannot be explained: unused, called twice, without a map, by merged frames."""

    def __init__(self):
        super().__init__()
        self.unused, self.twice = nn.Conv3d(1, 1, 1), nn.Conv3d(1, 1, 1)
        self.merged, self.head = nn.Conv2d(1, 1, 1), nn.Linear(8, 2)

    def forward(self, clips):
        clips = self.twice(self.twice(clips))
        frames = self.merged(clips.transpose(1, 2).flatten(0, 1))
        return self.head(frames.view(len(clips), -1))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unused", "layer was not called in the forward pass"),
        ("twice", r"returned \(1, 1, 2, 2, 2\) in 2 call\(s\) for 1 clips"),
        ("merged", r"returned \(2, 1, 2, 2\) in 1 call\(s\) for 1 clips"),
        ("head", r"pass one that returns \(B, K, T, H, W\) once, or \(B, K, H, W\) per step"),
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
    with pytest.raises(ValueError, match="layer is no module of the model"):
        grad_cam(net, clips, layer=nn.Conv3d(1, 2, 1))
    with pytest.raises(ValueError, match='weights is \'step\': choose "clip" or "frame"'):
        grad_cam(net, clips, weights="step")
    with pytest.raises(ValueError, match=r"give a floating-point tensor \(B, C, T, H, W\)"):
        grad_cam(net, clips[0])

"""Small networks and clips whose decisive frames are known."""

import torch
from torch import nn


class Transition(nn.Module):
    """Class 1 wins by how much frame ``t`` differs from the frame before it, and by that alone."""

    def __init__(self, t, sharpness=6.0):
        super().__init__()
        self.t = t
        self.sharpness = nn.Parameter(torch.tensor(sharpness, dtype=torch.float64))
        self.calls = 0

    def forward(self, clips):
        self.calls += 1
        frames = clips.mean((1, 3, 4))
        step = self.sharpness * (frames[:, self.t] - frames[:, self.t - 1])
        return torch.stack([torch.zeros_like(step), step], 1)


def small_net(clips, classes=3):
    """A network of all frames and pixels, with BatchNorm and dropout, in training mode."""
    torch.manual_seed(3)
    features = clips[0].numel()
    net = nn.Sequential(
        nn.Flatten(),
        nn.Linear(features, 8),
        nn.BatchNorm1d(8),
        nn.Tanh(),
        nn.Dropout(0.5),
        nn.Linear(8, classes),
    ).double()
    with torch.no_grad():
        net[1].weight.mul_(3)
        net[5].weight.mul_(5)
    return net


def ramp(length=8, clips=1):
    """Clips of 2 x 2 pixels whose every frame is one brighter than the frame before."""
    return torch.arange(length).double()[None, None, :, None, None].expand(clips, 1, -1, 2, 2)


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def state_of(net):
    grads = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    return (
        [m.training for m in net.modules()],
        [p.requires_grad for p in net.parameters()],
        grads,
    )

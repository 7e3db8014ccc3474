"""Inception-I3D for RGB clips (Carreira & Zisserman 2017), by default as the paper strides in time.

Sub-modules carry the names of the usual PyTorch state dict, so published weights load key for key.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidlib import check

# Output channels of the six convolutions of each Inception module: b0, b1a, b1b, b2a, b2b, b3b.
INCEPTION = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
SECOND = 3  # the place of Conv3d_2c, the second convolution in time, among a network's modules


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "SAME" padding of one axis: zeros (before, after) that give ceil(size / stride).

    The total is split evenly; an odd one has its extra zero at the end.

    >>> same_padding(224, 7, 2)
    (2, 3)
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def causal_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros (before, after) that give ceil(size / stride) outputs, none of which sees ahead.

    Output t stands for the inputs from t stride to t stride + stride - 1 and sees none after them.
    Zeros come after the inputs only where the last output stands for inputs that are not there.

    >>> causal_padding(16, 3, 1)
    (2, 0)
    """
    outputs = -(-size // stride)
    before = max(kernel - stride, 0)
    return before, max((outputs - 1) * stride + kernel - before - size, 0)


def _sides(sizes: Sequence[int], kernel: tuple, stride: tuple, causal: bool) -> list[tuple]:
    """Return the padding (before, after) of time, height and width."""
    pads = [same_padding(*axis) for axis in zip(sizes, kernel, stride, strict=True)]
    return [causal_padding(sizes[0], kernel[0], stride[0]), *pads[1:]] if causal else pads


def _pad(x: Tensor, kernel: tuple, stride: tuple, causal: bool) -> tuple[Tensor, tuple[int, ...]]:
    """Return the clip, and the padding for the operator to do: all, if both sides have the same."""
    pads = _sides(x.shape[2:], kernel, stride, causal)
    if all(before == after for before, after in pads):
        return x, tuple(before for before, _ in pads)
    return F.pad(x, [p for pair in reversed(pads) for p in pair]), (0, 0, 0)


def distinct_runs(orders: Tensor, conv: nn.Conv3d, sides: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the distinct runs of frames that a convolution sees, and which it sees when.

    orders: (N, T), which frame is shown when, at least 0. sides: padding of time (before, after).
    Returns runs (U, kernel), -1 for the padding, and the number of the run (N, T') of each output.
    """
    seen = F.pad(orders, sides, value=-1).unfold(1, conv.kernel_size[0], conv.stride[0])
    runs, run = seen.flatten(0, 1).unique(dim=0, return_inverse=True)
    return runs, run.view(seen.shape[:2])


class Unit3D(nn.Module):
    """Convolution with SAME padding, BatchNorm, ReLU; or, with ``bias``, the convolution alone."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride=(1, 1, 1), bias=False, causal=False
    ):
        """Take channel counts, one kernel size for all axes and the strides (t, y, x)."""
        super().__init__()
        self.causal = causal
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=bias)
        self.bn = None if bias else nn.BatchNorm3d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, T, H, W) to (B, outputs, ceil(T / stride), ...)."""
        conv = self.conv3d
        x, padding = _pad(x, conv.kernel_size, conv.stride, self.causal)
        return self.activated(F.conv3d(x, conv.weight, conv.bias, conv.stride, padding))

    def activated(self, x: Tensor) -> Tensor:
        """Map what the convolution returns to what the unit returns."""
        return x if self.bn is None else F.relu(self.bn(x), inplace=True)

    def sides(self, sizes: Sequence[int]) -> list[tuple]:
        """Return the padding (before, after) of time, height and width for clips of these sizes."""
        return _sides(sizes, self.conv3d.kernel_size, self.conv3d.stride, self.causal)


class MaxPool(nn.Module):
    """Max-pooling with SAME padding. Inputs are at least 0, so padding with zeros is neutral."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int], causal=False):
        """Take kernel and stride as (t, y, x)."""
        super().__init__()
        self.kernel, self.stride, self.causal = kernel, stride, causal

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, T, H, W) to (B, C, ceil(T / stride), ...)."""
        x, padding = _pad(x, self.kernel, self.stride, self.causal)
        return F.max_pool3d(x, self.kernel, self.stride, padding)


class Inception(nn.Module):
    """Four branches side by side: 1x1x1; 1x1x1 then 3x3x3, twice; max-pool then 1x1x1."""

    def __init__(self, inputs: int, outputs: tuple[int, ...], causal=False):
        """Take the input channels and the six output channels in the order of `INCEPTION`."""
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = outputs
        self.b0 = Unit3D(inputs, b0, 1)
        self.b1a = Unit3D(inputs, b1a, 1)
        self.b1b = Unit3D(b1a, b1b, 3, causal=causal)
        self.b2a = Unit3D(inputs, b2a, 1)
        self.b2b = Unit3D(b2a, b2b, 3, causal=causal)
        self.b3a = MaxPool((3, 3, 3), (1, 1, 1), causal)
        self.b3b = Unit3D(inputs, b3b, 1)
        self.channels = b0 + b1b + b2b + b3b

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, T, H, W) to (B, channels, T, H, W)."""
        return torch.cat(
            [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], 1
        )


class PairAverage(nn.Module):
    """Mean over space and over neighbouring pairs of time steps, then mean of the pairs.

    The original averages windows of 2x7x7 at stride 1, maps each to logits, and averages those over
    time. The last map is linear, so averaging before it gives the same logits: the first and the
    last time step count half as much as the others. That holds exactly for maps of 7x7 (224 pixels)
    and at least two time steps. The original refuses other maps; here all of space is averaged, and
    a single time step stays as it is.
    In training, dropout is applied to the average instead of to every window.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, T, H, W) to (B, C, 1, 1, 1)."""
        steps = x.mean((3, 4), keepdim=True)
        if steps.shape[2] > 1:
            steps = (steps[:, :, :-1] + steps[:, :, 1:]) / 2
        return steps.mean(2, keepdim=True)


class I3D(nn.Module):
    """Inception-I3D: 3 convolutions, 9 Inception modules, 4 max-pools, global pooling, 1x1x1 conv.

    Maps clips (B, 3, T, H, W), float in [-1, 1], of any T, H and W, to logits (B, num_classes).

    ``bn_momentum`` is by default PyTorch's own, ten times that of the usual ports (0.01, as in the
    authors' code): with theirs, a training of a few hundred steps ends with BatchNorm's statistics
    of its beginning. ``input_range`` "0 to 255" has the first layer see pixels as that code does.

    ``temporal_strides`` are those of Conv3d_1a, MaxPool3d_4a and MaxPool3d_5a, the only layers that
    stride in time: (2, 2, 2) in the original. Section 4.2 of the paper lowers the first convolution
    and "the second max pooling layer" to 1, so that 16 frames give 8 activations at Mixed_5c. The
    default (1, 2, 1) lowers 5a, the second of the pools that stride in time (the second pool of
    all, 2a or 3a by count, has no temporal stride to lower); it is also the cheaper choice, as the
    five modules between the two pools run on half the frames. The other reading is (1, 1, 2).

    ``spatial_strides`` are those of Conv3d_1a and of the pools 2a, 3a, 4a, 5a; ``width`` scales
    every channel count (rounded, at least 1); ``dropout`` applies before the last convolution.
    ``head`` is how the map of Mixed_5c becomes the vector that the last layer sees: "average", its
    plain mean; "pairs", as in the original (see `PairAverage`); or, as a control, C-LSTM's
    "sequence": all of it flattened, for clips of ``frames`` and ``size`` only. ``causal``, another
    control, pads time on the left only: no activation sees a frame later than the last of those
    that it stands for. Invalid arguments and inputs raise ValueError.

    >>> I3D(174, width=1 / 32)(torch.zeros(1, 3, 16, 64, 64)).shape
    torch.Size([1, 174])
    """

    def __init__(
        self,
        num_classes: int,
        *,
        width: float = 1.0,
        dropout: float = 0.5,
        spatial_strides: tuple[int, int, int, int, int] = (2, 2, 2, 2, 2),
        temporal_strides: tuple[int, int, int] = (1, 2, 1),
        head: str = "average",
        causal: bool = False,
        bn_momentum: float = 0.1,
        input_range: str = "-1 to 1",
        frames: int = 16,
        size: tuple[int, int] = (224, 224),
    ):
        """Build the network with PyTorch's default initialisation."""
        super().__init__()
        check.count("num_classes", num_classes)
        check.number("width", width, above=0)
        check.counts("spatial_strides", spatial_strides, 5)
        check.counts("temporal_strides", temporal_strides, 3)
        check.one_of("head", head, ("average", "pairs", "sequence"))
        check.number("bn_momentum", bn_momentum, least=0, most=1)
        check.one_of("input_range", input_range, ("-1 to 1", "0 to 255"))
        check.count("frames", frames)
        check.counts("size", size, 2)

        def scaled(channels: int) -> int:
            return max(1, round(channels * width))

        s1, s2, s3, s4, s5 = spatial_strides
        t1, t4, t5 = temporal_strides
        self.Conv3d_1a_7x7 = Unit3D(3, scaled(64), 7, (t1, s1, s1), causal=causal)
        self.MaxPool3d_2a_3x3 = MaxPool((1, 3, 3), (1, s2, s2))
        self.Conv3d_2b_1x1 = Unit3D(scaled(64), scaled(64), 1)
        self.Conv3d_2c_3x3 = Unit3D(scaled(64), scaled(192), 3, causal=causal)
        pools = {
            "Mixed_3b": ("MaxPool3d_3a_3x3", MaxPool((1, 3, 3), (1, s3, s3))),
            "Mixed_4b": ("MaxPool3d_4a_3x3", MaxPool((3, 3, 3), (t4, s4, s4), causal)),
            "Mixed_5b": ("MaxPool3d_5a_2x2", MaxPool((2, 2, 2), (t5, s5, s5), causal)),
        }
        channels = scaled(192)
        for name, outputs in INCEPTION.items():
            if name in pools:
                self.add_module(*pools[name])
            module = Inception(channels, tuple(map(scaled, outputs)), causal)
            self.add_module(name, module)
            channels = module.channels
        for norm in self.modules():
            if isinstance(norm, nn.BatchNorm3d):
                norm.momentum = bn_momentum
        self.input_range = input_range
        self.shares_work = True  # what perturbations of a clip share can be computed once
        self.fits: tuple[int, ...] | None = None  # the only shape that a head takes
        self.takes = "clips (B, 3, T, H, W)"
        if head == "sequence":
            self.fits = (3, frames, *size)
            self.takes = f"{self.fits}, as this head was built for"
            strides = [math.prod(s) for s in (temporal_strides, spatial_strides, spatial_strides)]
            sides = zip((frames, *size), strides, strict=True)
            kept = channels * math.prod(-(-side // stride) for side, stride in sides)
            self.flatten = nn.Flatten()
            self.dropout = nn.Dropout(dropout)
            self.logits: nn.Module = nn.Linear(kept, num_classes)
        else:
            self.avg_pool = nn.AdaptiveAvgPool3d(1) if head == "average" else PairAverage()
            self.dropout = nn.Dropout(dropout)
            self.logits = Unit3D(channels, num_classes, 1, bias=True)

    @property
    def gradcam_layer(self) -> nn.Module:
        """The last Inception module, Mixed_5c, whose output the paper's Grad-CAM uses."""
        return self.get_submodule("Mixed_5c")

    def _pixels(self, clips: Tensor) -> Tensor:
        good = clips.ndim == 5 and clips.shape[1] == 3 and 0 not in clips.shape
        good = good and self.fits in (None, tuple(clips.shape[1:]))
        check.shape("clips", clips, self.takes, good)
        x = clips.contiguous(memory_format=torch.channels_last_3d)
        return x if self.input_range == "-1 to 1" else (x + 1) * 127.5

    def _through(self, x: Tensor, first: int, stop: int | None = None) -> Tensor:
        """Map a clip's activations through some of the modules, in the order of definition."""
        for module in list(self.children())[first:stop]:
            x = module(x)
        return x

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips (B, 3, T, H, W) to logits (B, num_classes)."""
        return self._through(self._pixels(clips), 0).flatten(1)

    def frame_responses(self, clips: Tensor) -> Tensor:
        """Map clips to what each tap in time of the first convolution makes of each frame.

        The convolution of any mix of frames is the same mix of these: (B, T, taps, H', W', C).
        """
        x, unit = self._pixels(clips), self.Conv3d_1a_7x7
        conv, (_, rows, columns) = unit.conv3d, unit.sides(x.shape[2:])
        x = F.pad(x.transpose(1, 2).flatten(0, 1), (*columns, *rows))
        taps = conv.weight.permute(2, 0, 1, 3, 4)
        x = F.conv2d(x, taps.flatten(0, 1), stride=conv.stride[1:])
        x = x.unflatten(0, clips.shape[::2][:2]).unflatten(2, taps.shape[:2])
        return x.movedim(3, -1).contiguous()

    def of_mixed(self, responses: Tensor, matrices: Tensor) -> Tensor:
        """Map the `frame_responses` of clips, mixed by matrices (B, T, T), to logits."""
        unit, length = self.Conv3d_1a_7x7, matrices.shape[1]
        (before, after) = unit.sides((length, 1, 1))[0]
        taps = F.pad(matrices, (0, 0, before, after))
        taps = taps.unfold(1, unit.conv3d.kernel_size[0], unit.conv3d.stride[0]).flatten(2)
        x = (taps @ responses.flatten(1, 2).flatten(2)).unflatten(2, responses.shape[3:])
        return self._through(unit.activated(x.movedim(-1, 1)), 1).flatten(1)

    def of_orders(self, responses: Tensor, orders: Tensor, most: int) -> Tensor:
        """Return the logits (N, num_classes) of a clip with its frames in other orders.

        responses: the clip's `frame_responses`, (1, T, ...). orders: (N, T), the frame that is
        shown at each time. Each distinct run of frames that the first two convolutions in time see
        goes through them once. most: clips that go through the others at once.
        """
        first, second, length = self.Conv3d_1a_7x7, self.Conv3d_2c_3x3, orders.shape[1]
        shape, flat = responses.shape[3:], responses.flatten(0, 2).flatten(1)
        runs, order = distinct_runs(orders, first.conv3d, first.sides((length, 1, 1))[0])
        found = []
        for part in runs.split(most * length):
            taps = F.one_hot(part + 1, length + 1)[..., 1:].transpose(1, 2).flatten(1)
            x = first.activated((taps.to(flat) @ flat).view(-1, 1, *shape).movedim(-1, 1))
            found.append(self._through(x, 1, SECOND).movedim(1, -1)[:, 0])
        frames = F.pad(torch.cat(found), (0, 0, 0, 0, 0, 0, 0, 1))  # the last is the padding, -1
        runs, order = distinct_runs(order, second.conv3d, second.sides((order.shape[1], 1, 1))[0])
        found = []
        for part in runs.split(most * length):
            x = F.conv3d(frames[part].movedim(-1, 1), second.conv3d.weight, padding=(0, 1, 1))
            x = self._through(second.activated(x), SECOND + 1, SECOND + 2)
            found.append(x.movedim(1, -1)[:, 0])
        frames = torch.cat(found)
        clips = (frames[part].movedim(-1, 1) for part in order.split(most))
        return torch.cat([self._through(clip, SECOND + 2) for clip in clips]).flatten(1)

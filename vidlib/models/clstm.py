"""A stack of convolutional LSTM layers (Shi et al. 2015) under one linear layer."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidlib import check


def pixels_left(side: int, strides: Iterable[int]) -> int:
    """Return how many pixels of a side are left after layers of these strides and their pooling.

    >>> pixels_left(224, (2, 2, 2))
    3
    """
    for stride in strides:
        side = -(-side // stride) // 2
    return side


class ConvLSTMCell(nn.Module):
    """One time step of a convolutional LSTM without peepholes.

    With the input's share of the gates x_t (its convolution, bias included) and * a convolution::

        i, f, o = sigmoid(x_t + U * h_{t-1});  g = tanh(x_t + U * h_{t-1})
        c_t = f c_{t-1} + i g;                 h_t = o tanh(c_t)

    The published peephole weights are zeros that were never trained, so there are none here. The
    h_t returned is the very tensor that flows to the next step and to the output: a forward hook
    on this module sees every step.
    """

    def __init__(self, hidden: int, kernel: int):
        """Build the one convolution of h for all four gates, in the order i, f, o, g."""
        super().__init__()
        self.hidden = hidden
        self.conv = nn.Conv2d(hidden, 4 * hidden, kernel, padding=kernel // 2, bias=False)

    def forward(
        self, gates: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map x_t (B, 4 hidden, H, W) and (h, c), or None for zeros, to the next (h, c)."""
        if state is not None:
            gates = gates + self.conv(state[0])
        sigmoids, g = gates.split([3 * self.hidden, self.hidden], 1)
        i, f, o = sigmoids.sigmoid().chunk(3, 1)
        c = i * g.tanh()
        if state is not None:
            c = c + f * state[1]
        return o * c.tanh(), c


class ConvLSTM(nn.Module):
    """A convolutional LSTM layer over whole sequences, time first; ``backwards`` from the end."""

    def __init__(self, inputs: int, hidden: int, kernel: int, stride: int, backwards: bool = False):
        """Build the input convolution (with bias and ``stride``) and the recurrent cell."""
        super().__init__()
        self.backwards = backwards
        self.conv = nn.Conv2d(inputs, 4 * hidden, kernel, stride, padding=kernel // 2)
        self.cell = ConvLSTMCell(hidden, kernel)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Map (T B, inputs, H, W) to every step's h, (T B, hidden, ceil(H / stride), ...)."""
        return self.of_gates(self.conv(x), frames)

    def of_gates(self, gates: Tensor, frames: int) -> Tensor:
        """Map the input's share of the gates, (T B, 4 hidden, H, W), to every step's h."""
        state, outputs = None, []
        steps = gates.unflatten(0, (frames, -1)).unbind(0)
        for step in reversed(steps) if self.backwards else steps:
            state = self.cell(step, state)
            outputs.append(state[0])
        return torch.cat(outputs[::-1] if self.backwards else outputs)


class CLSTM(nn.Module):
    """The paper's C-LSTM: blocks of ConvLSTM, BatchNorm and 2x2 max-pool, then a linear layer.

    Maps clips (B, 3, frames, *size), float in [-1, 1], to logits (B, num_classes). Every block
    hands its whole sequence on; no clip's result depends on another clip of an evaluated batch.

    ``stride`` is that of the input convolutions, one number or one per layer; ``dropout`` applies
    between layers; ``shared_norm`` has all layers share one BatchNorm, as in the published code
    (1,324,014 parameters at 174 classes) instead of one each (1,324,142). ``head`` says what
    enters the linear layer: "sequence" all steps flattened (section 4.2), "last" the last step
    flattened, "average" the mean over time and space. ``input_range`` "0 to 255" has the first
    layer see pixels as the published code does. ``bidirectional``, a control, gives every
    layer a second ConvLSTM that reads from the end; the channels of both go on side by side.
    Invalid arguments and inputs that are not of ``frames`` and ``size`` raise ValueError.

    Explanations use two modules: `gradcam_layer`, the last layer's hidden state before the last
    pooling, and `pooled`, the last block's maps after it, (B, channels, T, H', W').

    >>> CLSTM(174, size=(32, 48), stride=1)(torch.zeros(2, 3, 16, 32, 48)).shape
    torch.Size([2, 174])
    """

    def __init__(
        self,
        num_classes: int,
        *,
        frames: int = 16,
        size: tuple[int, int] = (224, 224),
        layers: int = 3,
        hidden: int = 32,
        kernel: int = 5,
        stride: int | tuple[int, ...] = 2,
        dropout: float = 0.0,
        shared_norm: bool = False,
        head: str = "sequence",
        bidirectional: bool = False,
        input_range: str = "-1 to 1",
    ):
        """Build the network with PyTorch's default initialisation."""
        super().__init__()
        counts = {"num_classes": num_classes, "frames": frames, "layers": layers, "hidden": hidden}
        for name, value in (counts | {"kernel": kernel}).items():
            check.count(name, value)
        if kernel % 2 == 0:
            raise ValueError(f"kernel is {kernel}: give an odd number, which keeps the size of h")
        check.counts("size", size, 2)
        strides = (stride,) * layers if isinstance(stride, int) else tuple(stride)
        check.counts("stride", strides, layers)
        height, width = (pixels_left(side, strides) for side in size)
        if height < 1 or width < 1:
            raise ValueError(
                f"size {tuple(size)} leaves no pixel after {layers} layers of strides {strides}: "
                "use larger frames, smaller strides or fewer layers"
            )
        channels = hidden * (2 if bidirectional else 1)
        step = channels * height * width
        features = {"sequence": frames * step, "last": step, "average": channels}
        check.one_of("head", head, features)
        check.one_of("input_range", input_range, ("-1 to 1", "0 to 255"))

        self.input_range = input_range
        self.frames, self.size, self.head = frames, tuple(size), head
        inputs = [3] + [channels] * (layers - 1)

        def stack(backwards: bool) -> nn.ModuleList:
            parts = zip(inputs, strides, strict=True)
            return nn.ModuleList(ConvLSTM(n, hidden, kernel, s, backwards) for n, s in parts)

        self.layers = stack(False)
        if bidirectional:
            self.backward_layers = stack(True)
            self.joined = nn.Identity()  # the last layer's output, (B, channels, T, H, W)
        self.pooled = nn.Identity()  # the last block's maps, (B, channels, T, H', W')
        self.bidirectional = bidirectional
        # Whether what perturbations of a clip share can be computed once: not from both ends.
        self.shares_work = not bidirectional
        norms = 1 if shared_norm else layers
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(norms))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features[head], num_classes)

    @property
    def gradcam_layer(self) -> nn.Module:
        """The last layer's cell, called once per time step with h_t as its first output.

        For a bidirectional network, the joined output of both directions, in one call: its
        gradients do not go through time.
        """
        return self.joined if self.bidirectional else self.layers[-1].get_submodule("cell")

    def _layer(self, index: int, x: Tensor) -> Tensor:
        """Map (T B, C, H, W) through a layer, in both directions where there are two."""
        outputs = self.layers[index](x, self.frames)
        if not self.bidirectional:
            return outputs
        outputs = torch.cat([outputs, self.backward_layers[index](x, self.frames)], 1)
        if index < len(self.layers) - 1:
            return outputs
        return self.joined(self._by_clip(outputs)).permute(2, 0, 1, 3, 4).flatten(0, 1)

    def _by_clip(self, x: Tensor) -> Tensor:
        """View (T B, C, H, W) as (B, C, T, H, W)."""
        return x.unflatten(0, (self.frames, -1)).permute(1, 2, 0, 3, 4)

    def _pixels(self, clips: Tensor) -> Tensor:
        """Return the frames (T B, 3, H, W) of clips as the first layer sees them."""
        wanted = (3, self.frames, *self.size)
        good = clips.ndim == 5 and clips.shape[1:] == wanted
        check.shape("clips", clips, f"(B, {', '.join(map(str, wanted))})", good)
        x = clips.permute(2, 0, 1, 3, 4).flatten(0, 1)
        return x if self.input_range == "-1 to 1" else (x + 1) * 127.5

    def _norm(self, index: int) -> nn.Module:
        return self.norms[min(index, len(self.norms) - 1)]

    def _logits(self, x: Tensor) -> Tensor:
        """Map the first layer's output (T B, C, H, W) to logits (B, num_classes)."""
        for index in range(len(self.layers)):
            if index:
                x = self._layer(index, self.dropout(x))
            x = F.max_pool2d(self._norm(index)(x), 2)
        x = self.pooled(self._by_clip(x)).transpose(1, 2)
        if self.head == "sequence":
            return self.linear(x.flatten(1))
        return self.linear(x[:, -1].flatten(1) if self.head == "last" else x.mean((1, 3, 4)))

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips (B, 3, frames, *size) to logits (B, num_classes)."""
        return self._logits(self._layer(0, self._pixels(clips)))

    def frame_responses(self, clips: Tensor) -> Tensor:
        """Map clips to each frame's share of the first layer's gates, (B, T, 4 hidden, ...)."""
        gates = self.layers[0].get_submodule("conv")(self._pixels(clips))
        return gates.unflatten(0, (self.frames, -1)).transpose(0, 1).contiguous()

    def of_mixed(self, responses: Tensor, matrices: Tensor) -> Tensor:
        """Map the `frame_responses` of clips, mixed by matrices (B, T, T), to logits."""
        gates = (matrices @ responses.flatten(2)).unflatten(2, responses.shape[2:])
        first: Any = self.layers[0]
        return self._logits(first.of_gates(gates.transpose(0, 1).flatten(0, 1), self.frames))

    def of_orders(self, responses: Tensor, orders: Tensor, most: int) -> Tensor:
        """Return the logits (N, num_classes) of a clip with its frames in other orders.

        responses: the clip's `frame_responses`, (1, T, ...). orders: (N, T), the frame that is
        shown at each time. The orders are a tree: each beginning that several share is computed
        once, depth first. most: clips that go through the network at once, or four times as many
        beginnings.
        """
        most *= 4
        logits = responses.new_empty(len(orders), self.linear.out_features)
        rows = torch.arange(len(orders), device=orders.device)
        states: list[tuple[Tensor, Tensor]] = []
        # time, the orders of this branch, the beginning of each of them, and of the beginnings
        # the states and what they add to the logits
        todo = [(0, rows, torch.zeros_like(rows), states, self.linear.bias[None])]
        while todo:
            time, rows, beginning, states, told = todo.pop()
            pairs = beginning * self.frames + orders[rows, time]
            pairs, row = pairs.unique(return_inverse=True)
            if len(pairs) > most:
                for part in (row // most == k for k in range(-(-len(pairs) // most))):
                    todo.append((time, rows[part], beginning[part], states, told))
                continue
            parents, frames = pairs // self.frames, pairs % self.frames
            x, states = self._step(
                responses[0, frames], [(h[parents], c[parents]) for h, c in states]
            )
            told = told[parents] + self._share(x, time)
            if time + 1 < self.frames:
                todo.append((time + 1, rows, row, states, told))
            else:
                logits[rows] = told[row]
        return logits

    def _step(self, gates: Tensor, states: list) -> tuple[Tensor, list]:
        """Return the pooled maps (N, C, H', W') of one time step, and the states after it."""
        found = []
        layers: Any = self.layers
        for index, layer in enumerate(layers):
            gates = layer.conv(gates) if index else gates
            found.append(layer.cell(gates, states[index] if states else None))
            gates = F.max_pool2d(self._norm(index)(found[-1][0]), 2)
        return gates, found

    def _share(self, x: Tensor, time: int) -> Tensor:
        """Return what the pooled maps of a time step add to the logits, (N, num_classes)."""
        weight = self.linear.weight
        if self.head == "average":
            return x.mean((2, 3)) @ weight.T / self.frames
        if self.head == "last":
            return x.flatten(1) @ weight.T * (time == self.frames - 1)
        return x.flatten(1) @ weight.unflatten(1, (self.frames, -1))[:, time].T

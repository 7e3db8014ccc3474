"""Training steps of the networks: ours against plain ones, and against torchvision's per GFLOP.

On a GPU, where there is one, in bfloat16 as well.
"""

import importlib

import torch
from _timing import compare
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vidlib.models import CLSTM, I3D
from vidlib.profiles import PROFILES

# Only now: vidlib makes torchvision importable beside a CPU build of torch.
peer = importlib.import_module("torchvision.models.video")

SOMETHING_V2 = 168_913  # training clips
GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
torch.manual_seed(0)


class PlainCell(nn.Module):
    """A ConvLSTM cell as the equations have it: eight convolutions, four of x and four of h."""

    def __init__(self, inputs: int, hidden: int, kernel: int, stride: int):
        super().__init__()
        pad = kernel // 2
        self.x = nn.ModuleList(nn.Conv2d(inputs, hidden, kernel, stride, pad) for _ in range(4))
        self.h = nn.ModuleList(
            nn.Conv2d(hidden, hidden, kernel, padding=pad, bias=False) for _ in range(4)
        )

    def forward(self, x, h, c):
        i, f, o = (torch.sigmoid(self.x[k](x) + self.h[k](h)) for k in range(3))
        c = f * c + i * torch.tanh(self.x[3](x) + self.h[3](h))
        return o * torch.tanh(c), c


class PlainCLSTM(nn.Module):
    """The C-LSTM cell by cell and frame by frame, with the weights of one of ours."""

    def __init__(self, ours: CLSTM):
        super().__init__()
        self.cells, self.norms, self.linear = nn.ModuleList(), ours.norms, ours.linear
        for layer in ours.layers:
            conv, hidden = layer.conv, layer.cell.hidden
            cell = PlainCell(conv.in_channels, hidden, conv.kernel_size[0], conv.stride[0])
            for k in range(4):
                part = slice(k * hidden, (k + 1) * hidden)
                cell.x[k].weight.data = conv.weight.data[part].clone()
                cell.x[k].bias.data = conv.bias.data[part].clone()
                cell.h[k].weight.data = layer.cell.conv.weight.data[part].clone()
            self.cells.append(cell)

    def forward(self, clips):
        frames = list(clips.unbind(2))
        for cell, norm in zip(self.cells, self.norms, strict=True):
            shape = cell.x[0](frames[0]).shape
            h = c = frames[0].new_zeros(shape)
            outputs = []
            for x in frames:
                h, c = cell(x, h, c)
                outputs.append(h)
            # statistics over all frames at once, as ours has them
            normed = norm(torch.cat(outputs))
            frames = list(nn.functional.max_pool2d(normed, 2).chunk(len(outputs)))
        return self.linear(torch.stack(frames, 1).flatten(1))


class ContiguousI3D(nn.Module):
    """One of our I3Ds on clips as they lie, channels first."""

    def __init__(self, ours: I3D):
        super().__init__()
        self.parts = nn.Sequential(*ours.children())

    def forward(self, clips):
        return self.parts(clips).flatten(1)


def step(network, clips, dtype):
    def run():
        network.zero_grad(set_to_none=True)
        with torch.autocast(DEVICE.type, dtype, enabled=dtype is not None):
            network(clips).logsumexp(1).sum().backward()
        if GPU:
            torch.cuda.synchronize()

    return run


def gflop(network, clips):
    with FlopCounterMode(display=False) as counter:
        network(clips).sum().backward()
    network.zero_grad(set_to_none=True)
    return counter.get_total_flops() / 1e9


def with_spatial_strides(size):
    return {"spatial_strides": (2, 2, 2, 1, 1)} if size < 112 else {}


# clips, pixels, width of I3D, hidden units and strides of the C-LSTM
SETTINGS = [(8, 56, 0.25, 16, (2, 1, 1)), (4, 112, 0.25, 16, (2, 2, 1))]
SETTINGS += [(32 if GPU else 2, 224, 1.0, 32, (2, 2, 2))]
for batch, size, width, hidden, stride in SETTINGS:
    clips = torch.rand(batch, 3, 16, size, size, device=DEVICE) * 2 - 1
    ours = CLSTM(16, size=(size, size), hidden=hidden, stride=stride).to(DEVICE)
    plain = PlainCLSTM(ours).to(DEVICE)
    with torch.no_grad():
        difference = (ours.eval()(clips) - plain.eval()(clips)).abs().max().item()
    assert difference < 1e-3, difference
    ours.train(), plain.train()
    i3d = I3D(16, width=width, **with_spatial_strides(size)).to(DEVICE)
    peers = {"r3d_18": peer.r3d_18(num_classes=16).to(DEVICE)}
    if size >= 224:  # its last pooling wants maps of seven by seven
        peers["s3d"] = peer.s3d(num_classes=16).to(DEVICE)
    networks = {"C-LSTM, plain": plain, "C-LSTM": ours}
    networks |= {"I3D, channels first": ContiguousI3D(i3d), "I3D": i3d, **peers}
    for dtype in (None, torch.bfloat16) if GPU else (None,):
        print(f"steps of {batch} clips of 16 frames of {size} pixels, {dtype or 'float32'}")
        seconds = compare(
            {name: step(network, clips, dtype) for name, network in networks.items()}, rounds=3
        )
        for name, network in networks.items():
            if "," not in name:  # others do the same arithmetic
                rate = gflop(network, clips) / seconds[name]
                print(f"  {name:32} {rate:9.1f} GFLOP/s {batch / seconds[name]:9.1f} clips/s")
        if size == 224:
            for name, family in (("I3D", "i3d"), ("C-LSTM", "clstm")):
                epochs = getattr(PROFILES["paper"]["something"], f"{family}_epochs")
                days = SOMETHING_V2 * epochs * seconds[name] / batch / 86400
                print(
                    f"  {name}, {epochs} epochs of Something-something V2: {days:.1f} days of steps"
                )

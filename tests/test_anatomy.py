"""Sizes, costs and temporal reach of networks, by hand; and how they are drawn."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vidlib.models import CLSTM, I3D, layer_costs, temporal_reach
from vidlib.show import reach_chart

pytestmark = pytest.mark.usefixtures("one_thread")


class Two(nn.Module):
    """A convolution over three frames, then a linear layer over all of them."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 4, (3, 1, 1), padding=(1, 0, 0))
        self.dropout = nn.Dropout()
        self.linear = nn.Linear(4 * 5 * 2 * 2, 7)
        self.gradcam_layer = self.conv

    def forward(self, clips):
        return self.linear(self.dropout(self.conv(clips)).flatten(1))


def test_costs_by_hand():
    costs = layer_costs(Two().eval(), torch.zeros(1, 3, 5, 2, 2)).set_index("layer")
    assert costs.index.tolist() == ["conv", "linear"]
    assert costs.loc["conv", "output"] == (4, 5, 2, 2) and costs.loc["linear", "output"] == (7,)
    assert costs["parameters"].tolist() == [3 * 4 * 3 + 4, 80 * 7 + 7]
    # twice the weights that meet each output: 3 x 3 of 80, 80 of 7
    assert (costs["gflop"] * 1e9).tolist() == pytest.approx([2 * 9 * 80, 2 * 80 * 7])


@pytest.mark.parametrize("name", ["i3d", "clstm", "both ways"])
def test_all_parameters_are_somebodys(name):
    net = {
        "i3d": lambda: I3D(5, width=1 / 16, spatial_strides=(2, 2, 2, 1, 1)),
        "clstm": lambda: CLSTM(5, frames=4, size=(24, 24), hidden=3, stride=1),
        "both ways": lambda: CLSTM(5, frames=4, size=(24, 24), stride=1, bidirectional=True),
    }[name]().eval()
    costs = layer_costs(net, torch.zeros(1, 3, 4, 24, 24))
    assert costs["parameters"].sum() == sum(p.numel() for p in net.parameters())
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 3, 4, 24, 24))
    assert costs["gflop"].sum() * 1e9 == pytest.approx(counter.get_total_flops())
    if name == "clstm":
        assert costs["layer"].tolist() == [
            *(f"{part}.{k}" for k in range(3) for part in ("layers", "norms")), "linear",
        ]  # fmt: skip
        # input: 75 weights for each of 12 gates' maps; hidden: 3 of 4 steps
        expected = 2 * 12 * 24 * 24 * (4 * 75 + 3 * 75)
        assert costs["gflop"][0] * 1e9 == expected


def test_reach_by_hand():
    reach = temporal_reach(Two(), torch.rand(1, 3, 5, 2, 2))
    frame = np.arange(5)
    assert np.array_equal(reach, abs(frame[:, None] - frame) <= 1)


def test_reach_leaves_the_network_as_it_was():
    """In training BatchNorm would mix the frames, and remember the clip."""
    net = CLSTM(4, frames=5, size=(24, 24), hidden=3, stride=1)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    reach = temporal_reach(net, torch.rand(1, 3, 5, 24, 24))
    layer_costs(net, torch.rand(1, 3, 5, 24, 24))
    assert np.array_equal(reach, np.tril(np.ones((5, 5), bool)))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training and net.norms[0].training and not net.gradcam_layer._forward_hooks
    assert all(p.grad is None for p in net.parameters())


def test_drawings_say_what_they_show():
    eye, lower = np.eye(4, dtype=bool), np.tril(np.ones((4, 4), bool))
    drawn = reach_chart({"a": lower, "b": lower.T, "c": eye[::2] | eye[1::2]}, "X")
    assert "a never looks ahead; b looks ahead; c never looks ahead" in drawn.alt
    assert [panel["type"] for panel in drawn.figure["data"]] == ["heatmap"] * 3

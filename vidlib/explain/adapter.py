"""Networks with other inputs or outputs, made into what this package explains.

`vidlib.explain` asks a module for logits (B, K) of clips (B, C, T, H, W). Networks of other
libraries may take their axes in another order, see several pathways (SlowFast), return
probabilities, or a single logit.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from vidlib import check

OUTPUTS = ("logits", "probabilities", "one logit", "one probability")


def logits_in(output: object) -> object:
    """Return the logits in what a network returned: a tensor, or in a ModelOutput, dict or tuple.

    >>> logits_in({"logits": torch.zeros(1, 3), "loss": None}).shape
    torch.Size([1, 3])
    """
    if isinstance(output, Mapping) and "logits" in output:
        return output["logits"]
    if isinstance(output, tuple | list) and output and not hasattr(output, "logits"):
        return output[0]
    return getattr(output, "logits", output)


class Adapted(nn.Module):
    """A network behind other inputs and outputs; made by `adapt`."""

    def __init__(self, model: nn.Module, axes: str, pathways: Sequence[int], outputs: str):
        super().__init__()
        self.model, self.axes, self.pathways, self.outputs = model, axes, tuple(pathways), outputs

    @property
    def gradcam_layer(self) -> nn.Module | None:
        """The network's own layer for Grad-CAM, if it names one."""
        return getattr(self.model, "gradcam_layer", None)

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips (B, C, T, H, W) to logits (B, K)."""
        order = ["BCTHW".index(axis) for axis in self.axes]
        last = clips.shape[2] - 1
        shown = [
            clips[:, :, torch.linspace(0, last, frames).long()].permute(order)
            for frames in self.pathways
        ]
        found = logits_in(self.model(shown if shown else clips.permute(order)))
        if self.outputs == "logits" or not isinstance(found, Tensor):
            return found
        if self.outputs.endswith("probability") or self.outputs == "probabilities":
            tiny = torch.finfo(found.dtype).tiny
            if self.outputs == "probabilities":
                return found.clamp_min(tiny).log()
            found = found.clamp(tiny, 1 - torch.finfo(found.dtype).eps).logit()
        found = found.reshape(len(clips), 1)
        return torch.cat([torch.zeros_like(found), found], 1)


def adapt(
    model: nn.Module,
    *,
    axes: str = "BCTHW",
    pathways: Sequence[int] = (),
    outputs: str = "logits",
) -> nn.Module:
    """Return a network with another input or output as one that this package explains.

    axes: the order in which the network takes batch B, channels C, time T, height H and width W.
    pathways: for a network that takes a list of clips, how many frames each of them has, spread
    evenly over the clip as PyTorchVideo's SlowFast does, such as (8, 32). outputs: "logits",
    "probabilities" (B, K), or, of two classes, "one logit" or "one probability" (B,) or (B, 1), of
    class 1. Raises ValueError for anything else.

    >>> class Other(nn.Module):
    ...     def forward(self, frames):  # (B, T, C, H, W)
    ...         return frames.mean((1, 3, 4)).softmax(1)
    >>> adapt(Other(), axes="BTCHW", outputs="probabilities")(torch.zeros(2, 3, 8, 4, 4)).shape
    torch.Size([2, 3])
    """
    if sorted(axes) != sorted("BCTHW"):
        raise ValueError(f"axes is {axes!r}: give the letters B, C, T, H and W in some order")
    for frames in pathways:
        check.count("pathways", frames)
    check.one_of("outputs", outputs, OUTPUTS)
    return Adapted(model, axes, pathways, outputs)

"""Networks with other inputs or outputs, made into what this package explains.

`vidlib.explain` asks a module for logits (B, K) of clips (B, C, T, H, W). Networks of other
libraries may take their axes in another order, see several pathways (SlowFast), return
probabilities, or a single logit.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidlib import check


class Unanswered(ValueError):
    """A network fails on clips, or does not return logits for each of them."""


def logits_in(output: object) -> object:
    """Return the logits in what a network returned: alone, or in a ModelOutput, dict or tuple.

    Of a tuple or list the first counts.

    >>> logits_in({"logits": torch.zeros(1, 3), "loss": None}).shape
    torch.Size([1, 3])
    """
    if isinstance(output, np.ndarray):
        return torch.from_numpy(output)
    if isinstance(output, Mapping) and "logits" in output:
        return logits_in(output["logits"])
    if isinstance(output, tuple | list) and output and not hasattr(output, "logits"):
        return logits_in(output[0])
    return getattr(output, "logits", output)


def _one(found: Tensor) -> Tensor:
    found = found.reshape(len(found), -1)
    if found.shape[1] != 1:
        raise Unanswered(f"there are {found.shape[1]} outputs for each clip: say what they are")
    return found


def _of_logit(found: Tensor) -> Tensor:
    return torch.cat([-_one(found), _one(found)], 1) / 2  # so that both have a gradient


def _of_probabilities(found: Tensor) -> Tensor:
    if not ((found >= 0) & (found <= 1.001)).all():
        raise Unanswered("the outputs leave [0, 1], so are no probabilities: say what they are")
    found = found.to(torch.promote_types(found.dtype, torch.float32))
    return found.clamp_min(torch.finfo(found.dtype).tiny).log()


def _of_probability(found: Tensor) -> Tensor:
    return _of_probabilities(torch.cat([1 - _one(found), _one(found)], 1))


OUTPUTS: dict[str, Callable] = {
    "logits": lambda found: found,
    "probabilities": _of_probabilities,
    "one logit": _of_logit,
    "one probability": _of_probability,
}


class Adapted(nn.Module):
    """A network behind other inputs and outputs; made by `adapt`."""

    def __init__(self, model: nn.Module, inputs: Callable, outputs: Callable):
        super().__init__()
        self.model, self.inputs, self.outputs = model, inputs, outputs

    @property
    def gradcam_layer(self) -> nn.Module | None:
        """The network's own layer for Grad-CAM, if it names one."""
        return getattr(self.model, "gradcam_layer", None)

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips (B, C, T, H, W) to logits (B, K)."""
        given = self.inputs(clips)
        if isinstance(given, Mapping):
            return self.outputs(self.model(**given))
        return self.outputs(self.model(*given) if isinstance(given, tuple) else self.model(given))


def adapt(
    model: nn.Module,
    *,
    axes: str = "BCTHW",
    pathways: Sequence[int] = (),
    inputs: Callable[[Any], Any] | None = None,
    outputs: str | Callable[[Any], Tensor] = "logits",
) -> nn.Module:
    """Return a network with another input or output as one that this package explains.

    axes: the order in which the network takes batch B, channels C, time T, height H and width W.
    pathways: for a network that takes a list of clips, how many frames each of them has, spread
    evenly over the clip as PyTorchVideo's SlowFast does, such as (8, 32). inputs: a function from
    these to what else the network takes: a dict of its keyword arguments, a tuple of its arguments,
    or its only one. outputs: "logits", "probabilities" (B, K), or, of two classes, "one logit" or
    "one probability" (B,) or (B, 1), of class 1; or a function from what the network returns to
    logits (B, K). Raises ValueError for anything else.

    >>> class Other(nn.Module):
    ...     def forward(self, *, video):  # (B, T, C, H, W)
    ...         return video.mean((1, 3, 4)).softmax(1)
    >>> other = adapt(
    ...     Other(), axes="BTCHW", inputs=lambda x: {"video": x}, outputs="probabilities"
    ... )
    >>> other(torch.zeros(2, 3, 8, 4, 4)).shape
    torch.Size([2, 3])
    """
    if sorted(axes) != sorted("BCTHW"):
        raise ValueError(f"axes is {axes!r}: give the letters B, C, T, H and W in some order")
    for frames in pathways:
        check.count("pathways", frames)
    if not callable(outputs):
        check.one_of("outputs", outputs, OUTPUTS)
    order = ["BCTHW".index(axis) for axis in axes]

    def shown(clips: Tensor) -> Any:
        spread = [torch.linspace(0, clips.shape[2] - 1, frames).long() for frames in pathways]
        given = [clips[:, :, at].permute(order) for at in spread] or clips.permute(order)
        return given if inputs is None else inputs(given)

    def logits(returned: object) -> Tensor:
        return outputs(returned) if callable(outputs) else OUTPUTS[outputs](logits_in(returned))

    return Adapted(model, shown, logits)

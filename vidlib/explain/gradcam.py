"""Grad-CAM over space and time (section 3.2, Eq. 2), also through recurrent layers.

For activations A of k channels and the logit F_c of class c, with the average over t, i, j::

    w_k = mean_{tij} dF_c / dA_{k,t,i,j};    L_{t,i,j} = ReLU(sum_k w_k A_{k,t,i,j})

A recurrent layer is called once per time step. Every call's output is recorded as it flows on, so
the gradient of an early step's activations includes their effect on all later steps.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidlib.explain.scores import check_clips, explained, logits_of, resolve_targets


def grad_cam(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    *,
    layer: nn.Module | None = None,
    weights: str = "clip",
) -> Tensor:
    """Return the saliency (B, T, H, W) in [0, 1] of clips (B, C, T, H, W), on the clips' device.

    ``layer`` is the module of the model whose output is explained, by default the model's
    ``gradcam_layer``. It is called either once per clip and returns (B, K, T', H', W'), or once
    per time step and returns (B, K, H', W'), or a tuple that begins with it. ``weights`` averages
    the gradients over the "clip" (Eq. 2) or, as the authors did for the C-LSTM, per "frame". The
    score is the logit of ``targets`` (B,), by default the guess: softmax would add the other
    classes' logits to it and fade where the network is certain.

    The map of step floor(t T' / T) serves frame t, resized bilinearly to (H, W); each clip is
    divided by its maximum, and a map of zeros stays so. The model is left as found, without hooks.
    Raises ValueError for arguments and layers it cannot use.
    """
    check_clips(clips)
    if weights not in ("clip", "frame"):
        raise ValueError(f'weights is {weights!r}: choose "clip" or "frame".')
    layer = _layer_of(model, layer)
    with explained(model) as device, torch.enable_grad(), _recorded(layer) as outputs:
        logits = logits_of(model, clips.detach().to(device).requires_grad_())
        _check_outputs(outputs, len(clips))
        chosen = logits.gather(1, resolve_targets(targets, logits)[:, None])
        gradients = torch.autograd.grad(chosen.sum(), outputs)
    activation, gradient = (
        tensors[0] if tensors[0].ndim == 5 else torch.stack(tensors, 2)
        for tensors in ([output.detach() for output in outputs], gradients)
    )
    weight = gradient.mean((2, 3, 4) if weights == "clip" else (3, 4), keepdim=True)
    maps = (weight * activation).sum(1).relu()
    maps = F.interpolate(maps, clips.shape[3:], mode="bilinear", align_corners=False)
    frame = torch.arange(clips.shape[2], device=device)
    maps = maps[:, frame * maps.shape[1] // clips.shape[2]]
    peak = maps.amax((1, 2, 3), keepdim=True)
    return torch.where(peak > 0, maps / peak, 0).to(clips.device)


@contextmanager
def _recorded(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the layer's (first) output at every call, while what flows on is a copy of it.

    The copy keeps operations that work in place, such as a following ReLU, off the record.
    """
    outputs = []

    def record(_module: nn.Module, _inputs: tuple, output: Tensor | tuple) -> Tensor | tuple:
        first = output if isinstance(output, Tensor) else output[0]
        outputs.append(first)
        return first.clone() if isinstance(output, Tensor) else (first.clone(), *output[1:])

    handle = layer.register_forward_hook(record)
    try:
        yield outputs
    finally:
        handle.remove()


def _layer_of(model: nn.Module, layer: nn.Module | None) -> nn.Module:
    if layer is None:
        layer = getattr(model, "gradcam_layer", None)
        if layer is None:
            raise ValueError(
                f"{type(model).__name__} has no gradcam_layer: pass layer=, the module to explain."
            )
    if all(module is not layer for module in model.modules()):
        raise ValueError("layer is no module of the model: pass one of model.modules().")
    return layer


def _check_outputs(outputs: list[Tensor], clips: int) -> None:
    if not outputs:
        raise ValueError("layer was not called in the forward pass: pass one that the model uses.")
    shapes = {tuple(output.shape) for output in outputs}
    shape = next(iter(shapes))
    per_clip = len(shape) == 5 and len(outputs) == 1
    if len(shapes) > 1 or shape[0] != clips or not (per_clip or len(shape) == 4):
        raise ValueError(
            f"layer returned {', '.join(map(str, sorted(shapes)))} in {len(outputs)} call(s) for "
            f"{clips} clips: pass one that returns (B, K, T, H, W) once, or (B, K, H, W) per step."
        )

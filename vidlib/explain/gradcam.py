"""Grad-CAM over space and time (section 3.2, Eq. 2), also through recurrent layers.

For activations A of k channels and the score F_c of class c, with the average over t, i, j::

    w_k = mean_{tij} dF_c / dA_{k,t,i,j};    L_{t,i,j} = ReLU(sum_k w_k A_{k,t,i,j})

The average may also be taken per frame, as in the authors' code for the C-LSTM, or not at all: then
every cell's gradient weights its own activation (HiResCAM, Draelos and Carin 2020). If maps are
flattened into a linear layer, an average over cells discards what that layer knows of position;
without it, the products of gradients and activations sum to the logit minus its bias.

A recurrent layer is called once per time step. Every call's output is recorded on its way, so the
gradient of an early step's activations includes their effect on all later steps. Direct gradients
leave that out: they include only the paths that do not pass through the layer again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from vidlib import check
from vidlib.explain.asked import Unanswered, held_fixed, together_or_alone
from vidlib.explain.scores import check_clips, check_finite, resolve_targets, softmax
from vidlib.explain.trial import NO_GRADIENTS, warn_of_probabilities


def grad_cam(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    *,
    layer: nn.Module | None = None,
    weights: str = "clip",
    score: str = "logit",
    gradients: str = "through",
    scale: str = "clip",
    reshape: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return the saliency (B, T, H, W) in [0, 1] of clips (B, C, T, H, W), on the clips' device.

    ``layer`` is the module of the model whose output is explained, by default the model's
    ``gradcam_layer``. It is called either once per clip and returns (B, K, T', H', W'), or once
    per time step, in order, and returns (B, K, H', W'). In a tuple, list or dict the first tensor
    counts.
    ``reshape`` converts outputs of other shapes: see `channels_last` and `token_grid`. (In a model
    that classifies a class token, the other tokens of the last block have no effect and their map
    is zero: explain an earlier block.)

    ``weights`` averages the gradients over the "clip" (Eq. 2), per "frame", or not: "cell". The
    ``score`` of ``targets`` (B,), by default the guess, is the "logit", or the probability by
    "softmax", which mixes in the other classes' logits. ``gradients`` of a layer called per step
    go "through" the later steps or are "direct"; for a layer called once they are the same.

    Frame t gets the map of step floor(t T' / T), resized bilinearly to (H, W). Each "clip" or each
    "frame", by ``scale``, is divided by its maximum; maps of zeros stay zero. The model is left as
    found, without hooks. Raises ValueError for bad arguments and layers without maps.

    >>> pooled = nn.AdaptiveAvgPool3d(1), nn.Flatten()
    >>> model = nn.Sequential(nn.Conv3d(3, 4, 3), nn.ReLU(), *pooled, nn.Linear(4, 2))
    >>> maps = grad_cam(model, torch.rand(2, 3, 4, 8, 8), layer=model[0])
    >>> maps.shape, float(maps.min()) >= 0, float(maps.max()) <= 1
    (torch.Size([2, 4, 8, 8]), True, True)
    """
    check_clips(clips)
    check.one_of("weights", weights, ("clip", "frame", "cell"))
    check.one_of("score", score, ("logit", "softmax"))
    check.one_of("gradients", gradients, ("through", "direct"))
    check.one_of("scale", scale, ("clip", "frame"))
    if reshape is not None and not callable(reshape):
        raise ValueError(f"reshape is {reshape!r}: give a function of the layer's output")
    layer = _layer_of(model, layer)

    def maps_of(clips: Tensor, targets: Tensor | None = None) -> Tensor:
        """Return the maps (B, T', H', W') of clips that the model sees together."""
        with held_fixed(model, gradients=True) as asked, _recorded(layer, gradients, asked.noted):
            logits = asked.together(clips.detach().to(asked.device))
            warn_of_probabilities(logits.detach())
            targets = resolve_targets(targets, logits)
            outputs = [*asked.noted]  # as a checkpoint calls the layer again to go backward
            activation = _over_time([output.detach() for output in outputs], reshape, len(clips))
            # In double precision, as 1 - p of a near-certain guess is lost to rounding in single.
            scores = softmax(logits.double()) if score == "softmax" else logits
            weight = _over_time(
                _gradients(scores.gather(1, targets[:, None]), outputs), reshape, len(clips)
            )
        if weights != "cell":
            weight = weight.mean((2, 3, 4) if weights == "clip" else (3, 4), keepdim=True)
        return (weight * activation).sum(1).relu()

    given = [] if targets is None else [torch.as_tensor(targets)]
    maps = together_or_alone(maps_of, clips, *given)
    maps = F.interpolate(maps, clips.shape[3:], mode="bilinear", align_corners=False)
    frame = torch.arange(clips.shape[2], device=maps.device)
    maps = maps[:, frame * maps.shape[1] // clips.shape[2]]
    peak = maps.amax((1, 2, 3) if scale == "clip" else (2, 3), keepdim=True)
    check_finite("maps", peak)
    return torch.where(peak > 0, maps / peak, 0).to(clips.device)


def _gradients(scores: Tensor, outputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient of the sum of scores in each of the layer's outputs."""
    found: Sequence[Tensor | None] = ()
    if scores.requires_grad:
        try:
            found = torch.autograd.grad(scores.sum(), outputs, allow_unused=True)
        except RuntimeError as error:
            raise ValueError(NO_GRADIENTS.format(error)) from error
    if all(gradient is None for gradient in found):
        raise ValueError(
            "the logits do not depend on what layer returned: pass a layer on the way to them. If "
            "it is, then an activation checkpoint needs use_reentrant=False, and a network that "
            "detaches, or runs under inference_mode, gives no gradients: use occlusion"
        )
    pairs = zip(outputs, found, strict=True)
    return [torch.zeros_like(output) if grad is None else grad for output, grad in pairs]


def channels_last(output: Tensor) -> Tensor:
    """Move the channels of (B, ..., K), such as torchvision's Swin blocks return, to (B, K, ...).

    >>> channels_last(torch.zeros(1, 4, 6, 6, 8)).shape
    torch.Size([1, 8, 4, 6, 6])
    """
    return output.movedim(-1, 1)


def token_grid(
    frames: int, height: int, width: int, *, order: str = "THW"
) -> Callable[[Tensor], Tensor]:
    """Return a ``reshape`` from tokens (B, N, K) to (B, K, frames, height, width).

    order: which of time T, row H and column W runs slowest, and which fastest: "THW", or "HWT" as
    in TimeSformer. Class tokens before them are dropped. Nobody can see from the tokens alone that
    the order is wrong: the map is then scrambled. Raises ValueError for other letters, an empty
    grid and, when called, for tokens that do not fit: fewer than the grid has, or at least a whole
    frame more.

    >>> token_grid(2, 3, 4)(torch.zeros(1, 1 + 24, 8)).shape  # with one class token
    torch.Size([1, 8, 2, 3, 4])
    """
    grid = {"frames": frames, "height": height, "width": width}
    for name, size in grid.items():
        check.count(name, size)
    if sorted(order) != sorted("THW"):
        raise ValueError(f"order is {order!r}: give the letters T, H and W in some order")
    count, sides = frames * height * width, dict(zip("THW", grid.values(), strict=True))
    places = [order.index(axis) + 1 for axis in "THW"]

    def arrange(tokens: Tensor) -> Tensor:
        good = tokens.ndim == 3 and count <= tokens.shape[1] < count + height * width
        wanted = f"(B, N, K) for {grid}: N = {count} and fewer than {height * width} class tokens"
        check.shape("the layer's output", tokens, wanted, good)
        cells = tokens[:, -count:].unflatten(1, [sides[axis] for axis in order])
        return cells.permute(0, 4, *places)

    return arrange


@contextmanager
def _recorded(layer: nn.Module, gradients: str, outputs: list[Tensor]) -> Iterator[None]:
    """Collect the layer's (first) output at every call, and pass on a copy of it.

    The copy protects the record from operations in place, such as a following ReLU. The outputs
    require gradients and nothing before them does, so autograd records from here on only. For
    direct gradients it does not record the layer, so that no output depends on an earlier one.
    """

    def enter(_module: nn.Module, _inputs: tuple) -> None:
        torch.set_grad_enabled(gradients == "through")

    def record(_module: nn.Module, _inputs: tuple, output: object) -> object:
        torch.set_grad_enabled(True)
        values, spec = tree_flatten(output)
        for at, value in enumerate(values):
            if isinstance(value, Tensor) and value.is_floating_point():
                outputs.append(value.requires_grad_())
                return tree_unflatten([*values[:at], value.clone(), *values[at + 1 :]], spec)
        return output

    with layer.register_forward_pre_hook(enter), layer.register_forward_hook(record):
        yield


def _layer_of(model: nn.Module, layer: nn.Module | None) -> nn.Module:
    layer = getattr(model, "gradcam_layer", None) if layer is None else layer
    if layer is None:
        name = type(model).__name__
        raise ValueError(f"{name} has no gradcam_layer: pass layer=, the module to explain")
    if all(module is not layer for module in model.modules()):
        raise ValueError("layer is not a module of the model: pass one of model.modules()")
    if isinstance(layer, torch.jit.ScriptModule):
        raise ValueError("layer is scripted or traced, and cannot be watched: pass the plain model")
    return layer


def _over_time(
    outputs: Sequence[Tensor], reshape: Callable[[Tensor], Tensor] | None, clips: int
) -> Tensor:
    """Return what the layer gave in its calls, or its gradient, as (B, K, T', H', W')."""
    if not outputs:
        raise ValueError(
            "layer was not called in the forward pass, or returned no tensor, alone or in a tuple, "
            "list or dict: pass one that the model uses (scripted and exported ones use none)"
        )
    if reshape is not None:
        outputs = [reshape(output) for output in outputs]
    shapes = {tuple(output.shape) for output in outputs}
    shape = next(iter(shapes))
    per_clip = len(shape) == 5 and len(outputs) == 1
    if len(shapes) > 1 or shape[0] != clips or not (per_clip or len(shape) == 4):
        found = f"{', '.join(map(str, sorted(shapes)))} in {len(outputs)} call(s)"
        wanted = "(B, K, T, H, W) once or (B, K, H, W) per step, or give reshape="
        raise Unanswered(f"layer returned {found} for {clips} clips: pass one with {wanted}")
    return outputs[0] if per_clip else torch.stack(list(outputs), 2)

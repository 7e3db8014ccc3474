"""Class scores of clips, and the state in which a network is explained."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

LARGEST_BATCH = 32  # clips; larger ones are no faster
ROOM = 2 * 2**30  # bytes that autograd may keep on a CPU


@contextmanager
def held_fixed(model: nn.Module) -> Iterator[torch.device]:
    """Put the model into eval mode with its parameters out of autograd; yield its device.

    On leaving, even by an exception, every module's mode and every parameter's requires_grad flag
    are as found. As no parameter takes part, no ``.grad`` is touched.
    """
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    tensor = next(chain(model.parameters(), model.buffers()), torch.empty(0))
    try:
        model.eval().requires_grad_(False)
        yield tensor.device
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def check_clips(clips: Tensor) -> None:
    """Raise ValueError unless the clips are floating (B, C, T, H, W), with at least one of each."""
    if clips.ndim != 5 or 0 in clips.shape or not clips.is_floating_point():
        raise ValueError(
            f"clips have shape {tuple(clips.shape)} and type {clips.dtype}: give a floating-point "
            "tensor (B, C, T, H, W), not empty."
        )


def check_micro_batch(micro_batch: int) -> None:
    """Raise ValueError unless the micro-batch holds at least one clip."""
    if micro_batch < 1:
        raise ValueError(f"micro_batch is {micro_batch}: it must be at least 1 clip.")


def logits_of(model: nn.Module, clips: Tensor) -> Tensor:
    """Return the model's logits (B, K); raise ValueError where they are not that."""
    logits = model(clips)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(clips):
        raise ValueError(
            f"the model returned {_describe(logits)} for {len(clips)} clips: it must return logits "
            "(B, K)."
        )
    return logits


def softmax(logits: Tensor) -> Tensor:
    """Softmax over classes, in single precision at least: (B, K) to (B, K)."""
    return logits.softmax(1, dtype=torch.promote_types(logits.dtype, torch.float32))


def resolve_targets(targets: Tensor | None, scores: Tensor) -> Tensor:
    """Return the class of each clip, int64 (B,): as given, or the guess, by scores (B, K).

    Raises ValueError for targets that are not one class number per clip.
    """
    if targets is None:
        return scores.argmax(1)
    targets = torch.as_tensor(targets, device=scores.device)
    if targets.shape != scores.shape[:1] or targets.is_floating_point():
        raise ValueError(
            f"targets have shape {tuple(targets.shape)} and type {targets.dtype}: give one whole "
            f"class number for each of the {len(scores)} clips."
        )
    if targets.min() < 0 or targets.max() >= scores.shape[1]:
        raise ValueError(
            f"targets lie in [{targets.min()}, {targets.max()}], but the model has classes "
            f"0 to {scores.shape[1] - 1}."
        )
    return targets.long()


@torch.no_grad()
def logits_of_clips(model: nn.Module, clips: Tensor, *, micro_batch: int = 16) -> Tensor:
    """Return the logits (B, K), on the clips' device, of clips (B, C, T, H, W).

    The model runs in eval mode on its own device, ``micro_batch`` clips at a time, and is left as
    found. Raises ValueError for clips or a micro-batch it cannot use, and for logits that are not
    finite.
    """
    check_clips(clips)
    check_micro_batch(micro_batch)
    with held_fixed(model) as device:
        chunks = [logits_of(model, chunk.to(device)) for chunk in clips.split(micro_batch)]
    logits = torch.cat(chunks).to(clips.device)
    if not logits.isfinite().all():
        bad = (~logits.isfinite()).any(1).nonzero()[0].item()
        raise ValueError(
            f"the scores of clip {bad} are not finite: check its values, then the weights."
        )
    return logits


def score_clips(model: nn.Module, clips: Tensor, *, micro_batch: int = 16) -> Tensor:
    """Return the softmax scores (B, K), on the clips' device, of clips (B, C, T, H, W).

    As `logits_of_clips`, with the same errors.
    """
    return softmax(logits_of_clips(model, clips, micro_batch=micro_batch))


def fitting_batch(model: nn.Module, clips: Tensor) -> int:
    """Return how many of the clips (B, C, T, H, W) should go forward and backward together.

    What autograd keeps of one clip is counted, and `ROOM` filled with it, on a GPU half of its
    memory; but at most `LARGEST_BATCH`, and at least 1.
    """
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        held_fixed(model) as device,
        torch.enable_grad(),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        model(clips[:1].detach().to(device).requires_grad_())
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    bytes_of_one = sum(size for at, size in kept.items() if at not in weights)
    room = ROOM
    if device.type == "cuda":
        room = torch.cuda.get_device_properties(device).total_memory // 2
    return int(min(LARGEST_BATCH, max(1, room // max(1, bytes_of_one))))


def _describe(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__

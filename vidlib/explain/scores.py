"""Class scores of clips, and the state of a network while it is explained."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

from vidlib import check
from vidlib.explain.adapter import logits_in

LARGEST_BATCH = 32  # clips; larger ones are no faster
ONE_LOGIT = 'vidlib.explain.adapt(model, outputs="one logit")'
ROOM = 2 * 2**30  # bytes that autograd may keep on a CPU


@contextmanager
def held_fixed(model: nn.Module) -> Iterator[torch.device]:
    """Put the model into eval mode, its parameters out of autograd; yield its device.

    On leaving, even by an exception, every module's mode, every parameter's requires_grad flag,
    every buffer and the random state are restored. No parameter takes part in autograd, so no
    ``.grad`` changes.

    >>> layer = nn.Linear(2, 2)
    >>> with held_fixed(layer) as device:
    ...     device.type, layer.training, layer.weight.requires_grad
    ('cpu', False, False)
    >>> layer.training, layer.weight.requires_grad
    (True, True)
    """
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    buffers = [(m, name, b, b.clone()) for m in model.modules() for name, b in _buffers(m)]
    tensor = next(chain(model.parameters(), model.buffers()), torch.empty(0))
    with torch.random.fork_rng([tensor.device] if tensor.is_cuda else []):
        try:
            model.eval()
            for parameter, _ in flags:
                parameter.requires_grad_(False)
            yield tensor.device
        finally:
            for module, mode in modes:
                module.training = mode
            for parameter, flag in flags:
                parameter.requires_grad_(flag)
            for module, name, buffer, saved in buffers:
                if not torch.equal(buffer, saved):
                    buffer.data.copy_(saved)
                if getattr(module, name) is not buffer:
                    setattr(module, name, buffer)


def _buffers(module: nn.Module) -> list[tuple[str, Tensor]]:
    return list(module.named_buffers(recurse=False))


def check_clips(clips: Tensor) -> None:
    """Raise ValueError unless clips are floating-point (B, C, T, H, W) and not empty."""
    good = clips.ndim == 5 and 0 not in clips.shape and clips.is_floating_point()
    check.shape("clips", clips, "floating-point clips (B, C, T, H, W), not empty", good)


def check_finite(what: str, values: Tensor) -> None:
    """Raise ValueError, naming the clip, unless all values (B, ...) are finite."""
    bad = (~values.isfinite()).flatten(1).any(1)
    if bad.any():
        clip = f"the {what} of clip {bad.int().argmax()} are not finite"
        raise ValueError(f"{clip}: check its values, then the weights")


def logits_at_once(model: nn.Module, clips: Tensor) -> Tensor:
    """Return the model's logits (B, K) of clips that it sees together; ValueError if it fails.

    It gets a copy, which it may change, in the type of its parameters.
    """
    types = (p.dtype for p in model.parameters() if p.is_floating_point())
    try:
        logits = logits_in(model(clips.to(next(types, clips.dtype), copy=True)))
    except Exception as error:  # a foreign network raises anything
        raise ValueError(
            f"the model fails on clips (B, C, T, H, W) of shape {tuple(clips.shape)} ({error}): if "
            "it takes other inputs, wrap it with vidlib.explain.adapt"
        ) from error
    good = isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == len(clips)
    wanted = f"a model that returns logits (B, K), here for {len(clips)} clips"
    if isinstance(logits, Tensor) and logits.shape == (len(clips),):
        wanted += f", or {ONE_LOGIT}"
    check.shape("the model's output", logits, wanted, good)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def logits_of(model: nn.Module, clips: Tensor) -> Tensor:
    """Return the model's logits (B, K), clip by clip if it takes no batch of them."""
    try:
        return logits_at_once(model, clips)
    except ValueError:
        if len(clips) == 1:
            raise
        try:
            return torch.cat([logits_at_once(model, clip) for clip in clips.split(1)])
        except ValueError:
            pass
        raise


@torch.no_grad()
def takes_batches(model: nn.Module, clips: Tensor) -> bool:
    """Tell whether the model takes more than one of the clips at a time."""
    try:
        with held_fixed(model) as device:
            return len(logits_at_once(model, clips[:2].to(device))) > 0
    except ValueError:
        return len(clips) == 1


def warn_of_probabilities(logits: Tensor) -> None:
    """Warn if logits (B, K) look like probabilities, of which a softmax would be taken."""
    ones = logits.sum(1).sub(1).abs().max() < 1e-3
    if logits.shape[1] > 1 and ones and ((logits >= 0) & (logits <= 1)).all():
        warnings.warn(
            "the model seems to return probabilities, and a softmax is taken of them again: wrap "
            'it with vidlib.explain.adapt(model, outputs="probabilities")',
            stacklevel=3,
        )


def check_gradients(model: nn.Module, clips: Tensor) -> None:
    """Raise ValueError if no gradient of the model's logits reaches the clips."""
    with held_fixed(model) as device, torch.inference_mode(False), torch.enable_grad():
        shown = clips[:1].detach().clone().to(device).requires_grad_()
        if not logits_of(model, shown).requires_grad:
            raise ValueError(
                "the model gives no gradients (its forward runs under no_grad, detaches, or leaves "
                "PyTorch): mend that, or use search_masks, occlusion or random_masks"
            )


def softmax(logits: Tensor) -> Tensor:
    """Return the softmax over classes of logits (B, K), in at least single precision.

    Raises ValueError for one class, whose score would always be 1.
    """
    if logits.shape[1] < 2:
        raise ValueError(
            f"the model returns one logit: wrap it as {ONE_LOGIT}, or follow the logit"
        )
    return logits.softmax(1, dtype=torch.promote_types(logits.dtype, torch.float32))


def resolve_targets(targets: Tensor | None, scores: Tensor) -> Tensor:
    """Return the class of each clip, int64 (B,): as given, or the best of the scores (B, K).

    Raises ValueError unless targets are one class number for each clip.
    """
    if targets is None:
        return scores.argmax(1)
    targets = torch.as_tensor(targets, device=scores.device)
    good = targets.shape == scores.shape[:1] and not targets.is_floating_point()
    wanted = f"one whole class number for each of the {len(scores)} clips"
    check.shape("targets", targets, wanted, good)
    if targets.min() < 0 or targets.max() >= scores.shape[1]:
        found = f"targets lie in [{targets.min()}, {targets.max()}]"
        raise ValueError(f"{found}: give classes of the model, 0 to {scores.shape[1] - 1}")
    return targets.long()


@torch.no_grad()
def logits_of_clips(model: nn.Module, clips: Tensor, *, micro_batch: int = 16) -> Tensor:
    """Return the logits (B, K), on the clips' device, of clips (B, C, T, H, W).

    The model runs in eval mode on its own device, ``micro_batch`` clips at a time, and is left as
    found. Raises ValueError for bad clips, a bad micro-batch and logits that are not finite.
    """
    check_clips(clips)
    check.count("micro_batch", micro_batch)
    with held_fixed(model) as device:
        chunks = [logits_of(model, chunk.to(device)) for chunk in clips.split(micro_batch)]
    logits = torch.cat(chunks).to(clips.device)
    check_finite("scores", logits)
    warn_of_probabilities(logits)
    return logits


def score_clips(model: nn.Module, clips: Tensor, *, micro_batch: int = 16) -> Tensor:
    """Return the softmax scores (B, K), on the clips' device, of clips (B, C, T, H, W).

    Runs the model and raises errors as `logits_of_clips` does.

    >>> model = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(3, 5))
    >>> scores = score_clips(model, torch.rand(2, 3, 4, 8, 8))
    >>> scores.shape, bool(scores.sum(1).allclose(torch.ones(2)))
    (torch.Size([2, 5]), True)
    """
    return softmax(logits_of_clips(model, clips, micro_batch=micro_batch))


def fitting_batch(model: nn.Module, clips: Tensor) -> int:
    """Return how many of the clips (B, C, T, H, W) should go forward and backward together.

    Fills `ROOM`, or half of a GPU's memory, by what autograd keeps of one clip; at least 1 and at
    most `LARGEST_BATCH`.
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
        logits_of(model, clips[:1].detach().to(device).requires_grad_())
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    bytes_of_one = sum(size for at, size in kept.items() if at not in weights)
    room = ROOM
    if device.type == "cuda":
        room = torch.cuda.get_device_properties(device).total_memory // 2
    return int(min(LARGEST_BATCH, max(1, room // max(1, bytes_of_one))))

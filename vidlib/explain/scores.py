"""Class scores of clips by any network, and what is wrong with it or with them."""

from contextlib import suppress

import torch
from torch import Tensor, nn

from vidlib import check
from vidlib.explain.asked import OUTPUTS, Unanswered, held_fixed
from vidlib.explain.trial import warn_of_probabilities

LARGEST_BATCH = 32  # clips; larger ones are no faster
ROOM = 2 * 2**30  # bytes that autograd may keep on a CPU


def check_clips(clips: Tensor) -> None:
    """Raise ValueError unless clips are floating-point (B, C, T, H, W) and not empty."""
    good = isinstance(clips, Tensor) and clips.layout == torch.strided and not clips.is_meta
    good = good and clips.ndim == 5 and 0 not in clips.shape and clips.is_floating_point()
    wanted = "floating-point clips (B, C, T, H, W), not empty, as a tensor"
    check.shape("clips", clips, wanted, good)


def check_finite(what: str, values: Tensor) -> None:
    """Raise ValueError, naming the clip, unless all values (B, ...) are finite."""
    bad = (~values.isfinite()).flatten(1).any(1)
    if bad.any():
        clip = f"the {what} of clip {bad.int().argmax()} are not finite"
        raise ValueError(f"{clip}: check its values, then the weights")


def softmax(logits: Tensor) -> Tensor:
    """Return the softmax over classes of logits (B, K), in at least single precision.

    Raises ValueError for one class, whose score would always be 1.
    """
    if logits.shape[1] < 2:
        raise ValueError(f"the model returns one logit: use {OUTPUTS}, or follow the logit")
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


def logits_of_clips(model: nn.Module, clips: Tensor, *, micro_batch: int = 16) -> Tensor:
    """Return the logits (B, K), on the clips' device, of clips (B, C, T, H, W).

    The model runs in eval mode on its own device, ``micro_batch`` clips at a time, and is left as
    found. Raises ValueError for bad clips, a bad micro-batch and logits that are not finite.
    """
    check_clips(clips)
    check.count("micro_batch", micro_batch)
    with held_fixed(model) as asked:
        chunks = [asked(chunk.to(asked.device)) for chunk in clips.split(micro_batch)]
    logits = torch.cat(chunks).to(clips.device)
    check_finite("scores", logits.softmax(1))
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


def shares_work(model: nn.Module, clip: Tensor, logits: Tensor) -> bool:
    """Return whether a network computes what perturbations of a clip share once, and rightly.

    It offers to by `shares_work` = True and three methods, which `vidlib.models.I3D` has:
    `frame_responses` of clips, linear in their frames; `of_mixed`, the logits of responses mixed by
    matrices; `of_orders`, those of one clip with its frames in other orders. What it offers counts
    if it says of a clip (1, C, T, H, W) what the network itself says, logits (1, K): another
    forward, or a hook, may be in the way.
    """
    if getattr(model, "shares_work", False) is not True:
        return False
    with held_fixed(model) as asked:
        shown = asked.model.frame_responses(clip.to(asked.device, asked.types[0]))
        same = torch.eye(clip.shape[2], device=asked.device, dtype=asked.types[0])[None]
        found = asked.model.of_mixed(shown, same).to(logits)
    return bool(torch.allclose(found, logits, rtol=1e-3, atol=1e-4))


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
        held_fixed(model, gradients=True) as asked,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        suppress(Unanswered),  # of networks without gradients
    ):
        asked(clips[:1].detach().clone().to(asked.device).requires_grad_())
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    bytes_of_one = sum(size for at, size in kept.items() if at not in weights)
    if getattr(model, "shares_work", False) is True:
        with held_fixed(model) as asked:
            clip = clips[:1].to(asked.device, asked.types[0])
            bytes_of_one += asked.model.frame_responses(clip).nbytes
    room = ROOM
    if asked.device.type == "cuda":
        room = torch.cuda.get_device_properties(asked.device).total_memory // 2
    return int(min(LARGEST_BATCH, max(1, room // max(1, bytes_of_one))))

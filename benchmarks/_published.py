"""The authors' procedure for one clip, written plainly after its description: loops, no batches.

An independent oracle: tests hold `vidlib.explain.published` and `learn_masks(procedure="paper")`
against it, and the benchmark measures them against it. As published: autograd keeps everything,
weights included; frames are frozen one by one; the start is the first centred window that keeps
less than 90 % of the frozen clip's drop; inner differences count twice; all iterations are run.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def frozen(clip: Tensor, mask: Tensor) -> Tensor:
    """Return a clip (C, T, H, W) frozen by a mask (T,), frame by frame (section 3.1)."""
    frames = [clip[:, 0]]
    for t in range(1, clip.shape[1]):
        frames.append((1 - mask[t]) * clip[:, t] + mask[t] * frames[-1])
    return torch.stack(frames, 1)


def score(model: nn.Module, clip: Tensor, target: int) -> Tensor:
    """Return the softmax score of a class for one clip."""
    return model(clip[None]).softmax(1)[0, target]


def variation(mask: Tensor, beta: float) -> Tensor:
    """Return the authors' total variation: both differences of every inner frame of (T,)."""
    total = mask.new_zeros(())
    for t in range(1, len(mask) - 1):
        total = total + (mask[t - 1] - mask[t]).abs() ** beta
        total = total + (mask[t + 1] - mask[t]).abs() ** beta
    return total


def published_start(score: Callable[[Tensor], Tensor], length: int) -> Tensor:
    """Return the start window, on/off (T,). score: that of the clip under a mask (T,)."""
    before = score(torch.zeros(length))
    full = before - score(torch.ones(length))
    for margin in range(1, length // 2):
        window = torch.zeros(length)
        window[margin : length - margin] = 1
        if (before - score(window)) / full < 0.9:
            break
    return window


def published_mask(
    model: nn.Module,
    clip: Tensor,
    target: int,
    *,
    l1: float = 0.01,
    tv: float = 0.02,
    beta: float = 3,
    iterations: int = 300,
    lr: float = 0.2,
) -> Tensor:
    """Return the mask (T,) that the authors' procedure learns for a clip (C, T, H, W)."""
    start = published_start(lambda mask: score(model, frozen(clip, mask), target), clip.shape[1])
    logits = (10 * start.to(clip) - 5).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr)
    for _ in range(iterations):
        mask = logits.sigmoid()
        loss = (
            l1 * mask.abs().sum()
            + tv * variation(mask, beta)
            + score(model, frozen(clip, mask), target)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return logits.sigmoid().detach()

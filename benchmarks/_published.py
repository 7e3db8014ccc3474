"""The paper's procedure for one clip, written plainly after its description: loops, no batches.

What it is measured against, and tested against. As published: autograd keeps everything, weights
included; frames are frozen one by one; the start is the first centred window that fails to cause
90 % of the frozen clip's drop; inner differences count twice; all iterations are run.
"""

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
    """Return the published code's total variation: both differences of every inner frame."""
    total = 0
    for t in range(1, len(mask) - 1):
        total = total + (mask[t - 1] - mask[t]).abs() ** beta
        total = total + (mask[t + 1] - mask[t]).abs() ** beta
    return total


def published_start(model: nn.Module, clip: Tensor, target: int) -> Tensor:
    """Return the start window, on/off (T,)."""
    length = clip.shape[1]
    before = score(model, clip, target)
    full = before - score(model, frozen(clip, torch.ones(length, dtype=clip.dtype)), target)
    for margin in range(1, length // 2):
        window = torch.zeros(length, dtype=clip.dtype)
        window[margin : length - margin] = 1
        drop = before - score(model, frozen(clip, window), target)
        if drop / full < 0.9:
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
    """Return the mask (T,) that the published procedure learns for a clip (C, T, H, W)."""
    logits = (10 * published_start(model, clip, target) - 5).requires_grad_()
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

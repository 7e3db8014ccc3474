"""Perturbations of time as linear maps: a mask becomes a row-stochastic matrix over frames.

Row t of the matrix says how frame t of the perturbed clip is mixed from the frames of the clip.
Masks are (B, T), floating, in [0, 1], 1 = perturbed; matrices are (B, T, T), of the mask's dtype
and differentiable with respect to it. A new perturbation is one more such function.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

REVERSE_THRESHOLD = 0.1  # section 3.1: indices above it count as active


def freeze(mask: Tensor) -> Tensor:
    """Hold the previous frame where the mask is on (section 3.1, the pseudocode).

    p_0 = x_0 and p_t = (1 - m_t) x_t + m_t p_{t-1}, recursive in the *perturbed* previous frame.
    The mask's first value has no effect. Maps (B, T) in [0, 1] to (B, T, T); other masks raise
    ValueError.
    """
    _check_mask(mask)
    identity = torch.eye(mask.shape[1], dtype=mask.dtype, device=mask.device)
    row = identity[0].expand(len(mask), -1)
    rows = [row]
    for t in range(1, mask.shape[1]):
        m = mask[:, t, None]
        row = (1 - m) * identity[t] + m * row
        rows.append(row)
    return torch.stack(rows, 1)


def reverse(mask: Tensor) -> Tensor:
    """Play every contiguous run of m > 0.1 backwards (section 3.1).

    In a run from a to b, p_i = (1 - m_i) x_i + m_i x_{a+b-i}: each row uses its own mask value, so
    every frame of the run gets a gradient. The authors' code blends both frames of a swapped pair
    by the mask value of the first half's frame, which leaves the second half without one; on on/off
    masks the two agree. Maps (B, T) in [0, 1] to (B, T, T); other masks raise ValueError.
    """
    _check_mask(mask)
    length = mask.shape[1]
    index = torch.arange(length, device=mask.device)
    active = mask > REVERSE_THRESHOLD
    first = active & ~F.pad(active, (1, -1))
    last = active & ~F.pad(active, (-1, 1))
    start = torch.where(first, index, 0).cummax(1).values
    stop = torch.where(last, index, length - 1).flip(1).cummin(1).values.flip(1)
    mirror = torch.where(active, start + stop - index, index)
    amount = torch.where(active, mask, 0)
    swapped = F.one_hot(mirror, length).to(mask.dtype)
    return torch.diag_embed(1 - amount) + amount[..., None] * swapped


def perturb(clips: Tensor, matrix: Tensor) -> Tensor:
    """Mix the frames of clips (B, C, T, H, W) by matrices (B, T, T) into clips of that shape.

    Raises ValueError where the shapes do not fit each other.
    """
    if clips.ndim != 5 or matrix.shape != (len(clips), clips.shape[2], clips.shape[2]):
        raise ValueError(
            f"clips {tuple(clips.shape)} and matrix {tuple(matrix.shape)} do not fit: give clips "
            "as (B, C, T, H, W) and a matrix (B, T, T) for the same B and T."
        )
    return (matrix[:, None].to(clips.dtype) @ clips.flatten(3)).unflatten(3, clips.shape[3:])


def frame_order(matrix: Tensor) -> Tensor:
    """Return which frame each perturbed frame mostly shows: (B, T, T) to int64 (B, T), 0-based."""
    return matrix.argmax(-1)


def _check_mask(mask: Tensor) -> None:
    if mask.ndim != 2 or 0 in mask.shape or not mask.is_floating_point():
        raise ValueError(
            f"mask has shape {tuple(mask.shape)} and type {mask.dtype}: give a floating-point "
            "tensor (B, T)."
        )
    if not ((mask >= 0) & (mask <= 1)).all():
        raise ValueError("mask has values outside [0, 1]: pass logits through a sigmoid first.")

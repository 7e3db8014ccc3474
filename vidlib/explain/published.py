"""What the authors' code does with temporal masks where the paper's text says something else.

`learn_masks(procedure="paper")` follows it. The errata (chapter 7) show what each point does. None
of the code is theirs.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from vidlib.explain.perturb import RUN_THRESHOLD, frame_order, reverse
from vidlib.explain.windows import START_SHARE


def start_masks(
    score: Callable[[Tensor], Tensor], clips: int, frames: int, whole: Tensor | None = None
) -> Tensor:
    """Return the on/off masks (B, T), float32, from which the search starts.

    The text wants the smallest centred window that keeps 90 % of the drop in score of the whole
    clip. The code shrinks the window until it keeps *less*, and takes that one. If none does, it
    takes the smallest, which has two or three frames. Clips of up to three frames start whole.

    score: maps masks (B, T) of the B clips to scores (B,). whole: the scores (B,) that define the
    whole drop, by default under masks of ones. (The code always freezes for it, even to learn masks
    by reversing.)

    >>> start_masks(lambda mask: 1 - mask[:, 1:5].mean(1), clips=1, frames=6).tolist()
    [[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]]
    """
    start, shrinking = torch.ones(clips, frames), torch.ones(clips, dtype=torch.bool)
    original = score(torch.zeros_like(start))
    drop = original - (score(start) if whole is None else whole)
    for edge in range(1, frames // 2):
        window = torch.zeros_like(start)
        window[:, edge:-edge] = 1
        start[shrinking] = window[0]
        # If freezing does not change a clip, 0 / 0 is not less: its window keeps shrinking.
        shrinking &= ~((original - score(window)) / drop < START_SHARE).cpu()
    return start


def inner_variation(mask: Tensor, beta: float = 3) -> Tensor:
    """Return what the code adds to the total variation of masks (..., T), as (...).

    For every inner frame it sums the differences to both neighbours, so that all differences but
    the first and the last count twice.

    >>> inner_variation(torch.tensor([0.0, 1.0, 0.0, 0.0]))
    tensor(1.)
    """
    return mask[..., 1:-1].diff().abs().pow(beta).sum(-1)


def total_variation(mask: Tensor, beta: float = 3) -> Tensor:
    """Return the code's total variation of masks (..., T), as (...).

    The sum goes through a root and back, so that a flat mask has no finite slope: `learn_masks`
    leaves this out.

    >>> total_variation(torch.tensor([0.0, 1.0, 0.0, 0.0])).round()
    tensor(3.)
    """
    once = mask.diff().abs().pow(beta).sum(-1)
    return (once + inner_variation(mask, beta)).pow(1 / beta).pow(beta)


def reverse_by_first_half(mask: Tensor) -> Tensor:
    """Play every run backwards as the authors' code does: masks (B, T) to matrices (B, T, T).

    Both frames of a swapped pair are mixed by the mask value of the first, so that the second half
    of a run gets no gradient. On on/off masks this equals `reverse`.

    >>> reverse_by_first_half(torch.tensor([[0.5, 0.75]])).tolist()
    [[[0.5, 0.5], [0.5, 0.5]]]
    """
    mirror = frame_order(reverse((mask > RUN_THRESHOLD).to(mask.dtype)))
    frame = torch.arange(mask.shape[1], device=mask.device)
    return reverse(mask.gather(1, torch.minimum(frame, mirror)))

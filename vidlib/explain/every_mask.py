"""Every on/off mask of a clip, scored: what follows from them is exact, not searched or sampled.

Under `freeze` the first frame always stays, so that the other T - 1 of a clip's T frames decide
what is shown: one of 2^(T-1) things. (Under `hold_next` the last frame stays.)
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidlib import check
from vidlib.explain.objective import Objective, Perturbation, penalty
from vidlib.explain.perturb import freeze
from vidlib.explain.scores import check_clips, softmax

MOST_FRAMES = 20  # of a clip: half a million masks
BLOCK = 2048  # masks that are scored between two steps of the progress bar


@dataclass(frozen=True)
class EveryMask:
    """The logits of B clips of T frames under every mask, M = 2^(T-1) of them.

    masks: (M, T), 1 = frozen, of the type of clips; the frame that always stays is 0 in all. Mask 0
    freezes nothing, the last one all that it can. With frames in order of time, but for the one
    that stays, they count in binary. logits: (B, M, K).
    """

    masks: Tensor
    logits: Tensor

    def scores(self, targets: Tensor | None = None) -> Tensor:
        """Return the softmax scores (B, M) of classes (B,), by default the guess on each clip."""
        targets = self.logits[:, 0].argmax(1) if targets is None else targets
        clips = range(len(self.logits))  # one by one, as all softmaxes together are large
        return torch.stack([softmax(self.logits[i])[:, targets[i]] for i in clips])


def score_all_masks(
    model: nn.Module,
    clips: Tensor,
    *,
    perturbation: Perturbation = freeze,
    micro_batch: int | None = None,
    progress: bool = False,
) -> EveryMask:
    """Score clips (B, C, T, H, W) under every on/off mask there is.

    perturbation: `freeze` or `hold_next`. The other arguments are those of `Objective`. Networks
    that offer it compute what masks share once; others see 2^(T-1) clips for each. Raises
    ValueError for any other perturbation and for more than 20 frames.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> score_all_masks(model, torch.rand(3, 1, 4, 1, 1)).logits.shape
    torch.Size([3, 8, 2])
    """
    check_clips(clips)
    length, name = clips.shape[2], getattr(perturbation, "__name__", perturbation)
    check.one_of("perturbation", str(name), ("freeze", "hold_next"))
    check.count("the number of frames", length, most=MOST_FRAMES)
    objective = Objective(model, clips, micro_batch=micro_batch, progress=progress)
    numbers = torch.arange(2 ** (length - 1), device=objective.original.device)
    bits = (numbers[:, None] >> torch.arange(length - 2, -1, -1, device=numbers.device)) & 1
    stays = numbers.new_zeros(len(numbers), 1)
    order = (stays, bits) if perturbation is freeze else (bits, stays)
    masks = torch.cat(order, 1).to(objective.original)
    logits = [
        torch.cat(
            [
                objective.logits_under(row.expand(len(part)), perturbation(part))
                for part in masks.split(BLOCK)
            ]
        )
        for row in objective.rows
    ]
    return EveryMask(masks, torch.stack(logits))


def best_hard_mask(
    found: EveryMask, targets: Tensor | None = None, **weights: float
) -> tuple[Tensor, Tensor]:
    """Return the on/off mask of least loss by Eq. 1 of each clip, (B, T), and its loss (B,).

    weights: l1, tv and beta, as `penalty` takes them. The frame that always stays can still be
    masked: it costs its length and may save variation.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> mask, loss = best_hard_mask(score_all_masks(model, torch.rand(3, 1, 4, 1, 1)), l1=0.002)
    >>> mask.shape, loss.shape
    (torch.Size([3, 4]), torch.Size([3]))
    """
    stays = int((found.masks.amax(0) == 0).nonzero()[0])
    other = found.masks.clone()
    other[:, stays] = 1
    masks = torch.cat([found.masks, other])
    losses = found.scores(targets).repeat(1, 2) + penalty(masks, **weights)
    loss, best = losses.min(1)
    return masks[best], loss


def smallest_sets(good: Tensor, size: Tensor) -> Tensor:
    """Return the numbers of the masks (N,) that are good, (M,) bool, and of the least size (M,).

    >>> smallest_sets(torch.tensor([False, True, True, True]), torch.tensor([0, 1, 1, 2])).tolist()
    [1, 2]
    """
    least = size[good].min() if good.any() else size.max() + 1
    return (good & (size == least)).nonzero()[:, 0]


def shapley_values(scores: Tensor) -> Tensor:
    """Return what freezing each of n frames takes from a score, over all orders: (n,).

    Shapley (1953): the average over all orders in which the frames may be frozen, one by one. They
    sum to what freezing all takes. scores: (2^n,), of the masks in the order of `EveryMask`.

    >>> shapley_values(torch.tensor([1.0, 0.0, 0.0, 0.0])).tolist()  # each frame alone is enough
    [0.5, 0.5]
    """
    frames = len(scores).bit_length() - 1
    weights = _weights(frames - 1).to(scores.device)
    values = [-_change(scores.double(), k) @ weights for k in range(frames)]
    return torch.stack(values).to(scores)


def shapley_interactions(scores: Tensor) -> Tensor:
    """Return what freezing two frames takes beyond what each takes: (n, n), 0 for one with itself.

    The Shapley interaction index (Grabisch and Roubens 1999), below 0 where one of the two is
    enough. scores: as in `shapley_values`.

    >>> shapley_interactions(torch.tensor([1.0, 0.0, 0.0, 0.0])).tolist()
    [[0.0, -1.0], [-1.0, 0.0]]
    """
    frames = len(scores).bit_length() - 1
    weights, found = _weights(frames - 2).to(scores.device), scores.new_zeros(frames, frames)
    for j in range(1, frames):
        for i in range(j):
            change = _change(_change(scores.double(), j), i)
            found[i, j] = found[j, i] = -(change @ weights)
    return found


def _change(scores: Tensor, frame: int) -> Tensor:
    """Return what freezing a frame adds to a score, (2^(n-1),), by what else is frozen."""
    return scores.view(2**frame, 2, -1).diff(dim=1).flatten()


def _weights(others: int) -> Tensor:
    """Return how often each set of other frames is frozen before a frame, (2^others,)."""
    numbers = torch.arange(2**others)
    sizes = sum(numbers >> k & 1 for k in range(others)) + numbers * 0
    weights = [1 / ((others + 1) * math.comb(others, size)) for size in range(others + 1)]
    return torch.tensor(weights, dtype=torch.float64)[sizes]

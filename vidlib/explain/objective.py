"""Equation 1: what a temporal mask minimises, and the scores in it.

    L(m) = l1 sum_t |m_t| + tv sum_t |m_{t+1} - m_t|^beta + F_c(perturbed clip)

F_c is the score of the target class, by default its softmax.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vidlib import check
from vidlib.explain.asked import Asked, held_fixed
from vidlib.explain.perturb import frame_order, freeze, perturb
from vidlib.explain.scores import (
    check_clips,
    fitting_batch,
    logits_of_clips,
    resolve_targets,
    shares_work,
    softmax,
)
from vidlib.explain.trial import check_steady

Perturbation = Callable[[Tensor], Tensor]  # masks (B, T) to row-stochastic matrices (B, T, T)
SCORES = ("softmax", "logit")
MANY = 8  # re-orderings of one clip that are worth a pass of their own


def penalty(mask: Tensor, l1: float = 0.01, tv: float = 0.02, beta: float = 3) -> Tensor:
    """Return the first two terms of Eq. 1 of masks (B, T): (B,). Their slope is finite.

    >>> penalty(torch.tensor([[0.0, 1.0, 1.0, 0.0]])).tolist()  # 2 frames, 2 steps
    [0.05999999865889549]
    """
    return l1 * mask.sum(1) + tv * mask.diff(dim=1).abs().pow(beta).sum(1)


class Objective:
    """Equation 1 for some clips and a network, and the scores of one class for each clip.

    Attributes: targets (B,) int64, the class of each clip; original (B,), its score on the
    unperturbed clip; micro_batch, clips that go through the network at once, by default
    `fitting_batch`; shares, whether what perturbations of a clip share is computed once
    (`vidlib.explain.scores.shares_work`); weights, l1, tv and beta; bar, which counts perturbed
    clips and, with ``progress``, is shown. Raises ValueError for bad arguments before the network
    sees a clip.
    """

    def __init__(
        self,
        model: nn.Module,
        clips: Tensor,
        targets: Tensor | None = None,
        *,
        perturbation: Perturbation = freeze,
        score: str = "softmax",
        l1: float = 0.01,
        tv: float = 0.02,
        beta: float = 3,
        micro_batch: int | None = None,
        progress: bool = False,
    ):
        """Check everything and score the unperturbed clips."""
        check_clips(clips)
        check.one_of("score", score, SCORES)
        check.number("l1", l1, least=0)
        check.number("tv", tv, least=0)
        check.number("beta", beta, least=1)  # below 1 a flat mask has no gradient
        self.model, self.clips, self.score = model, clips.detach(), score
        self.perturbation, self.weights = perturbation, (l1, tv, beta)
        self.micro_batch = fitting_batch(model, clips) if micro_batch is None else micro_batch
        logits = logits_of_clips(model, self.clips, micro_batch=self.micro_batch)
        self.targets = resolve_targets(targets, logits)
        check_steady(model, self.clips, logits)
        self.original, self.classes = self._of_targets(logits, self.targets), logits.shape[1]
        self.shares = shares_work(model, self.clips[-1:], logits[-1:])
        self.rows = torch.arange(len(clips), device=clips.device)
        self.bar = tqdm(disable=not progress, desc="perturbed clips", total=0)

    def _of_targets(self, logits: Tensor, targets: Tensor) -> Tensor:
        values = softmax(logits) if self.score == "softmax" else logits
        return values.gather(1, targets[:, None]).squeeze(1)

    def shown(self, asked: Asked, rows: Tensor) -> Tensor:
        """Return what `logits_of` mixes of the clips of rows (N,), on the model's device."""
        clips = self.clips[rows].to(asked.device)
        return asked.model.frame_responses(clips.to(asked.types[0])) if self.shares else clips

    def logits_of(self, asked: Asked, shown: Tensor, matrices: Tensor) -> Tensor:
        """Return the logits (N, K) of `shown` clips mixed by matrices (N, T, T)."""
        self.bar.update(len(matrices))
        if self.shares:
            return asked.model.of_mixed(shown, matrices.to(shown))
        return asked(perturb(shown, matrices))

    def logits_under(self, rows: Tensor, matrices: Tensor) -> Tensor:
        """Return the logits (N, K) of the clips of rows (N,), each mixed by its matrix (N, T, T).

        Where many matrices re-order the frames of one clip, a network that `shares` its work is
        asked about all of them at once.
        """
        self.bar.total += len(rows)
        several = self.shares and bool((matrices.amax(-1) == 1).all())
        clips, counts = rows.unique(return_counts=True)
        alone = torch.isin(rows, clips[counts < MANY] if several else clips)
        with held_fixed(self.model) as asked:
            like = self.original
            found = torch.empty(len(rows), self.classes, dtype=like.dtype, device=like.device)
            for row in rows[~alone].unique():
                mine = (rows == row).nonzero()[:, 0]
                orders = frame_order(matrices[mine]).to(asked.device)
                logits = asked.model.of_orders(
                    self.shown(asked, row[None]), orders, self.micro_batch
                )
                self.bar.update(len(mine))
                found[mine] = logits.to(found)
            others = alone.nonzero()[:, 0]
            for part in others.split(self.micro_batch) if len(others) else ():
                shown, mixed = self.shown(asked, rows[part]), matrices[part].to(asked.device)
                found[part] = self.logits_of(asked, shown, mixed).to(found)
        return found

    def under(self, rows: Tensor, matrices: Tensor) -> Tensor:
        """Return the scores (N,) of the clips of rows (N,), each mixed by its matrix (N, T, T)."""
        return self._of_targets(self.logits_under(rows, matrices), self.targets[rows])

    def under_masks(self, masks: Tensor) -> Tensor:
        """Return the scores (B,) of the clips, each under its mask of (B, T)."""
        return self.under(self.rows, self.perturbation(masks))

    def under_each(self, matrices: Tensor) -> Tensor:
        """Return the scores (B, N) of every clip under each of the same matrices (N, T, T)."""
        clips, count = len(self.clips), len(matrices)
        rows = self.rows.repeat_interleave(count)
        return self.under(rows, matrices.repeat(clips, 1, 1)).view(clips, count)

    def __call__(
        self, asked: Asked, shown: Tensor, targets: Tensor, masks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return loss and score, both (N,), of clips that are `shown` under masks (N, T)."""
        logits = self.logits_of(asked, shown, self.perturbation(masks))
        score = self._of_targets(logits, targets)
        return penalty(masks, *self.weights) + score, score

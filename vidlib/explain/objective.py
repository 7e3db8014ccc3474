"""Equation 1: what a temporal mask minimises, and the scores that it is made of.

    L(m) = l1 sum_t |m_t| + tv sum_t |m_{t+1} - m_t|^beta + F_c(perturbed clip)

F_c is the score of the class followed, by default its softmax.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vidlib.explain.perturb import perturb
from vidlib.explain.scores import (
    check_clips,
    check_micro_batch,
    fitting_batch,
    held_fixed,
    logits_of,
    logits_of_clips,
    resolve_targets,
    softmax,
)

Perturbation = Callable[[Tensor], Tensor]  # masks (B, T) to row-stochastic matrices (B, T, T)
SCORES = ("softmax", "logit")


def penalty(mask: Tensor, l1: float = 0.01, tv: float = 0.02, beta: float = 3) -> Tensor:
    """Return the first two terms of Eq. 1 of masks (B, T): (B,). Their slope is finite."""
    return l1 * mask.sum(1) + tv * mask.diff(dim=1).abs().pow(beta).sum(1)


class TargetScores:
    """The scores of one class for each of some clips, as they are and with their frames mixed.

    Attributes: targets (B,) int64, the class followed in each clip; original (B,), its score on the
    clip as it is; micro_batch, clips that go through the network at once, by default as many as
    `fitting_batch` says. Raises ValueError for arguments it cannot use, before the network sees a
    clip.
    """

    def __init__(
        self,
        model: nn.Module,
        clips: Tensor,
        targets: Tensor | None = None,
        *,
        score: str = "softmax",
        micro_batch: int | None = None,
    ):
        """Check everything and score the clips as they are."""
        check_clips(clips)
        if score not in SCORES:
            raise ValueError(f"score is {score!r}: choose one of {', '.join(SCORES)}.")
        if micro_batch is not None:
            check_micro_batch(micro_batch)
        self.model, self.clips, self.score = model, clips.detach(), score
        self.micro_batch = micro_batch or fitting_batch(model, self.clips)
        logits = logits_of_clips(model, self.clips, micro_batch=self.micro_batch)
        self.targets = resolve_targets(targets, logits)
        self.original = self._followed(logits, self.targets)

    def _followed(self, logits: Tensor, targets: Tensor) -> Tensor:
        values = softmax(logits) if self.score == "softmax" else logits
        return values.gather(1, targets[:, None]).squeeze(1)

    @torch.no_grad()
    def under(self, rows: Tensor, matrices: Tensor, bar: tqdm | None = None) -> Tensor:
        """Return the scores (N,) of the clips of these rows (N,), each under its own matrix."""
        found = [self.original[:0]]
        with held_fixed(self.model) as device:
            for part in torch.arange(len(rows), device=rows.device).split(self.micro_batch):
                shown = perturb(self.clips[rows[part]].to(device), matrices[part].to(device))
                targets = self.targets[rows[part]].to(device)
                found.append(self._followed(logits_of(self.model, shown), targets).to(rows.device))
                if bar is not None:
                    bar.update(len(part))
        return torch.cat(found)

    def under_each(self, matrices: Tensor) -> Tensor:
        """Return the scores (B, N) of every clip under each of the same matrices (N, T, T)."""
        clips, count = len(self.clips), len(matrices)
        rows = torch.arange(clips, device=self.clips.device).repeat_interleave(count)
        return self.under(rows, matrices.repeat(clips, 1, 1)).view(clips, count)


class Objective(TargetScores):
    """Equation 1 for some clips and a network: shared by the ways to minimise it.

    weights: l1, tv and beta.
    """

    def __init__(
        self,
        model: nn.Module,
        clips: Tensor,
        targets: Tensor | None,
        perturbation: Perturbation,
        score: str,
        weights: tuple[float, float, float],
        micro_batch: int | None,
    ):
        """Check everything and score the clips as they are."""
        l1, tv, beta = weights
        if l1 < 0 or tv < 0:
            raise ValueError(f"l1 is {l1} and tv is {tv}: both weights must be at least 0.")
        if beta < 1:
            raise ValueError(
                f"beta is {beta}: it must be at least 1, or a flat mask has no gradient."
            )
        super().__init__(model, clips, targets, score=score, micro_batch=micro_batch)
        self.perturbation, self.weights = perturbation, weights

    def __call__(self, clips: Tensor, targets: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and score, both (N,), of clips (N, C, T, H, W) under masks (N, T)."""
        shown = perturb(clips, self.perturbation(masks))
        score = self._followed(logits_of(self.model, shown), targets)
        return penalty(masks, *self.weights) + score, score

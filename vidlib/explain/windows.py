"""The contiguous on/off masks of clips, scored on demand."""

import torch
from torch import Tensor

from vidlib.explain.objective import Objective, penalty
from vidlib.explain.perturb import window_masks

START_SHARE = 0.9  # of the drop in score caused by perturbing the whole clip


class Windows:
    """All W windows of a clip of T frames, by first, then last frame, and their scores of B clips.

    first, last (W,) int64, inclusive; masks (W, T); scores and losses (B, W), NaN where not tried.
    Windows with the same matrix are scored once: freezing, for example, never changes frame 0.
    """

    def __init__(self, objective: Objective):
        """List the windows; score none."""
        self.objective, original = objective, objective.original
        self.length = length = objective.clips.shape[2]
        self.first, self.last = torch.triu_indices(length, length, device=original.device)
        self.masks = window_masks(self.first, self.last, length).to(original.dtype)
        self.penalties = penalty(self.masks, *objective.weights)
        self._matrices, self._alike = objective.perturbation(self.masks).unique(
            dim=0, return_inverse=True
        )
        self._scores = original.new_full((len(original), len(self._matrices)), torch.nan)
        self._tried = torch.zeros_like(self.first, dtype=torch.bool).repeat(len(original), 1)

    @property
    def scores(self) -> Tensor:
        """Scores (B, W) of the clips' targets."""
        return self._scores[:, self._alike].where(self._tried, torch.nan)

    @property
    def losses(self) -> Tensor:
        """Losses (B, W) by Eq. 1."""
        return self.scores + self.penalties

    @property
    def best(self) -> Tensor:
        """The windows (B,) of least loss; of equal ones the earliest, then shortest."""
        return self.losses.nan_to_num(torch.inf).argmin(1)

    def try_those(self, wanted: Tensor) -> None:
        """Score the windows that are wanted, (W,) or (B, W) bool, but none twice."""
        new = torch.zeros_like(self._scores, dtype=torch.bool)
        self._tried |= wanted
        rows, windows = self._tried.nonzero(as_tuple=True)
        new[rows, self._alike[windows]] = True
        rows, columns = (new & self._scores.isnan()).nonzero(as_tuple=True)
        self._scores[rows, columns] = self.objective.under(rows, self._matrices[columns])

    def on_grid(self, step: int) -> Tensor:
        """Return which windows (W,) begin and end at multiples of step, or at the clip's end."""
        ends = ((self.last + 1) % step == 0) | (self.last == self.length - 1)
        return (self.first % step == 0) & ends

    @property
    def centred(self) -> Tensor:
        """Which windows (W,) are in the middle of the clip."""
        return self.first + self.last == self.length - 1

    def beside_best(self, step: int) -> Tensor:
        """Return which untried windows (B, W) differ from the best by a step at one or both ends.

        Windows that cannot be better, as no softmax score is below 0, are left out.
        """
        best = self.best[:, None]
        near = [(end - end[best]).abs() for end in (self.first, self.last)]
        beside = torch.stack([(gap == 0) | (gap == step) for gap in near]).all(0)
        if self.objective.score == "softmax":
            beside &= self.penalties < self.losses.gather(1, best)
        return beside & self.scores.isnan()

    def landscape(self) -> Tensor:
        """Return the scores by first and last frame, (B, T, T), NaN where not tried."""
        scores = self.scores
        table = scores.new_full((len(scores), self.length, self.length), torch.nan)
        table[:, self.first, self.last] = scores
        return table

    def smallest_enough(self) -> Tensor:
        """Return the smallest centred windows that keep 90 % of the whole clip's drop: (B, T)."""
        self.try_those(self.centred)
        windows = self.centred.nonzero()[:, 0].flip(0)  # smallest first, whole clip last
        drops = self.objective.original[:, None] - self.scores[:, windows]
        # The margin keeps rounding from deciding where all windows lower the score alike.
        enough = drops >= START_SHARE * drops[:, -1:] - 1e-6
        enough[:, -1] = True
        return self.masks[windows[enough.int().argmax(1)]]

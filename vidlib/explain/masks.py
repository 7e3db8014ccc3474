"""Temporal masks (section 3.1): the few frames whose perturbation costs a class its score.

All functions here minimise Eq. 1 (`vidlib.explain.objective`) over masks, of each clip by itself:
`learn_masks` by gradient descent from a start window, as in the paper; `search_masks` over all
contiguous on/off masks, by trying each, which tells how good the learned ones are; `find_masks` by
trying few of them and taking some large steps from the best, at a fraction of the others' cost.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vidlib.explain.objective import Objective, Perturbation, penalty
from vidlib.explain.perturb import freeze, reverse, reverse_by_first_half
from vidlib.explain.scores import held_fixed
from vidlib.explain.windows import Windows

PROCEDURES = ("corrected", "paper")
START_LOGIT = 5.0  # of frames inside the start window; outside it is the negative
PATIENCE = 20  # steps in which the least loss has to fall by
LEAST_FALL = 1e-4  # this, or the clip is done
# Few steps have to be large ones, and begin where the sigmoid still has a slope.
POLISHING = {"iterations": 30, "lr": 0.5}
POLISHED_LOGIT = 3.0


@dataclass(frozen=True)
class TemporalMasks:
    """Masks of B clips of T frames, on the clips' device; loss and score are those *of* ``mask``.

    mask (B, T) in [0, 1]; loss (B,) by Eq. 1; score (B,) of the perturbed clip under its target;
    original_score (B,) of the clip itself; targets (B,) int64. start (B, T) is the mask that
    `learn_masks` started from, or would have. From `learn_masks` path (B, S + 1, T) and losses
    (B, S + 1), the mask and its loss before the first step and after each, NaN once a clip is done.
    From the searches landscape (B, T, T), the score by first and last frame (inclusive) of the
    window, NaN where none was tried.
    """

    mask: Tensor
    loss: Tensor
    score: Tensor
    original_score: Tensor
    targets: Tensor
    start: Tensor | None = None
    path: Tensor | None = None
    losses: Tensor | None = None
    landscape: Tensor | None = None


def learn_masks(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    *,
    perturbation: Perturbation = freeze,
    procedure: str = "corrected",
    score: str = "softmax",
    start: Tensor | None = None,
    l1: float = 0.01,
    tv: float = 0.02,
    beta: float = 3,
    iterations: int = 300,
    lr: float = 0.2,
    micro_batch: int | None = None,
    progress: bool = False,
) -> TemporalMasks:
    """Learn a mask for each clip (B, C, T, H, W) by Adam on Eq. 1, each clip as if it were alone.

    Adam moves logits whose sigmoid is the mask, from +5 inside a start window and -5 outside it, or
    from masks ``start`` (B, T) in [0, 1], clipped to those. ``procedure`` decides what the paper
    leaves open:

    - "corrected": the start is the smallest centred window whose perturbation causes at least 90 %
      of the drop in score that perturbing the whole clip causes; a clip is done when its least loss
      has not fallen by 1e-4 in 20 steps; the mask of least loss of all steps is returned.
    - "paper", as the authors' code does where it runs: the start is the first centred window, from
      the largest inwards, that *fails* to cause 90 % of the drop that *freezing* the whole clip
      causes; differences between inner frames count twice in what is minimised; a reversal blends
      both frames of a pair by the first half's mask values; no clip is done before its last step,
      and the last mask is returned. The loss that is told is that of Eq. 1 all the same.

    ``lr`` is 0.2, as in the authors' code for I3D: with the 0.001 of the paper's Table 4, 300 steps
    of Adam move a logit by about 0.3, so that the start window would be the result.

    ``targets`` (B,) are the classes to follow, by default the guess on the unperturbed clip;
    ``perturbation`` maps masks (B, T) to matrices (B, T, T); ``score`` is "softmax" or "logit".
    Clips go through the model, on its device, ``micro_batch`` at a time, by default as many as
    `fitting_batch` says; those that are done leave it. Only gradients of the mask are computed;
    modes, requires_grad flags and ``.grad`` are left as found. Raises ValueError for arguments it
    cannot use.
    """
    if procedure not in PROCEDURES:
        raise ValueError(f"procedure is {procedure!r}: choose one of {', '.join(PROCEDURES)}.")
    if iterations < 0:
        raise ValueError(f"iterations is {iterations}: it must be at least 0.")
    if lr <= 0:
        raise ValueError(f"lr is {lr}: the learning rate must be above 0.")
    published = procedure == "paper"
    if published and perturbation is reverse:
        perturbation = reverse_by_first_half
    objective = Objective(model, clips, targets, perturbation, score, (l1, tv, beta), micro_batch)
    steps = (iterations + 1) * len(clips)
    with tqdm(disable=not progress, desc="steps of masks") as bar:
        if start is None:
            windows = Windows(objective)
            start = (windows.first_that_fails if published else windows.smallest_enough)(bar)
        elif start.shape != (len(clips), clips.shape[2]):
            raise ValueError(
                f"start has shape {tuple(start.shape)}: give masks {(len(clips), clips.shape[2])}."
            )
        start = start.to(objective.original)
        bar.total = bar.n + steps
        parts = [
            _descend(objective, rows, start[rows], published, iterations, lr, bar)
            for rows in torch.arange(len(clips), device=clips.device).split(objective.micro_batch)
        ]
    path, loss, score_of = (torch.cat(part).to(clips.device) for part in zip(*parts, strict=True))
    chosen = loss.nan_to_num(torch.inf).argmin(1)
    if published:
        chosen = torch.full_like(chosen, iterations)
    rows = torch.arange(len(clips), device=clips.device)
    return TemporalMasks(
        path[rows, chosen],
        loss[rows, chosen],
        score_of[rows, chosen],
        objective.original,
        objective.targets,
        start,
        path,
        loss,
    )


def _descend(
    objective: Objective,
    rows: Tensor,
    start: Tensor,
    published: bool,
    iterations: int,
    lr: float,
    bar: tqdm,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return masks (N, S + 1, T), losses and scores (N, S + 1) by step, NaN once a clip is done."""
    _, tv, beta = objective.weights
    with held_fixed(objective.model) as device, torch.enable_grad():
        shown, targets = objective.clips[rows].to(device), objective.targets[rows].to(device)
        least = torch.sigmoid(start.new_tensor(-START_LOGIT)).item()
        logits = [row.requires_grad_() for row in start.to(device).logit(least)]
        optimiser = torch.optim.Adam(logits, lr)
        path = start.new_full((len(rows), iterations + 1, start.shape[1]), torch.nan, device=device)
        losses, scores = path[..., 0].clone(), path[..., 0].clone()
        going = torch.arange(len(rows), device=device)
        for step in range(iterations + 1):
            masks = torch.stack([logits[i] for i in going.tolist()]).sigmoid()
            loss, score = objective(shown, targets, masks)
            path[going, step], losses[going, step], scores[going, step] = (
                x.detach().to(path) for x in (masks, loss, score)
            )
            bar.update(len(going))
            if step == iterations:
                break
            if published:
                loss = loss + penalty(masks[:, 1:-1], 0, tv, beta)
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()  # passes over those without a gradient: they are done
            if published or step < PATIENCE:
                continue
            fall = losses[going, : step - PATIENCE + 1].amin(1) - losses[going, : step + 1].amin(1)
            falls = fall >= LEAST_FALL
            if not falls.all():
                bar.update((iterations - step) * int((~falls).sum()))
                going, shown, targets = going[falls], shown[falls], targets[falls]
                if not len(going):
                    break
    return path, losses, scores


def search_masks(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    *,
    perturbation: Perturbation = freeze,
    score: str = "softmax",
    l1: float = 0.01,
    tv: float = 0.02,
    beta: float = 3,
    step: int | None = None,
    micro_batch: int | None = None,
    progress: bool = False,
) -> TemporalMasks:
    """Find the best contiguous on/off mask of each clip (B, C, T, H, W) by scoring them all.

    All windows are tried that begin and end after a multiple of ``step`` frames, or with the clip:
    of 1, T (T + 1) / 2 windows. The default is T // 16, at least 1: some 136 windows for 16 frames
    and for 32. Ties go to the earliest, then shortest window. The other arguments are those of
    `learn_masks`. ValueError for a step that is not between 1 and T.
    """
    if step is not None and not 1 <= step <= clips.shape[2]:
        raise ValueError(
            f"step is {step}: it must be between 1 and the clip's {clips.shape[2]} frames."
        )
    objective = Objective(model, clips, targets, perturbation, score, (l1, tv, beta), micro_batch)
    windows = Windows(objective)
    with tqdm(disable=not progress, desc="windows", total=0) as bar:
        windows.try_those(windows.on_grid(step or max(1, clips.shape[2] // 16)), bar)
    return _of_best(windows)


def _of_best(windows: Windows) -> TemporalMasks:
    rows = torch.arange(len(windows.best), device=windows.best.device)
    return TemporalMasks(
        windows.masks[windows.best],
        windows.losses[rows, windows.best],
        windows.scores[rows, windows.best],
        windows.objective.original,
        windows.objective.targets,
        landscape=windows.landscape(),
    )


def find_masks(
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
) -> TemporalMasks:
    """Find a good mask of each clip (B, C, T, H, W) at a fraction of the others' cost.

    The windows on a coarse grid are scored, and the centred ones; then those whose ends lie a step
    from the best one's, until it has no better neighbour; then with half the step, down to a frame.
    A window whose first two terms of Eq. 1 alone exceed the least loss is not tried, as no softmax
    score is below 0. From the window found, 30 large steps of gradient descent soften the mask
    where that pays; where it leaves more than half of the score, so do 30 from the window that
    `learn_masks` starts from, as no single window may be enough. So the loss is never above that of
    the window that `learn_masks` starts from, and moving an end of the window found by a frame does
    not lower it. The arguments are those of `learn_masks`.
    """
    weights = (l1, tv, beta)
    objective = Objective(model, clips, targets, perturbation, score, weights, micro_batch)
    windows = Windows(objective)
    with tqdm(disable=not progress, desc="windows", total=0) as bar:
        start = windows.smallest_enough(bar)
        step = 2 ** max(0, (clips.shape[2] // 4).bit_length() - 1)
        windows.try_those(windows.on_grid(step), bar)
        while step:
            while (wanted := windows.beside_best(step)).any():
                windows.try_those(wanted, bar)
            step //= 2
    found = replace(_of_best(windows), start=start)

    def polished(found: TemporalMasks, rows: Tensor, begin: Tensor) -> TemporalMasks:
        soft = learn_masks(
            model,
            clips[rows],
            objective.targets[rows],
            perturbation=perturbation,
            score=score,
            start=((2 * begin - 1) * POLISHED_LOGIT).sigmoid(),
            l1=l1,
            tv=tv,
            beta=beta,
            micro_batch=objective.micro_batch,
            progress=progress,
            **POLISHING,
        )
        better = soft.loss < found.loss[rows]
        rows = rows[better]
        return replace(
            found,
            mask=found.mask.index_copy(0, rows, soft.mask[better]),
            loss=found.loss.index_copy(0, rows, soft.loss[better]),
            score=found.score.index_copy(0, rows, soft.score[better]),
        )

    found = polished(found, torch.arange(len(clips), device=clips.device), found.mask)
    stubborn = (found.score > found.original_score / 2).nonzero()[:, 0]
    return polished(found, stubborn, start[stubborn]) if len(stubborn) else found

"""Temporal masks (section 3.1): the few frames whose perturbation lowers a class's score most.

All functions here minimise Eq. 1 (`vidlib.explain.objective`) over masks, for each clip alone:
`learn_masks` by gradient descent from a start window, as in the paper; `search_masks` by scoring
all contiguous on/off masks, which shows how good the learned ones are; `find_masks` by scoring few
of them and taking some large steps of gradient descent from the best, at a fraction of the cost.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vidlib import check
from vidlib.explain.asked import held_fixed
from vidlib.explain.objective import Objective
from vidlib.explain.perturb import freeze, reverse
from vidlib.explain.published import inner_variation, reverse_by_first_half, start_masks
from vidlib.explain.scores import check_clips
from vidlib.explain.trial import check_gradients
from vidlib.explain.windows import Windows

PROCEDURES = ("corrected", "paper")
START_LOGIT = 5.0  # of frames inside the start window; outside it is the negative
PATIENCE, LEAST_FALL = 20, 1e-4  # a clip is done if 20 steps lower its least loss by less than 1e-4
# `find_masks`: few but large steps, from logits at which the sigmoid still has a slope.
POLISH_STEPS, POLISH_LR, POLISH_LOGIT = 30, 0.5, 3.0


@dataclass(frozen=True)
class TemporalMasks:
    """Masks of B clips of T frames, on the clips' device.

    mask (B, T) in [0, 1]; its loss (B,) by Eq. 1; score (B,) of the target on the perturbed clip
    and original_score (B,) on the clip itself; targets (B,) int64. start (B, T): the mask from
    which `learn_masks` starts.

    From `learn_masks`: path (B, S + 1, T) and losses (B, S + 1), the mask and its loss before the
    first step and after each, NaN once a clip is done. From `search_masks` and `find_masks`:
    landscape (B, T, T), the score by first and last frame (inclusive) of the window, NaN where not
    tried.
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


@torch.inference_mode(False)
def learn_masks(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    *,
    procedure: str = "corrected",
    start: Tensor | None = None,
    iterations: int = 300,
    lr: float = 0.2,
    **options: Any,
) -> TemporalMasks:
    """Learn a mask for each clip (B, C, T, H, W) by Adam on Eq. 1, each clip as if it were alone.

    Adam moves logits whose sigmoid is the mask. They start at +5 inside a start window and -5
    outside it, or from masks ``start`` (B, T) in [0, 1], clipped to those. ``procedure`` decides
    what the paper leaves open:

    - "corrected": the start is the smallest centred window that keeps at least 90 % of the drop in
      score of perturbing the whole clip; a clip is done when its least loss has not fallen by 1e-4
      in 20 steps; the mask of least loss is returned.
    - "paper", as in the authors' code (`vidlib.explain.published`): the start is the first centred
      window, from the largest inwards, that keeps *less* than 90 % of the drop of *freezing* the
      whole clip; differences between inner frames count twice in what is minimised; a reversal
      mixes both frames of a pair by the mask value of the first; no clip is done before its last
      step, and the last mask is returned. The losses returned are those of Eq. 1 all the same.

    ``lr`` is 0.2, as in the authors' code for I3D: with the 0.001 of the paper's Table 4, 300 steps
    of Adam move a logit by about 0.3, so the start window would be the result.

    ``targets`` (B,) are the classes to explain, by default the guess on the unperturbed clip.
    ``options`` are those of `Objective`: ``perturbation``, by default `freeze`, maps masks (B, T)
    to matrices (B, T, T); ``score`` is "softmax" or "logit"; ``l1`` is 0.01, ``tv`` 0.02 and
    ``beta`` 3; ``progress`` shows a bar. Clips go through the model, on its device, ``micro_batch``
    at a time, by default `fitting_batch`; those that are done leave the batch. Only gradients of
    the mask are computed; modes, requires_grad flags and ``.grad`` are left as found. Raises
    ValueError for bad arguments.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> found = learn_masks(model, torch.rand(3, 1, 4, 1, 1), iterations=2)
    >>> found.mask.shape, found.path.shape
    (torch.Size([3, 4]), torch.Size([3, 3, 4]))
    """
    check.one_of("procedure", procedure, PROCEDURES)
    check.count("iterations", iterations, least=0)
    check.number("lr", lr, above=0)
    published = procedure == "paper"
    if published and options.get("perturbation") is reverse:
        options["perturbation"] = reverse_by_first_half
    objective = Objective(model, clips, targets, **options)
    if iterations:
        check_gradients(model, clips)
    shape = len(clips), clips.shape[2]
    if start is not None:
        check.shape("start", start, f"masks {shape}", start.shape == shape)
    elif published:
        frozen = objective.under(objective.rows, freeze(torch.ones(shape)))
        start = start_masks(objective.under_masks, *shape, frozen)
    else:
        start = Windows(objective).smallest_enough()
    start = start.to(objective.original)
    path, losses, scores = _descend(objective, objective.rows, start, iterations, lr, published)
    chosen = iterations if published else losses.nan_to_num(torch.inf).argmin(1)
    mask, loss, last = (values[objective.rows, chosen] for values in (path, losses, scores))
    original, followed = objective.original, objective.targets
    return TemporalMasks(mask, loss, last, original, followed, start, path, losses)


def _descend(
    objective: Objective,
    rows: Tensor,
    start: Tensor,
    iterations: int,
    lr: float,
    published: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return masks (N, S + 1, T), losses and scores (N, S + 1) of the clips of rows (N,) by step.

    start: (N, T). Values are NaN once a clip is done.
    """
    _, tv, beta = objective.weights
    objective.bar.total += (iterations + 1) * len(rows)
    least = torch.sigmoid(start.new_tensor(-START_LOGIT)).item()
    path = start.new_full((len(rows), iterations + 1, start.shape[1]), torch.nan)
    losses, scores = path[..., 0].clone(), path[..., 0].clone()
    for going in torch.arange(len(rows), device=rows.device).split(objective.micro_batch):
        with held_fixed(objective.model, gradients=True) as asked:
            targets = objective.targets[rows[going]].to(asked.device)
            with torch.no_grad():
                shown = objective.shown(asked, rows[going])
            begin = start[going].to(asked.device).logit(least)
            logits = {i: row.requires_grad_() for i, row in zip(going.tolist(), begin, strict=True)}
            optimiser = torch.optim.Adam(list(logits.values()), lr)
            for step in range(iterations + 1):
                masks = torch.stack([logits[i] for i in going.tolist()]).sigmoid()
                loss, score = objective(asked, shown, targets, masks)
                for record, values in ((path, masks), (losses, loss), (scores, score)):
                    record[going, step] = values.detach().to(record)
                if step == iterations:
                    break
                if published:
                    loss = loss + tv * inner_variation(masks, beta)
                optimiser.zero_grad()
                loss.sum().backward()
                optimiser.step()  # skips logits without a gradient: their clips are done
                if published or step < PATIENCE:
                    continue
                told = losses[going, : step + 1]
                falls = told[:, : step - PATIENCE + 1].amin(1) - told.amin(1) >= LEAST_FALL
                if not falls.all():
                    objective.bar.update((iterations - step) * int((~falls).sum()))
                    going, shown, targets = going[falls], shown[falls], targets[falls]
                    if not len(going):
                        break
    return path, losses, scores


def search_masks(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    *,
    step: int | None = None,
    **options: Any,
) -> TemporalMasks:
    """Find the best contiguous on/off mask of each clip (B, C, T, H, W) by scoring them all.

    Scores all windows that begin and end at multiples of ``step`` frames, or at the clip's end;
    with 1, T (T + 1) / 2 windows. The default is T // 16, at least 1: about 136 windows for 16
    frames and for 32. Of equal windows the earliest, then shortest is taken. Other arguments are
    those of `learn_masks`. Raises ValueError unless step is from 1 to T.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> found = search_masks(model, torch.rand(3, 1, 4, 1, 1))
    >>> found.mask.shape, int(found.landscape[0].isfinite().sum())
    (torch.Size([3, 4]), 10)
    """
    check_clips(clips)
    step = max(1, clips.shape[2] // 16) if step is None else step
    check.count("step", step, most=clips.shape[2])
    windows = Windows(Objective(model, clips, targets, **options))
    windows.try_those(windows.on_grid(step))
    return _of_best(windows)


def _of_best(windows: Windows, start: Tensor | None = None) -> TemporalMasks:
    objective, best = windows.objective, windows.best
    return TemporalMasks(
        windows.masks[best],
        windows.losses[objective.rows, best],
        windows.scores[objective.rows, best],
        objective.original,
        objective.targets,
        start,
        landscape=windows.landscape(),
    )


@torch.inference_mode(False)
def find_masks(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    **options: Any,
) -> TemporalMasks:
    """Find a good mask of each clip (B, C, T, H, W) at a fraction of the others' cost.

    Scores the windows on a coarse grid and the centred ones; then those whose ends are a step from
    the best one's, until it has no better neighbour; then with half the step, down to one frame.
    A window whose penalty (the first two terms of Eq. 1) exceeds the least loss is skipped, as no
    softmax score is below 0. From the best window, 30 large steps of gradient descent soften the
    mask where that lowers the loss. If more than half of the score is left, no single window may
    be enough: then 30 more steps are taken from the window that `learn_masks` starts from.

    So the loss is at most that of the window that `learn_masks` starts from, and moving an end of
    the best window by a frame does not lower it. The arguments are those of `learn_masks`.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> clips = torch.rand(3, 1, 4, 1, 1)
    >>> bool((find_masks(model, clips).loss <= search_masks(model, clips).loss + 0.1).all())
    True
    """
    objective = Objective(model, clips, targets, **options)
    check_gradients(model, clips)
    windows = Windows(objective)
    start = windows.smallest_enough()
    step = 2 ** max(0, (clips.shape[2] // 4).bit_length() - 1)
    windows.try_those(windows.on_grid(step))
    while step:
        while (wanted := windows.beside_best(step)).any():
            windows.try_those(wanted)
        step //= 2
    found = _of_best(windows, start)
    _polish(found, objective, objective.rows, found.mask)
    stubborn = (found.score > found.original_score / 2).nonzero()[:, 0]
    if len(stubborn):
        _polish(found, objective, stubborn, start[stubborn])
    return found


def _polish(found: TemporalMasks, objective: Objective, rows: Tensor, begin: Tensor) -> None:
    """Descend from on/off masks ``begin`` (N, T); put what lowers the loss into rows (N,)."""
    begin = ((2 * begin - 1) * POLISH_LOGIT).sigmoid()
    path, losses, scores = _descend(objective, rows, begin, POLISH_STEPS, POLISH_LR)
    loss, best = losses.nan_to_num(torch.inf).min(1)
    better = loss < found.loss[rows]
    rows, at = rows[better], (better, best[better])
    found.mask[rows], found.loss[rows], found.score[rows] = path[at], losses[at], scores[at]

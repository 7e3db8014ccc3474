"""Temporal masks (section 3.1): the few frames whose perturbation costs a class its score.

Both functions here minimise Eq. 1 over masks m of one clip at a time,

    L(m) = l1 sum_t |m_t| + tv sum_t |m_{t+1} - m_t|^beta + F_c(perturbed clip),

F_c the softmax score of the target class: `learn_masks` by gradient descent from a start window,
as in the paper; `search_masks` over all contiguous on/off masks, by trying each, which tells how
good the learned ones are.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vidlib.explain.perturb import freeze, perturb
from vidlib.explain.scores import (
    check_clips,
    check_micro_batch,
    explained,
    logits_of,
    resolve_targets,
    score_clips,
    softmax,
)

START_LOGIT = 5.0  # of frames inside the start window; outside it is the negative
START_SHARE = 0.9  # of the drop caused by perturbing the whole clip

Perturbation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Masks:
    """Masks of B clips of T frames, on the clips' device; loss and score are those *of* ``mask``.

    mask (B, T) in [0, 1]; loss (B,) by Eq. 1; score (B,) of the perturbed clip under its target;
    original_score (B,) of the clip itself; targets (B,) int64. From `learn_masks` start (B, T), the
    on/off window it started from; from `search_masks` landscape (B, T, T), the score by first and
    last frame (inclusive) of the window, NaN where the last comes before the first.
    """

    mask: Tensor
    loss: Tensor
    score: Tensor
    original_score: Tensor
    targets: Tensor
    start: Tensor | None = None
    landscape: Tensor | None = None


def learn_masks(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    *,
    perturbation: Perturbation = freeze,
    l1: float = 0.01,
    tv: float = 0.02,
    beta: float = 3,
    iterations: int = 300,
    lr: float = 0.2,
    micro_batch: int = 16,
    progress: bool = False,
) -> Masks:
    """Learn a mask for each clip (B, C, T, H, W) by Adam on Eq. 1, each clip as if it were alone.

    Adam moves logits whose sigmoid is the mask. They start at +5 inside and -5 outside the smallest
    centred window whose perturbation causes at least 90 % of the drop in score that perturbing the
    whole clip causes (the authors' code takes the first window that *fails* this). ``lr`` is 0.2,
    as in the authors' code for I3D: with the 0.001 of the paper's Table 4, 300 steps of Adam move a
    logit by about 0.3, so that the start window would be the result. What is returned is the
    mask of least loss among the start and the ``iterations`` steps after it.

    ``targets`` (B,) are the classes to follow, by default the guess on the unperturbed clip;
    ``perturbation`` maps masks (B, T) to matrices (B, T, T). Clips go through the model, on its
    device, ``micro_batch`` at a time, which bounds memory. Only gradients of the mask are
    computed; modes, requires_grad flags and ``.grad`` are left as found. Raises ValueError for
    arguments it cannot use.
    """
    _check(clips, micro_batch, l1, tv, beta)
    if iterations < 0:
        raise ValueError(f"iterations is {iterations}: it must be at least 0.")
    if lr <= 0:
        raise ValueError(f"lr is {lr}: the learning rate must be above 0.")

    def learn(chunk: Tensor, original: Tensor, targets: Tensor) -> Masks:
        windows = _centred_windows(chunk.shape[2]).to(chunk.device, original.dtype)
        scores = _score_windows(model, chunk, windows, targets, perturbation, micro_batch)
        start = windows[_smallest_enough(original[:, None] - scores)]
        logits = ((2 * start - 1) * START_LOGIT).requires_grad_()
        optimiser = torch.optim.Adam([logits], lr)
        mask, score = start, original
        loss = torch.full_like(original, torch.inf)
        for step in range(iterations + 1):
            now = logits.sigmoid()
            score_now = _score(model, perturb(chunk, perturbation(now)), targets)
            loss_now = _penalty(now, l1, tv, beta) + score_now
            better = loss_now < loss
            mask = torch.where(better[:, None], now, mask).detach()
            score = torch.where(better, score_now, score).detach()
            loss = torch.where(better, loss_now, loss).detach()
            bar.update()
            if step < iterations:
                optimiser.zero_grad()
                loss_now.sum().backward()
                optimiser.step()
        return Masks(mask, loss, score, original, targets, start)

    steps = -(-len(clips) // micro_batch) * (iterations + 1)
    with tqdm(total=steps, desc="mask steps", disable=not progress) as bar:
        return _in_micro_batches(learn, model, clips, targets, micro_batch)


def search_masks(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    *,
    perturbation: Perturbation = freeze,
    l1: float = 0.01,
    tv: float = 0.02,
    beta: float = 3,
    step: int | None = None,
    micro_batch: int = 16,
    progress: bool = False,
) -> Masks:
    """Find the best contiguous on/off mask of each clip (B, C, T, H, W) by scoring them all.

    All windows are tried that begin and end after a multiple of `step` frames, or with the clip:
    of 1, T (T + 1) / 2 windows. The default is T // 16, at least 1: some 136 windows for 16 frames
    and for 32. Those that perturb alike (under freeze, frame 0 adds nothing to a window) are scored
    once. Ties go to the earliest, then shortest window. The landscape is NaN where no window was
    tried. The other arguments are those of `learn_masks`. ValueError for a step that is not
    between 1 and T.
    """
    _check(clips, micro_batch, l1, tv, beta)
    length = clips.shape[2]
    step = max(1, length // 16) if step is None else step
    if not 1 <= step <= length:
        raise ValueError(f"step is {step}: it must be between 1 and the clip's {length} frames.")
    first, last = torch.triu_indices(length, length)
    tried = (first % step == 0) & (((last + 1) % step == 0) | (last == length - 1))
    first, last = first[tried], last[tried]
    frame = torch.arange(length)
    inside = (first[:, None] <= frame) & (frame <= last[:, None])

    def search(chunk: Tensor, original: Tensor, targets: Tensor) -> Masks:
        windows = inside.to(chunk.device, original.dtype)
        scores = _score_windows(model, chunk, windows, targets, perturbation, micro_batch, bar)
        loss, best = (scores + _penalty(windows, l1, tv, beta)).min(1)
        score = scores.gather(1, best[:, None]).squeeze(1)
        landscape = scores.new_full((len(chunk), length, length), torch.nan)
        landscape[:, first, last] = scores
        return Masks(windows[best], loss, score, original, targets, landscape=landscape)

    with tqdm(total=len(clips), desc="clips searched", disable=not progress) as bar:
        return _in_micro_batches(search, model, clips, targets, micro_batch)


def _check(clips: Tensor, micro_batch: int, l1: float, tv: float, beta: float) -> None:
    check_clips(clips)
    check_micro_batch(micro_batch)
    if l1 < 0 or tv < 0:
        raise ValueError(f"l1 is {l1} and tv is {tv}: both weights must be at least 0.")
    if beta < 1:
        raise ValueError(f"beta is {beta}: it must be at least 1, or a flat mask has no gradient.")


def _in_micro_batches(
    find: Callable[[Tensor, Tensor, Tensor], Masks],
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None,
    micro_batch: int,
) -> Masks:
    """Give ``find`` clips, their original scores and targets, a micro-batch at a time; join."""
    scores = score_clips(model, clips, micro_batch=micro_batch)
    targets = resolve_targets(targets, scores)
    original = scores.gather(1, targets[:, None]).squeeze(1)
    batches = zip(*(x.split(micro_batch) for x in (clips.detach(), original, targets)), strict=True)
    with explained(model) as device, torch.enable_grad():
        found = [find(*(x.to(device) for x in batch)) for batch in batches]
    columns = {f.name: [getattr(masks, f.name) for masks in found] for f in fields(Masks)}
    return Masks(
        **{k: None if v[0] is None else torch.cat(v).to(clips.device) for k, v in columns.items()}
    )


def _penalty(mask: Tensor, l1: float, tv: float, beta: float) -> Tensor:
    """Return the first two terms of Eq. 1 of masks (B, T): (B,). Their slope is finite."""
    return l1 * mask.sum(1) + tv * mask.diff(dim=1).abs().pow(beta).sum(1)


def _score(model: nn.Module, clips: Tensor, targets: Tensor) -> Tensor:
    return softmax(logits_of(model, clips)).gather(1, targets[:, None]).squeeze(1)


@torch.no_grad()
def _score_windows(
    model: nn.Module,
    clips: Tensor,
    windows: Tensor,
    targets: Tensor,
    perturbation: Perturbation,
    micro_batch: int,
    bar: tqdm | None = None,
) -> Tensor:
    """Return the score of each clip under each of N windows (N, T): (B, N)."""
    matrices, same = perturbation(windows).unique(dim=0, return_inverse=True)
    rows = []
    for clip, target in zip(clips, targets, strict=True):
        scores = [
            _score(
                model, perturb(clip.expand(len(part), *clip.shape), part), target.expand(len(part))
            )
            for part in matrices.split(micro_batch)
        ]
        rows.append(torch.cat(scores)[same])
        if bar is not None:
            bar.update()
    return torch.stack(rows)


def _centred_windows(length: int) -> Tensor:
    """Return the centred on/off windows, smallest first, the whole clip last: bool (N, T)."""
    frame = torch.arange(length)
    from_edge = torch.minimum(frame, length - 1 - frame)
    return from_edge >= torch.arange((length - 1) // 2, -1, -1)[:, None]


def _smallest_enough(drops: Tensor) -> Tensor:
    """Return per row of (B, N) the first column with 90 % of the last one's drop: (B,)."""
    enough = drops >= START_SHARE * drops[:, -1:] - 1e-6  # rounding must not decide a flat row
    enough[:, -1] = True
    return enough.int().argmax(1)

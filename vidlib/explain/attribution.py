"""Which frames a class hangs on, by methods that learn no mask: what temporal masks have to beat.

Each takes clips (B, C, T, H, W) and returns importances (B, T) on their device, higher where the
class hangs more on the frame. What is followed is the softmax score of ``targets`` (B,), by default
the guess on the clip, as by the masks. Importances of different methods have no common scale:
`window_of` makes masks of equal length of them. Clips go through the model, on its device,
``micro_batch`` at a time; the model is left as found. Bad arguments raise ValueError.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidlib.explain.objective import Perturbation, TargetScores
from vidlib.explain.perturb import freeze, window_masks
from vidlib.explain.scores import (
    check_clips,
    held_fixed,
    logits_of,
    resolve_targets,
    score_clips,
    softmax,
)


def occlusion(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    *,
    perturbation: Perturbation = freeze,
    width: int = 1,
    micro_batch: int = 16,
) -> Tensor:
    """Return the drop in score when ``width`` frames are perturbed, the frame in their middle.

    Occlusion (Zeiler & Fergus 2014) over time. ``width`` is odd; at the clip's ends fewer frames
    are perturbed. Importances lie in [-1, 1], below 0 where perturbing raises the score. What a
    perturbation cannot change is 0: frame 0 under `freeze`, a single frame under `reverse`.
    """
    check_clips(clips)
    length = clips.shape[2]
    if not 1 <= width <= length or width % 2 == 0:
        raise ValueError(
            f"width is {width}: it must be odd and at most the clip's {length} frames."
        )
    scores = TargetScores(model, clips, targets, micro_batch=micro_batch)
    frame = torch.arange(length, device=clips.device)
    near = (frame[:, None] - frame).abs() <= width // 2
    matrices = perturbation(near.to(scores.original))
    return scores.original[:, None] - scores.under_each(matrices)


def integrated_gradients(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    *,
    baseline: Tensor | None = None,
    steps: int = 50,
    micro_batch: int = 16,
) -> Tensor:
    """Return what each frame adds to the score, by integrated gradients (Sundararajan et al. 2017).

    The score's gradient, averaged over the straight line from ``baseline`` to the clip, times their
    difference; by captum, from ``steps`` points of Gauss-Legendre quadrature. A frame's importance
    is the *signed* sum over its channels and pixels: below 0 where the frame lowers the score. But
    for the quadrature's error, a clip's importances sum to its score less the baseline's.

    The baseline (B, C, T, H, W) is by default the clip's mean frame held throughout, in which what
    stands still is seen and nothing moves. Raises ModuleNotFoundError where captum is missing.
    """
    try:
        from captum.attr import IntegratedGradients  # here, as nothing else in the study needs it
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"integrated_gradients needs captum, but {error}: pip install captum."
        ) from error
    check_clips(clips)
    clips = clips.detach()
    if baseline is None:
        baseline = clips.mean(2, keepdim=True).expand_as(clips)
    if baseline.shape != clips.shape:
        raise ValueError(
            f"baseline has shape {tuple(baseline.shape)}: give one of the clips' shape, "
            f"{tuple(clips.shape)}."
        )
    if steps < 1:
        raise ValueError(f"steps is {steps}: it must be at least 1.")
    targets = resolve_targets(targets, score_clips(model, clips, micro_batch=micro_batch))
    with held_fixed(model) as device:
        method = IntegratedGradients(lambda inputs: softmax(logits_of(model, inputs)))
        attributed = [
            method.attribute(
                clip[None].to(device),
                start[None].to(device),
                target=target,
                n_steps=steps,
                internal_batch_size=micro_batch,
            )
            for clip, start, target in zip(clips, baseline, targets.tolist(), strict=True)
        ]
    return torch.cat(attributed).detach().sum((1, 3, 4)).to(clips.device)


def random_masks(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    *,
    perturbation: Perturbation = freeze,
    masks: int = 256,
    seed: int = 0,
    micro_batch: int = 16,
) -> Tensor:
    """Return the mean drop in score when a frame is perturbed less that when it is not.

    RISE (Petsiuk et al. 2018) over time: the clip is scored under on/off masks m, in which every
    frame is on with a probability of 1/2 and independent of the others. With s(m) the score, the
    importance of frame t is mean(s | m_t = 0) - mean(s | m_t = 1). RISE's own is the first of the
    two, with which a clip that is easy under any mask has all its frames important.

    ``masks``, an even number, come in complementary pairs, so that each frame is perturbed in
    exactly half of them. ``seed`` fixes them, the same for all clips. If the score is a sum with a
    part for each frame, and perturbing a frame changes its part alone, the expected importance is
    what that part loses.
    """
    check_clips(clips)
    if masks < 2 or masks % 2:
        raise ValueError(f"masks is {masks}: it must be even and at least 2.")
    scores = TargetScores(model, clips, targets, micro_batch=micro_batch)
    generator = torch.Generator().manual_seed(seed)
    half = torch.rand(masks // 2, clips.shape[2], generator=generator) < 0.5
    on = torch.cat([half, ~half]).to(clips)
    found = scores.under_each(perturbation(on))
    return found @ (1 - 2 * on).to(found.dtype) / (masks // 2)


def discriminative_crop(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    *,
    shortest: int = 2,
    micro_batch: int = 16,
) -> Tensor:
    """Return 1 for the frames of the crop with the highest score and 0 for the others.

    After Satkin & Hebert (2010), who take the crop of highest confidence in the class: every
    contiguous crop of at least ``shortest`` frames is tried, by default of the two that can show
    motion. Ties go to the shortest, then the earliest crop, which is to hold the action and nothing
    else. They crop training videos, whose features fit their classifier at any length. A network
    takes T frames: a crop is stretched to that by the rule that samples a clip's frames from its
    video (`sample_frames`), and so played more slowly. The best crop says what *suffices* for the
    class; a mask says what it cannot do without.
    """
    from vidlib.data.video import sample_frames  # here, as masks need no decoder of videos

    check_clips(clips)
    length = clips.shape[2]
    if not 1 <= shortest <= length:
        raise ValueError(
            f"shortest is {shortest}: it must be between 1 and the clip's {length} frames."
        )
    scores = TargetScores(model, clips, targets, micro_batch=micro_batch)
    crops = [(a, a + n) for n in range(shortest, length + 1) for a in range(length - n + 1)]
    sources = torch.stack([a + torch.from_numpy(sample_frames(b - a, length)) for a, b in crops])
    best = scores.under_each(F.one_hot(sources, length)).argmax(1)  # the first of ties
    first, stop = torch.tensor(crops, device=clips.device)[best].T
    return window_masks(first, stop - 1, length).to(scores.original.dtype)


def window_of(importances: Tensor, lengths: Tensor) -> Tensor:
    """Return on/off masks (B, T) of the windows with the greatest sum of importances (B, T).

    ``lengths`` (B,), whole numbers from 0 to T, are those of the windows. Ties go to the earliest.
    """
    if importances.ndim != 2 or not importances.isfinite().all():
        raise ValueError(
            f"importances have shape {tuple(importances.shape)}: give (B, T), all finite."
        )
    count, frames = importances.shape
    whole = lengths.shape == (count,) and not lengths.is_floating_point()
    if not whole or not ((lengths >= 0) & (lengths <= frames)).all():
        raise ValueError(
            f"lengths are {lengths.tolist()}: give one whole number from 0 to {frames} for each of "
            f"the {count} clips."
        )
    masks = torch.zeros_like(importances)
    for mask, row, length in zip(masks, importances, lengths.tolist(), strict=True):
        first = row.unfold(0, length, 1).sum(1).argmax()
        mask[first : first + length] = 1
    return masks

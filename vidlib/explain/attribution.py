"""Which frames matter to a class, by methods that learn no mask: what temporal masks have to beat.

Each takes clips (B, C, T, H, W) and returns importances (B, T) on their device, higher where the
frame matters more. They explain the softmax score of ``targets`` (B,), by default the guess on the
clip, as the masks do. Different methods have no common scale: `window_of` turns importances into
masks of a given length. Clips go through the model, on its device, ``micro_batch`` at a time; the
model is left as found. Bad arguments raise ValueError.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidlib import check
from vidlib.explain.asked import held_fixed
from vidlib.explain.objective import Objective, Perturbation
from vidlib.explain.perturb import freeze, window_masks
from vidlib.explain.scores import check_clips, softmax
from vidlib.explain.trial import NO_GRADIENTS, check_gradients


def occlusion(
    model: nn.Module,
    clips: Tensor,
    targets: Tensor | None = None,
    *,
    perturbation: Perturbation = freeze,
    width: int = 1,
    micro_batch: int = 16,
) -> Tensor:
    """Return the drop in score when ``width`` frames are perturbed, by the frame in their middle.

    Occlusion (Zeiler & Fergus 2014) over time. ``width`` is odd; at the clip's ends fewer frames
    are perturbed. Importances are in [-1, 1], below 0 where perturbing raises the score, and 0
    where a perturbation changes nothing: frame 0 under `freeze`, a single frame under `reverse`.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> occlusion(model, torch.rand(3, 1, 4, 1, 1))[:, 0].tolist()  # cannot be frozen
    [0.0, 0.0, 0.0]
    """
    check_clips(clips)
    length = clips.shape[2]
    check.count("width", width, most=length)
    if width % 2 == 0:
        raise ValueError(f"width is {width}: give an odd number, which has a frame in the middle")
    scores = Objective(model, clips, targets, micro_batch=micro_batch)
    frame = torch.arange(length, device=clips.device)
    near = (frame[:, None] - frame).abs() <= width // 2
    matrices = perturbation(near.to(scores.original))
    return scores.original[:, None] - scores.under_each(matrices)


@torch.inference_mode(False)
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
    is the *signed* sum over its channels and pixels: below 0 where the frame lowers the score. Up
    to the quadrature's error, a clip's importances sum to its score minus the baseline's.

    The baseline (B, C, T, H, W) is by default the clip's mean frame in every frame, which shows
    what stands still and no movement.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> clip = torch.rand(1, 1, 4, 1, 1)
    >>> added = integrated_gradients(model, clip, baseline=torch.zeros_like(clip)).sum()
    >>> own, empty = (model(c).softmax(1) for c in (clip, torch.zeros_like(clip)))
    >>> bool(added.isclose((own - empty)[0, own.argmax()], atol=1e-5))
    True
    """
    from captum.attr import IntegratedGradients  # here, as nothing else in the study needs it

    check_clips(clips)
    clips = clips.detach()
    if baseline is None:
        baseline = clips.mean(2, keepdim=True).expand_as(clips)
    wanted = f"one of the clips' shape, {tuple(clips.shape)}"
    check.shape("baseline", baseline, wanted, baseline.shape == clips.shape)
    check.count("steps", steps)
    targets = Objective(model, clips, targets, micro_batch=micro_batch).targets
    check_gradients(model, clips)
    try:
        with held_fixed(model, gradients=True) as asked:
            method = IntegratedGradients(lambda inputs: softmax(asked(inputs)))
            attributed = [
                method.attribute(
                    clip[None].clone().to(asked.device),
                    start[None].to(asked.device),
                    target=target,
                    n_steps=steps,
                    internal_batch_size=micro_batch,
                )
                for clip, start, target in zip(clips, baseline, targets.tolist(), strict=True)
            ]
    except RuntimeError as error:  # as of reentrant checkpoints, which learn_masks can use
        raise ValueError(NO_GRADIENTS.format(error)) from error
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
    """Return how much lower the mean score is when a frame is perturbed than when it is not.

    RISE (Petsiuk et al. 2018) over time: the clip is scored under on/off masks m, in which every
    frame is on with probability 1/2, independently. With s(m) the score, the importance of frame t
    is mean(s | m_t = 0) - mean(s | m_t = 1). RISE itself uses the first mean alone, by which all
    frames of a clip matter that scores high under any mask.

    ``masks``, an even number, come in complementary pairs, so each frame is perturbed in exactly
    half of them. ``seed`` fixes them, the same for all clips. If the score is a sum over frames,
    and perturbing a frame changes its term alone, the expected importance is what that term loses.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> random_masks(model, torch.rand(3, 1, 4, 1, 1), masks=10).shape
    torch.Size([3, 4])
    """
    check_clips(clips)
    check.count("masks", masks, least=2)
    if masks % 2:
        raise ValueError(f"masks is {masks}: give an even number, as masks come in pairs")
    scores = Objective(model, clips, targets, micro_batch=micro_batch)
    generator = torch.Generator().manual_seed(seed)
    half = torch.rand(masks // 2, clips.shape[2], generator=generator, dtype=torch.float32) < 0.5
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

    After Satkin & Hebert (2010), who take the crop of highest confidence in the class. Every
    contiguous crop of at least ``shortest`` frames is tried, by default of two, which can show
    motion. Of equal crops the shortest, then earliest is taken. Their classifier takes crops of any
    length. A network takes T frames, so a crop is stretched to T by the rule that samples a clip's
    frames from its video (`sample_frames`): it plays more slowly. The best crop shows what is
    *sufficient* for the class; a mask shows what is necessary.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> discriminative_crop(model, torch.rand(1, 1, 4, 1, 1), shortest=4).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """
    from vidlib.data.sampling import sample_frames  # here, as masks need no decoder of videos

    check_clips(clips)
    length = clips.shape[2]
    check.count("shortest", shortest, most=length)
    scores = Objective(model, clips, targets, micro_batch=micro_batch)
    crops = [(a, a + n) for n in range(shortest, length + 1) for a in range(length - n + 1)]
    sources = torch.stack([a + torch.from_numpy(sample_frames(b - a, length)) for a, b in crops])
    best = scores.under_each(F.one_hot(sources, length)).argmax(1)  # the first of ties
    first, stop = torch.tensor(crops, device=clips.device)[best].T
    return window_masks(first, stop - 1, length).to(scores.original.dtype)


def window_of(importances: Tensor, lengths: Tensor) -> Tensor:
    """Return on/off masks (B, T) of the windows with the greatest sum of importances (B, T).

    ``lengths`` (B,): the frames of each window, whole numbers from 0 to T. Of equal windows the
    earliest is taken.

    >>> window_of(torch.tensor([[0.1, 0.9, 0.8, 0.2]]), torch.tensor([2])).tolist()
    [[0.0, 1.0, 1.0, 0.0]]
    """
    good = importances.ndim == 2 and bool(importances.isfinite().all())
    check.shape("importances", importances, "(B, T), all finite", good)
    wanted = f"a whole number for each of {len(importances)} rows of importances"
    check.shape("lengths", lengths, wanted, lengths.shape == importances.shape[:1])
    masks = torch.zeros_like(importances)
    for mask, row, length in zip(masks, importances, lengths.tolist(), strict=True):
        check.count("lengths", length, 0, importances.shape[1])
        first = row.unfold(0, length, 1).sum(1).argmax()
        mask[first : first + length] = 1
    return masks

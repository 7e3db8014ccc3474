"""Perturbations of time as linear maps: a mask becomes a row-stochastic matrix over frames.

Row t of the matrix says how frame t of the perturbed clip is mixed from the frames of the clip.
Masks are (B, T), floating-point, in [0, 1], 1 = perturbed; other masks raise ValueError. Matrices
are (B, T, T), of the mask's dtype and device, and differentiable with respect to it. To add a
perturbation, add such a function. `freeze` and `reverse` are the paper's (section 3.1).

Below, x are the frames of the clip, p those of the perturbed clip, and a run is a maximal sequence
of frames with m > 0.1. Perturbations that move the frames of a run mix each frame with another by
its own mask value,

    p_t = (1 - m_t) x_t + m_t x_s(t),

so the ends of a run do not depend smoothly on the mask, but the strength of the perturbation does.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vidlib import check

RUN_THRESHOLD = 0.1  # section 3.1: indices above it count as active


def freeze(mask: Tensor) -> Tensor:
    """Hold the previous frame where the mask is on (section 3.1, the pseudocode).

    p_0 = x_0 and p_t = (1 - m_t) x_t + m_t p_{t-1}, recursive in the *perturbed* previous frame.
    The mask's first value has no effect. In closed form, x_s enters p_t with the weight
    (1 - m_s) m_{s+1} ... m_t, and x_0 with m_1 ... m_t.

    >>> frame_order(freeze(torch.tensor([[0.0, 1, 1, 0]]))).tolist()
    [[0, 0, 0, 3]]
    """
    _check_mask(mask)
    length = mask.shape[1]
    after = torch.ones(length, length, dtype=torch.bool, device=mask.device).tril(-1)  # t > s
    held = torch.where(after, mask[:, :, None], 1).cumprod(1).tril()
    shown = F.pad(1 - mask[:, 1:], (1, 0), value=1)
    return held * shown[:, None]


def hold_next(mask: Tensor) -> Tensor:
    """Show the next frame early where the mask is on: `freeze` with time running backwards.

    p_{T-1} = x_{T-1} and p_t = (1 - m_t) x_t + m_t p_{t+1}. The mask's last value has no effect.

    >>> frame_order(hold_next(torch.tensor([[0.0, 1, 1, 0]]))).tolist()
    [[0, 3, 3, 3]]
    """
    return freeze(mask.flip(-1)).flip(1, 2)


def reverse(mask: Tensor) -> Tensor:
    """Play every run backwards (section 3.1).

    In a run from a to b, p_t = (1 - m_t) x_t + m_t x_{a+b-t}: each row uses its own mask value, so
    every frame of the run gets a gradient.

    >>> frame_order(reverse(torch.tensor([[1.0, 1, 1, 0]]))).tolist()
    [[2, 1, 0, 3]]
    """
    first, last = _runs(mask)
    return _move(mask, first + last - _frames(mask))


def shuffle(mask: Tensor, *, seed: int = 0) -> Tensor:
    """Play every run in a random order, neither the frames' own nor its reversal.

    A run of two frames has no such order and is swapped. The order depends on ``seed`` and the
    length of the run alone.

    >>> frame_order(shuffle(torch.tensor([[0.0, 1, 1, 1]]))).tolist()
    [[0, 3, 1, 2]]
    """
    first, last = _runs(mask)
    frame = _frames(mask)
    orders = [_random_order(n + 1, seed) for n in range(mask.shape[1])]
    order = pad_sequence(orders, batch_first=True).to(mask.device)
    return _move(mask, first + order[last - first, frame - first])


def repeat(mask: Tensor, *, every: int = 2) -> Tensor:
    """Drop frames of every run and repeat those kept: the run at 1 / ``every`` of its frame rate.

    Of each ``every`` frames, counted from the run's first, the first is kept and replaces the
    others. Raises ValueError for an ``every`` below 2.

    >>> frame_order(repeat(torch.ones(1, 5), every=2)).tolist()
    [[0, 0, 2, 2, 4]]
    """
    check.count("every", every, least=2)
    first, _ = _runs(mask)
    frame = _frames(mask)
    return _move(mask, frame - (frame - first) % every)


def blur(mask: Tensor, *, sigma: float = 2.0) -> Tensor:
    """Mix with a Gaussian average over time, of standard deviation ``sigma`` in frames.

    p_t = (1 - m_t) x_t + m_t sum_s g_ts x_s with g_ts in proportion to
    exp(-(t - s)^2 / (2 sigma^2)), normalised over the clip's frames. Raises ValueError unless sigma
    is above 0.

    >>> blur(torch.tensor([[1.0, 0, 0]]), sigma=1)[0, 0]
    tensor([0.5741, 0.3482, 0.0777])
    """
    _check_mask(mask)
    check.number("sigma", sigma, above=0)
    frame = _frames(mask)
    distance = (frame[:, None] - frame).to(mask.dtype) / sigma
    return _mix(mask, (-(distance**2) / 2).softmax(1))


def fade(mask: Tensor) -> Tensor:
    """Fade to the clip's mean frame: p_t = (1 - m_t) x_t + m_t mean_s x_s.

    >>> fade(torch.tensor([[1.0, 0.5, 0, 0]]))[0, :2].tolist()
    [[0.25, 0.25, 0.25, 0.25], [0.125, 0.625, 0.125, 0.125]]
    """
    _check_mask(mask)
    length = mask.shape[1]
    return _mix(mask, mask.new_full((length, length), 1 / length))


_ALL = (freeze, reverse, hold_next, blur, fade, shuffle, repeat)
PERTURBATIONS = {perturbation.__name__: perturbation for perturbation in _ALL}
REORDERINGS = ("freeze", "reverse", "hold_next", "shuffle", "repeat")  # of frames, by on/off masks


def perturb(clips: Tensor, matrix: Tensor) -> Tensor:
    """Mix the frames of clips (B, C, T, H, W) by matrices (B, T, T) into clips of the same shape.

    Raises ValueError if the shapes do not match.

    >>> clips = torch.arange(3.0).view(1, 1, 3, 1, 1)
    >>> perturb(clips, reverse(torch.ones(1, 3))).flatten().tolist()
    [2.0, 1.0, 0.0]
    """
    good = clips.ndim == 5 and matrix.shape == (len(clips), clips.shape[2], clips.shape[2])
    wanted = f"(B, T, T), for the B and T of clips (B, C, T, H, W), here {tuple(clips.shape)}"
    check.shape("matrix", matrix, wanted, good)
    return (matrix[:, None].to(clips.dtype) @ clips.flatten(3)).unflatten(3, clips.shape[3:])


def window_masks(first: Tensor, last: Tensor, length: int) -> Tensor:
    """Return on/off masks (N, length), bool, of windows from first to last frame (N,), inclusive.

    >>> window_masks(torch.tensor([1]), torch.tensor([2]), 4).int().tolist()
    [[0, 1, 1, 0]]
    """
    frame = torch.arange(length, device=first.device)
    return (first[:, None] <= frame) & (frame <= last[:, None])


def frame_order(matrix: Tensor) -> Tensor:
    """Return which frame each perturbed frame mostly shows: (B, T, T) to int64 (B, T), 0-based.

    >>> frame_order(torch.tensor([[[0.2, 0.8], [0.1, 0.9]]])).tolist()
    [[1, 1]]
    """
    return matrix.argmax(-1)


def _frames(mask: Tensor) -> Tensor:
    """Return the numbers of the frames of masks (B, T): int64 (T,)."""
    return torch.arange(mask.shape[1], device=mask.device)


def _runs(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and last frame of each frame's run: int64 (B, T) each.

    A frame outside all runs counts as a run of its own.
    """
    _check_mask(mask)
    frame = _frames(mask)
    active = mask > RUN_THRESHOLD
    joined = F.pad(active[:, 1:] & active[:, :-1], (1, 1))  # with the frame before, (B, T + 1)
    first = torch.where(joined[:, :-1], 0, frame).cummax(1).values
    last = torch.where(joined[:, 1:], len(frame), frame).flip(1).cummin(1).values.flip(1)
    return first, last


def _random_order(length: int, seed: int) -> Tensor:
    """Return 0..length-1 in an order that, from three on, is neither ascending nor descending."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.arange(length).flip(0)
    while length > 2 and (order.diff().abs() == 1).all():  # only these two orders have steps of one
        order = torch.randperm(length, generator=generator)
    return order


def _move(mask: Tensor, source: Tensor) -> Tensor:
    """Mix each frame of a run with frame ``source`` (B, T): (B, T, T)."""
    amount = torch.where(mask > RUN_THRESHOLD, mask, 0)
    return _mix(amount, F.one_hot(source, mask.shape[1]).to(mask.dtype))


def _mix(amount: Tensor, other: Tensor) -> Tensor:
    """Mix each frame with a row of ``other``, (T, T) or (B, T, T), by amounts (B, T): (B, T, T)."""
    return torch.diag_embed(1 - amount) + amount[..., None] * other


def _check_mask(mask: Tensor) -> None:
    good = mask.ndim == 2 and 0 not in mask.shape and mask.is_floating_point()
    check.shape("mask", mask, "a floating-point mask (B, T), not empty", good)
    check.unit("mask", mask)

"""Clips spliced of two: what came first and what came last is known, and of different classes."""

from typing import NamedTuple

import numpy as np

from vidlib.data.clips import Clips
from vidlib.data.video import sample_frames


class Spliced(NamedTuple):
    """N clips of T frames, the first half of each from one clip and the second from another.

    frames: (N, T, H, W, 3) uint8. outputs: (N, 2) int64, the classes of the two halves as a
    network's output numbers, never the same twice. positions: (N, 2) int64, of the two clips in
    those spliced from. half: (T,) int64, 0 or 1. source: (N, T) int64, which of its clip's sampled
    frames each frame shows: whatever is known by sampled frame can be spliced by it too.
    """

    frames: np.ndarray
    outputs: np.ndarray
    positions: np.ndarray
    half: np.ndarray
    source: np.ndarray


def splice_clips(clips: Clips, count: int, rng: np.random.Generator) -> Spliced:
    """Return `count` clips spliced at random, of T/2 frames spread evenly over each of two.

    No clip gives a first half once more before all have given one; second halves are drawn from all
    clips of other classes. Raises ValueError for an odd T, clips of a single class or a count below
    1, `VideoError` for a clip that cannot be read.
    """
    length = clips.frames.shape[1]
    if length % 2:
        raise ValueError(f"clips have {length} frames: an odd number cannot be halved")
    if len(np.unique(clips.outputs)) < 2:
        raise ValueError("clips of a single class cannot be spliced: give clips of two or more")
    if count < 1:
        raise ValueError(f"count is {count}: splice at least 1 clip")
    rounds = [rng.permutation(len(clips)) for _ in range(-(-count // len(clips)))]
    first = np.concatenate(rounds)[:count]
    second = [rng.choice(np.flatnonzero(clips.outputs != clips.outputs[one])) for one in first]
    positions = np.stack([first, second], axis=1).astype(np.int64)
    source = np.tile(sample_frames(length, length // 2), (count, 2))
    half = np.repeat([0, 1], length // 2)
    frames = np.stack(
        [
            np.concatenate([clips.frames[p][source[0, half == k]] for k, p in enumerate(pair)])
            for pair in positions.tolist()
        ]
    )
    return Spliced(frames, clips.outputs[positions].astype(np.int64), positions, half, source)

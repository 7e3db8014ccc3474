"""Clips spliced from two clips of different classes: which half shows which is known."""

from typing import NamedTuple

import numpy as np

from vidlib import check
from vidlib.data.clips import Clips
from vidlib.data.sampling import sample_frames


class Spliced(NamedTuple):
    """N clips of T frames, the first half of each from one clip and the second from another.

    frames: (N, T, H, W, 3) uint8. outputs: (N, 2) int64, the different classes of the two halves,
    as a network's output numbers. positions: (N, 2) int64, where the two clips are in the clips
    given. half: (T,) int64, 0 or 1. source: (N, T) int64, the sampled frame of its clip that each
    frame shows: anything known per sampled frame can be spliced with it too.
    """

    frames: np.ndarray
    outputs: np.ndarray
    positions: np.ndarray
    half: np.ndarray
    source: np.ndarray


def splice_clips(clips: Clips, count: int, rng: np.random.Generator) -> Spliced:
    """Return `count` clips spliced at random, each of T/2 frames spread evenly over two clips.

    First halves use every clip once before any clip again; second halves come from any clip of
    another class. Raises ValueError for an odd T, clips of a single class or a count below 1,
    `VideoError` for a clip that cannot be read.

    >>> import pandas as pd
    >>> from vidlib.data.clips import Frames
    >>> index = pd.DataFrame({"label": [43, 45], "label_name": ["down", "up"]})
    >>> frames = np.zeros((2, 16, 8, 8, 3), np.uint8)
    >>> clips = Clips(index, Frames(frames.__getitem__, np.arange(2), frames.shape[1:]), [43, 45])
    >>> spliced = splice_clips(clips, 3, np.random.default_rng(0))
    >>> spliced.frames.shape, spliced.outputs.sum(axis=1).tolist()
    ((3, 16, 8, 8, 3), [1, 1, 1])
    """
    length = clips.frames.shape[1]
    if length % 2:
        raise ValueError(f"clips have {length} frames: an odd number cannot be halved")
    if len(np.unique(clips.outputs)) < 2:
        raise ValueError("clips of a single class cannot be spliced: give clips of two or more")
    check.count("count", count)
    rounds = [rng.permutation(len(clips)) for _ in range(-(-count // len(clips)))]
    first = np.concatenate(rounds)[:count]
    second = [rng.choice(np.flatnonzero(clips.outputs != clips.outputs[one])) for one in first]
    positions = np.stack([first, second], axis=1).astype(np.int64)
    times = sample_frames(length, length // 2)
    halves = [[clips.frames[k][times] for k in pair] for pair in positions.tolist()]
    return Spliced(
        frames=np.stack([np.concatenate(pair) for pair in halves]),
        outputs=clips.outputs[positions].astype(np.int64),
        positions=positions,
        half=np.repeat([0, 1], length // 2),
        source=np.tile(times, (count, 2)),
    )

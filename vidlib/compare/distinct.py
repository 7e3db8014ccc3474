"""Accuracy by distinct frames: how much of a clip's movement does a network need?

After Huang et al. 2018, "What makes a video a video", who remove frames from a clip until only one
is left. Networks take a fixed number of frames, so here the clip keeps its length: k of its T
frames stay, and each is shown for its share of the clip.
"""

import numpy as np
import pandas as pd

from vidlib import check
from vidlib.compare.intervals import bootstrap, with_interval


def distinct_counts(frames: int) -> list[int]:
    """Return the numbers of distinct frames to try: 1, 2, 4, ... and all frames of the clip.

    >>> distinct_counts(12)
    [1, 2, 4, 8, 12]
    """
    powers = [2**i for i in range(frames.bit_length()) if 2**i < frames]
    return [*powers, frames]


def held_frames(frames: int, distinct: int) -> np.ndarray:
    """Return the frame that each frame of a clip shows with `distinct` different ones, (T,) int64.

    The clip is cut into `distinct` segments, as equal as possible, and each shows its middle frame
    (the earlier of two) throughout. Middle frames, not first ones, so that both ends of the clip
    count alike and no frame is replaced by one more than half a segment away. With all frames
    distinct the clip is unchanged. Raises ValueError unless `distinct` is from 1 to `frames`.

    >>> held_frames(8, 2)
    array([1, 1, 1, 1, 5, 5, 5, 5])
    """
    check.count("distinct", distinct, most=frames)
    ends = np.arange(distinct + 1) * frames // distinct
    middles = (ends[:-1] + ends[1:] - 1) // 2
    return np.repeat(middles, np.diff(ends))


def distinct_table(guesses: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Return a network's accuracy by distinct frames: a row per number of them, increasing.

    guesses: a row per clip with label and, by number of distinct frames, the guess; the largest
    number is all frames. Columns: frames; top1 and f1; less (top1 of all frames minus this), each
    with the ends of its 95 % bootstrap interval, <name>_low and <name>_high, paired over clips; and
    chance, the top1 of always guessing the most common class.

    >>> guesses = pd.DataFrame({"label": [1, 2], 1: [1, 1], 16: [1, 2]})
    >>> distinct_table(guesses, seed=0)["less"].tolist()
    [0.5, 0.0]
    """
    counts = sorted(set(guesses) - {"label"})
    labels, said = guesses["label"].to_numpy(), guesses[counts].to_numpy()
    found, resampled = bootstrap(labels, said, np.union1d(labels, said), seed)
    one, many = found.top1, resampled.top1
    return pd.DataFrame(
        {
            "frames": counts,
            **with_interval("top1", one, many),
            **with_interval("f1", found.f1, resampled.f1),
            **with_interval("less", one[-1] - one, many[:, -1:] - many),
            "chance": guesses["label"].value_counts(normalize=True).max(),
        }
    )

"""Accuracy by distinct frames: how much of a clip's movement does a network need?

After Huang et al. 2018, "What makes a video a video", who take frames away from a clip until only
one is left. Here the clip keeps its length, as networks ask: of T frames k stay, and each is shown
for all of its share of the clip.
"""

import numpy as np
import pandas as pd

from vidlib.compare.bootstrap import bootstrap, interval


def distinct_counts(frames: int) -> list[int]:
    """Return how many distinct frames to try: 1, 2, 4, ... below the clip's number, and that."""
    powers = [2**i for i in range(frames.bit_length()) if 2**i < frames]
    return [*powers, frames]


def held_frames(frames: int, distinct: int) -> np.ndarray:
    """Return which frame each frame of a clip shows where only some distinct ones are left: (T,).

    The clip is cut into `distinct` stretches, as equal as can be, and each shows its middle frame
    (of an even stretch, the earlier of the two) from its start to its end: 8 frames with 2 distinct
    ones become 1 1 1 1 5 5 5 5. Middles, not firsts, so that no end of the clip goes unseen and one
    frame stands for no other that is farther away than half a stretch. With all distinct the clip
    is as it was. Raises ValueError unless `distinct` is from 1 to the number of frames.
    """
    if not 1 <= distinct <= frames:
        raise ValueError(f"distinct is {distinct}: give a number from 1 to {frames}, the frames")
    ends = np.arange(distinct + 1) * frames // distinct
    middles = (ends[:-1] + ends[1:] - 1) // 2
    return np.repeat(middles, np.diff(ends))


def distinct_table(guesses: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Return a network's accuracy by distinct frames: a row per number of them, increasing.

    guesses: a row per clip with label and, by number of distinct frames, what is guessed; the
    largest number is all frames. Columns: frames, top1, top1_low, top1_high, f1, f1_low, f1_high,
    and less (top1 of all frames minus this) with less_low and less_high: 95 % bootstrap intervals,
    the numbers of frames paired over clips; and chance, the top1 of naming the commonest class.
    """
    counts = sorted(set(guesses) - {"label"})
    labels, said = guesses["label"].to_numpy(), guesses[counts].to_numpy()
    found, resampled = bootstrap(labels, said, np.union1d(labels, said), seed)
    table = pd.DataFrame({"frames": counts})
    for name, one, many in (
        ("top1", found.top1, resampled.top1),
        ("f1", found.f1, resampled.f1),
        ("less", found.top1[-1] - found.top1, resampled.top1[:, -1:] - resampled.top1),
    ):
        table[name] = one
        table[f"{name}_low"], table[f"{name}_high"] = interval(many)
    return table.assign(chance=guesses["label"].value_counts(normalize=True).max())

"""Two networks on the same clips: how they differ in Table 1, and on which classes they are alike.

The paper compares explanations on classes "for which the performance of the two architectures were
similar" (section 4.2), without saying how similar: the F1s of the eleven that it names differ by at
most 0.2, and go down to 0.03. `comparable_classes` is a rule in their spirit.
"""

import numpy as np
import pandas as pd

from vidlib.compare.accuracy import DIRECTIONS, measured
from vidlib.compare.bootstrap import bootstrap, interval, lost_share

ALIKE = 0.2  # the largest difference among the paper's own classes


def _same_clips(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return the second table's rows in the order of the first's clips; ValueError if they differ.

    Both have a column clip_id.
    """
    if set(first["clip_id"]) != set(second["clip_id"]):
        raise ValueError("the tables are of different clips: evaluate both networks on the same")
    return second.set_index("clip_id").loc[first["clip_id"]].reset_index()


def network_differences(first: pd.DataFrame, second: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Return how two networks differ in Table 1: a row per measure and what it is of.

    first, second: guess tables of the same clips, with clip_id. Columns: measure; of ("forward",
    "reversed", or "drop" for the relative drop by reversal); difference (first minus second); low
    and high (its 95 % bootstrap interval, networks and directions paired over clips; NaN where
    resamples leave a network nothing to lose). Raises ValueError where the clips are not the same.
    """
    rows = []
    for measure, pair in measured([first, _same_clips(first, second)], seed).items():
        # (networks, 3) and (R, networks, 3): forward, reversed and the drop
        one, many = (np.concatenate([v, lost_share(v)[..., None]], axis=-1) for v in pair)
        low, high = interval(many[:, 0] - many[:, 1])
        for of, *values in zip((*DIRECTIONS, "drop"), one[0] - one[1], low, high, strict=True):
            rows.append((measure, of, *values))
    return pd.DataFrame(rows, columns=["measure", "of", "difference", "low", "high"])


def comparable_classes(
    first: pd.DataFrame, second: pd.DataFrame, names: dict[int, str], *, seed: int
) -> pd.DataFrame:
    """Return on which classes two networks can fairly be compared: a row per class with clips.

    A class is comparable where (1) both networks know it: the 95 % intervals of both F1s lie above
    what always naming that class would score, 2 p / (1 + p) of a class with the share p of the
    clips, which is the best that guessing blindly can do; and (2) they know it about equally well:
    the F1s differ by at most `ALIKE`. The second is asked of the F1s themselves, not of the
    interval of their difference: that would call any class comparable that has few clips.

    first, second: guess tables of the same clips, with clip_id. Columns: label, label_name, clips,
    blind (what always naming the class scores), first, first_low, second, second_low (F1s, and the
    lower ends of their bootstrap intervals), difference (first minus second), low and high (its
    paired 95 % bootstrap interval), comparable. Raises ValueError where the clips are not the same.
    """
    labels = first["label"].to_numpy()
    guesses = np.column_stack([first["forward"], _same_clips(first, second)["forward"]])
    classes = np.union1d(labels, guesses)
    found, resampled = bootstrap(labels, guesses, classes, seed)
    rows = []
    for label, clips in first["label"].value_counts().sort_index().items():
        k = np.searchsorted(classes, label)
        (one, other), (ones, others) = found.class_f1[:, k], resampled.class_f1[:, :, k].T
        low, high = interval(ones - others)
        one_low, other_low = interval(ones)[0], interval(others)[0]
        share = clips / len(first)
        blind = 2 * share / (1 + share)
        known = min(one_low, other_low) > blind
        rows.append(
            {
                "label": label,
                "label_name": names[label],
                "clips": clips,
                "blind": blind,
                "first": one,
                "first_low": one_low,
                "second": other,
                "second_low": other_low,
                "difference": one - other,
                "low": low,
                "high": high,
                "comparable": bool(known and abs(one - other) <= ALIKE + 1e-9),
            }
        )
    return pd.DataFrame(rows)

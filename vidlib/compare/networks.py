"""Two networks on the same clips: how they differ in Table 1, and on which classes they are alike.

The paper compares explanations on classes "for which the performance of the two architectures were
similar" (section 4.2), without saying how similar. The F1s of the eleven classes that it names
differ by at most 0.2, and go down to 0.03. `comparable_classes` is a rule in this spirit.
"""

import numpy as np
import pandas as pd

from vidlib.compare.accuracy import DIRECTIONS, class_scores, lost_share, measured
from vidlib.compare.clips import same_clips
from vidlib.compare.intervals import interval

ALIKE = 0.2  # the largest difference among the paper's own classes


def network_differences(first: pd.DataFrame, second: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Return how two networks differ in Table 1: three rows per measure.

    first, second: guess tables of the same clips, with clip_id. Columns: measure; of ("forward",
    "reversed", or "drop" for the relative drop by reversal); difference (first minus second); low
    and high (its 95 % bootstrap interval, networks and directions paired over clips; NaN if some
    resample has no right guess). Raises ValueError if the clips differ.

    >>> one = pd.DataFrame({"label": [1, 2], "forward": [1, 2], "reversed": [2, 2]})
    >>> one["clip_id"] = ["a", "b"]
    >>> network_differences(one, one.assign(reversed=[1, 2]), seed=0).query("measure == 'top1'")
      measure       of  difference  low  high
    0    top1  forward         0.0  0.0   0.0
    1    top1 reversed        -0.5 -0.5  -0.5
    2    top1     drop         0.5  0.5   0.5
    """
    rows = []
    for measure, pair in measured([first, same_clips(first, second)], seed).items():
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

    A class is comparable if (1) both networks know it: the 95 % intervals of both F1s are above
    what always guessing that class would score, 2 p / (1 + p) for a class with the share p of the
    clips, the best that blind guessing can do; and (2) they know it about equally well: the F1s
    differ by at most `ALIKE`. (2) uses the F1s themselves, not the interval of their difference,
    by which any class with few clips would be comparable.

    first, second: guess tables of the same clips, with clip_id. Columns: label, label_name, clips,
    blind (the score of always guessing the class), first, first_low, second, second_low (F1s, and
    the lower ends of their bootstrap intervals), difference (first minus second), low and high (its
    paired 95 % bootstrap interval), comparable. Raises ValueError if the clips differ.

    >>> one = pd.DataFrame({"label": [1, 2], "forward": [1, 2], "clip_id": ["a", "b"]})
    >>> found = comparable_classes(one, one.assign(forward=[1, 1]), {1: "up", 2: "down"}, seed=0)
    >>> found["comparable"].tolist()  # the second network never guesses 2
    [False, False]
    """
    guesses = np.column_stack([first["forward"], same_clips(first, second)["forward"]])
    table, (one, other), many = class_scores(first["label"].to_numpy(), guesses, names, seed)
    (one_low, other_low), _ = interval(many)
    low, high = interval(many[:, 0] - many[:, 1])
    share = table["clips"].to_numpy() / len(first)
    blind = 2 * share / (1 + share)
    known = np.minimum(one_low, other_low) > blind
    table = table.assign(blind=blind, first=one, first_low=one_low, second=other)
    table = table.assign(second_low=other_low, difference=one - other, low=low, high=high)
    return table.assign(comparable=known & (abs(one - other) <= ALIKE + 1e-9))

"""Sentences that state findings, also for tables with too little data."""

from math import isnan

import pandas as pd

from vidlib.compare.intervals import bootstrap_interval


def versus(rows: pd.DataFrame, measure: str, baseline: str, *, form: str, seed: int) -> str:
    """Say how the mean of one column compares with that of another, over the same rows.

    form: how numbers are written, such as ".2f". Rows that lack a value are left out. "More" and
    "less" mean that the 95 % bootstrap interval of the mean difference excludes 0; with fewer than
    two rows the result is "not known".

    >>> rows = pd.DataFrame({"mask": [2.0, 3.0], "random": [1.0, 2.0]})
    >>> versus(rows, "mask", "random", form=".1f", seed=0)
    '2.5, more than 1.5 (difference +1.0, 95 % interval +1.0 to +1.0, 2 clips)'
    """
    both = rows[[measure, baseline]].dropna()
    if len(both) < 2:
        return f"not known ({len(both)} of {len(rows)} clips have a value)"
    difference = (both[measure] - both[baseline]).to_numpy()
    low, high = bootstrap_interval(difference, seed)
    verdict = "more than" if low > 0 else "less than" if high < 0 else "not told apart from"
    return (
        f"{both[measure].mean():{form}}, {verdict} {both[baseline].mean():{form}} "
        f"(difference {difference.mean():+{form}}, 95 % interval {low:+{form}} to {high:+{form}}, "
        f"{len(both)} clips)"
    )


def estimate(value: float, low: float, high: float, *, form: str) -> str:
    """Return a value with its interval, as far as they are known.

    >>> estimate(0.857, 0.82, 0.891, form=".2f")
    '0.86 (0.82 to 0.89)'
    """
    if isnan(value):
        return "not known"
    if isnan(low) or isnan(high):
        return f"{value:{form}} (interval not known)"
    return f"{value:{form}} ({low:{form}} to {high:{form}})"

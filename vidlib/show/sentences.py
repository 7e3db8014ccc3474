"""Findings in words, read from tables: also where a table has too little to say."""

import pandas as pd

from vidlib.compare.explanations import bootstrap_interval


def versus(rows: pd.DataFrame, measure: str, baseline: str, *, form: str, seed: int) -> str:
    """Say how the mean of one column compares with that of another, over the same rows.

    form: how numbers are written, such as ".2f". Rows without either value are left out. What is
    said to be more or less is so by a 95 % bootstrap interval of the mean difference; with fewer
    than two rows nothing is said to be known.
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

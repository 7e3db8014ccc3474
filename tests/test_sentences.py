"""Findings in words: right numbers, and no NaN where a table has too little to say."""

import numpy as np
import pandas as pd
import pytest

from vidlib.show import (
    estimate,
    versus,
)


def told(measure, baseline):
    rows = pd.DataFrame({"a": measure, "b": baseline}, dtype=float)
    return versus(rows, "a", "b", form=".1f", seed=0)


def test_a_constant_gain_is_more():
    said = told([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
    assert said == "3.0, more than 2.0 (difference +1.0, 95 % interval +1.0 to +1.0, 3 clips)"


def test_a_constant_loss_is_less():
    assert told([1.0, 2.0], [3.0, 4.0]).startswith("1.5, less than 3.5 (difference -2.0,")


def test_gains_that_cancel_are_not_told_apart():
    assert told([1, 0] * 20, [0, 1] * 20).startswith("0.5, not told apart from 0.5")


def test_rows_without_either_value_are_left_out_of_both_means():
    assert told([2, 3, 100, np.nan], [1, 2, np.nan, 50]).startswith("2.5, more than 1.5")


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_rows_are_said_to_be_too_few(count):
    values = [np.nan] * (3 - count) + [1.0] * count
    assert told(values, [1.0] * 3) == f"not known ({count} of 3 clips have a value)"


# --- what a network can tell


def test_an_estimate_says_what_is_known():
    assert estimate(0.857, 0.82, 0.891, form=".2f") == "0.86 (0.82 to 0.89)"
    assert estimate(0.5, np.nan, np.nan, form=".0%") == "50% (interval not known)"
    assert estimate(np.nan, np.nan, np.nan, form=".0%") == "not known"

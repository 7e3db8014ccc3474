"""Fewer distinct frames: which stay, and what a network says of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidlib.compare import distinct_counts, distinct_table, held_frames


def test_held_frames_by_hand():
    assert held_frames(8, 1).tolist() == [3] * 8
    assert held_frames(8, 2).tolist() == [1, 1, 1, 1, 5, 5, 5, 5]
    assert held_frames(6, 2).tolist() == [1, 1, 1, 4, 4, 4]
    assert held_frames(7, 3).tolist() == [0, 0, 2, 2, 5, 5, 5]
    assert held_frames(16, 8).tolist() == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14]


def test_counts_double_and_end_with_all():
    assert distinct_counts(16) == [1, 2, 4, 8, 16]
    assert distinct_counts(12) == [1, 2, 4, 8, 12]
    assert distinct_counts(1) == [1]


@given(st.integers(1, 70), st.data())
def test_so_many_frames_stay_in_order_each_near_what_it_stands_for(frames, data):
    distinct = data.draw(st.integers(1, frames))
    shown = held_frames(frames, distinct)
    assert len(shown) == frames and len(set(shown.tolist())) == distinct
    assert (np.diff(shown) >= 0).all()
    held = np.bincount(shown)
    assert np.ptp(held[held > 0]) <= 1  # as equal as can be
    assert (abs(shown - np.arange(frames)) <= held.max() / 2).all()
    assert (shown[np.unique(shown)] == np.unique(shown)).all()  # within its own stretch
    if distinct == frames:
        assert shown.tolist() == list(range(frames))


@pytest.mark.parametrize("distinct", [0, 9])
def test_impossible_numbers_are_named(distinct):
    with pytest.raises(ValueError, match=f"distinct is {distinct}: .* at least 1 and at most 8"):
        held_frames(8, distinct)


def test_the_table_by_hand():
    """Right about 1, 2 and 4 of four clips; against all frames a half is lost with two."""
    guesses = pd.DataFrame({"label": [1, 1, 2, 2], 4: [1, 1, 2, 2], 1: [1, 2, 1, 1], 2: [1] * 4})
    found = distinct_table(guesses, seed=0)
    assert found["frames"].tolist() == [1, 2, 4]
    assert found["chance"].tolist() == [0.5] * 3
    assert found["top1"].tolist() == [0.25, 0.5, 1]
    assert found["f1"].tolist() == pytest.approx([0.2, 1 / 3, 1])  # (2/5 + 0)/2, (2/3 + 0)/2
    assert found["less"].tolist() == [0.75, 0.5, 0]
    assert (found.loc[2, ["less_low", "less_high"]] == 0).all()
    assert (found["top1_low"] <= found["top1"]).all() and (found["top1_high"] <= 1).all()

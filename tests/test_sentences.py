"""Findings in words: right numbers, and no NaN where a table has too little to say."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch

from vidlib import profiles
from vidlib.compare import arrow_table, distinct_table, per_class, reversal_drops
from vidlib.profiles import PROFILES
from vidlib.show import (
    estimate,
    on_arrow,
    on_distinct,
    on_intervals,
    on_reversal,
    on_training,
    sentences,
    versus,
)
from vidlib.training import recipe


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


def reversed_tables(forward, backward):
    """Tables of clips of four classes, two clips each."""
    label = np.repeat([1, 2, 3, 4], 2)
    guesses = pd.DataFrame({"label": label, "forward": forward, "reversed": backward})
    names = dict(zip([1, 2, 3, 4], ["Away", "Closer", "Over", "Still"], strict=True))
    scores = {d: torch.eye(4)[guesses[d].to_numpy() - 1] for d in ("forward", "reversed")}
    outputs = torch.from_numpy(label - 1)
    return reversal_drops(guesses, seed=0), per_class(scores, outputs, [1, 2, 3, 4], names)


def test_reversal_in_words():
    said = on_reversal(*reversed_tables([1, 1, 2, 2, 3, 3, 4, 4], [2, 2, 2, 2, 2, 2, 4, 4]))
    # of 1, 2, 3 and 4 are left 0, 4/8, 0 and 1: F1 3/8
    assert said.startswith("Reversal takes F1 from 1.00 to 0.38, a change of -62% (")
    assert "*Away* loses most (from 1.00 to 0.00), *still* least (from 1.00 to 1.00)." in said
    assert "highest F1 on reversed clips is that of *still*, 1.00." in said
    assert "most often taken for is *closer*: 75% of them are, and 25% of the clips" in said


def test_reversal_of_a_network_that_knows_nothing_in_words():
    said = on_reversal(*reversed_tables([2, 2, 1, 1, 4, 4, 3, 3], [2, 2, 1, 1, 4, 4, 3, 3]))
    assert said.startswith("Reversal takes F1 from 0.00 to 0.00. No class loses by it. The ")
    assert "nan" not in said


def distinct(right, frames=(1, 2, 4)):
    """Of 40 clips of two classes, so many right by number of frames."""
    label = np.repeat([1, 2], 20)
    order = np.random.default_rng(0).permutation(40)
    guesses = {
        count: np.where(order < k, label, 3 - label) for count, k in zip(frames, right, strict=True)
    }
    return distinct_table(pd.DataFrame({"label": label, **guesses}), seed=0)


def test_distinct_frames_in_words():
    said = on_distinct(distinct([20, 38, 40]))
    assert said.startswith("One frame, held for the whole clip, leaves 50% (")
    assert "always naming the commonest class gets 50%. From 2 distinct frames on, top-1" in said
    assert "that of all 4: 95% against 100%, a loss of 5% (0% to" in said
    said = on_distinct(distinct([20, 30, 40]))
    assert "Even 2 distinct frames are too few, for top-1 is lower than with all 4: 75%" in said
    assert "From 1 distinct frame on" in on_distinct(distinct([40, 40, 40]))
    assert "all 4 leave no more than 50% (" in on_distinct(distinct([20, 20, 20]))


def test_frames_that_do_after_some_that_do_not_are_the_fewest():
    """With 1 frame nothing is lost, with 2 much: 4 it takes."""
    assert "From 4 distinct frames on" in on_distinct(distinct([40, 30, 40, 40], (1, 2, 4, 8)))


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.9, "more than the"), (0.5, "not told apart from the"), (0.1, "less than the")],
)
def test_the_arrow_of_time_in_words(share, verdict):
    clips = pd.DataFrame({"trained": [share] * 50, "untrained": [0.5] * 50})
    said = on_arrow(arrow_table(clips))
    assert said.startswith(f"Of 50 clips and their reversed copies the probe places {share:.0%} (")
    assert f"rightly, {verdict} half that guessing would; given the features of random" in said
    assert said.endswith("random weights 50% (36% to 64%), not told apart from a half.")


def test_training_is_told_as_the_profile_has_it():
    quick, paper = (PROFILES[name]["something"] for name in ("quick", "paper"))
    assert on_training(quick, "i3d").startswith(
        "Lightning trains it from scratch for 6 epochs, in batches of 8, with AdamW and a learning "
        "rate that rises and falls once, 0.001 at the top."
    )
    assert "105 epochs, in batches of 16, with SGD with momentum and a learning rate of 0.001." in (
        on_training(paper, "clstm")
    )
    assert "with Adam and a learning rate of 0.008, halved" in on_training(paper, "i3d")


def test_every_recipe_has_words_and_every_word_a_recipe():
    assert set(get_args(profiles.Optimizer)) == set(recipe.OPTIMIZERS)
    assert set(get_args(profiles.Schedule)) == set(recipe.SCHEDULES)
    assert set(sentences.OPTIMIZERS) == set(recipe.OPTIMIZERS)
    assert set(sentences.SCHEDULES) == set(recipe.SCHEDULES)


def test_intervals_over_the_clips_of_a_few_people_are_owned_to_be_narrow():
    alone = pd.DataFrame({"group": [None, None]})
    assert on_intervals(alone).endswith("not what another training would.")
    people = pd.DataFrame({"group": ["17", "17", "18"]})
    assert on_intervals(people).endswith("of 2 people: for others the intervals are too narrow.")

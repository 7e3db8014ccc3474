"""Table 1 and its intervals, against hand, peers and simulation."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score

from vidlib.compare import (
    class_drops,
    comparable_classes,
    guess_table,
    network_differences,
    paper,
    reversal_drops,
    summary,
)
from vidlib.compare.accuracy import lost_share
from vidlib.compare.intervals import bootstrap, interval


def guesses(label, forward, backward=None, **more):
    table = pd.DataFrame({"label": label, "forward": forward, "reversed": backward or forward})
    return table.assign(clip_id=[str(i) for i in range(len(table))], **more)


def drawn(rng, label, classes, right):
    """Guesses that are right so often, and otherwise any class."""
    label = np.asarray(label)
    return np.where(rng.random(len(label)) < right, label, rng.integers(0, classes, len(label)))


# --- guesses and scores


def test_top_5_by_hand():
    """Clip 0: its class is fifth. Clip 1: sixth. Clip 2: first. All guess class 9 or their own."""
    scores = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9.0]] * 3)
    scores[2, 0] = 10
    outputs = torch.tensor([5, 4, 0])
    classes = [10 * k for k in range(10)]
    table = guess_table({"forward": scores, "reversed": scores.flip(1)}, outputs, classes)
    assert table["label"].tolist() == [50, 40, 0]
    assert table["forward"].tolist() == [90, 90, 0]
    assert table["forward_top5"].tolist() == [50, 90, 0]
    assert table["reversed"].tolist() == [0, 0, 90]
    assert table["reversed_top5"].tolist() == [0, 40, 0]  # clip 2: second
    found = summary(table, seed=0).set_index("direction").loc["forward"]
    assert (found["top1"], found["top5"]) == pytest.approx((1 / 3, 2 / 3))
    # F1: class 0 is right, 40 and 50 never guessed, 90 always wrong: (1 + 0 + 0 + 0) / 4
    assert found["f1"] == pytest.approx(1 / 4)
    # 0 and 50 are right, 40 is taken for 90: (1 + 1 + 0 + 0) / 4
    assert found["f1_top5"] == pytest.approx(1 / 2)


def test_equal_scores_rank_by_class():
    flat = torch.zeros(10, 10)
    table = guess_table({"forward": flat, "reversed": flat}, torch.arange(10), list(range(10)))
    assert (table["forward"] == 0).all()
    assert table["forward_top5"].tolist() == [0, 1, 2, 3, 4, 0, 0, 0, 0, 0]


def test_few_classes_have_no_top_5():
    scores = torch.eye(9)
    table = guess_table({"forward": scores, "reversed": scores}, torch.arange(9), list(range(9)))
    assert list(table) == ["label", "forward", "reversed"]
    found = summary(table, seed=0)
    assert found[["top5", "top5_low", "f1_top5", "f1_top5_high"]].isna().all(axis=None)
    assert (found[["top1", "f1", "f1_low"]] == 1).all(axis=None)
    assert reversal_drops(table, seed=0)["measure"].tolist() == ["top1", "f1"]


def test_the_scores_are_those_of_torchmetrics_and_scikit_learn():
    from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

    torch.manual_seed(0)
    scores, outputs = torch.randn(80, 12), torch.randint(0, 11, (80,))  # the last class is absent
    scores[torch.arange(80), outputs] += 1.5
    table = guess_table({"forward": scores, "reversed": scores}, outputs, list(range(12)))
    found = summary(table, seed=0).loc[0]
    for name, k in (("top1", 1), ("top5", 5)):
        theirs = multiclass_accuracy(scores, outputs, 12, average="micro", top_k=k)
        assert found[name] == pytest.approx(theirs.item(), abs=1e-6)
    theirs = multiclass_f1_score(scores, outputs, 12, average="macro")
    assert found["f1"] == pytest.approx(theirs.item(), abs=1e-6)
    theirs = f1_score(outputs, table["forward_top5"], average="macro")
    assert found["f1_top5"] == pytest.approx(theirs)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_scores_of_any_guesses_are_those_of_scikit_learn(data):
    clips = data.draw(st.integers(1, 12))
    classes = st.sampled_from([3, 4, 9, 50])
    label, said = (np.array(data.draw(st.lists(classes, min_size=clips, max_size=clips)))
                   for _ in range(2))  # fmt: skip
    found, resampled = bootstrap(label, said[:, None], np.array([3, 4, 9, 50]), 0)
    assert found.f1[0] == pytest.approx(f1_score(label, said, average="macro", zero_division=0))
    assert found.top1[0] == pytest.approx((label == said).mean())
    low, high = interval(resampled.f1)
    assert 0 <= low[0] <= high[0] <= 1


# --- the bootstrap


def test_an_independent_slow_bootstrap_agrees():
    """Clips drawn one by one within their class, F1 by scikit-learn: the same spread, by chance."""
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], [30, 20, 10])
    said = drawn(rng, label, 3, 0.6)
    slow = []
    for _ in range(600):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(label == k), (label == k).sum()) for k in range(3)]
        )
        slow.append(f1_score(label[rows], said[rows], average="macro"))
    _, resampled = bootstrap(label, said[:, None], np.arange(3), 1)
    ours = resampled.f1[:, 0]
    assert ours.mean() == pytest.approx(np.mean(slow), abs=3 * np.std(slow) / 600**0.5)
    assert ours.std() == pytest.approx(np.std(slow), rel=0.1)
    assert interval(ours) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.02)


def test_intervals_are_those_of_scipy():
    """Given a sample per class, SciPy resamples within classes, too."""
    rng = np.random.default_rng(1)
    label = np.repeat([0, 1], [40, 60])
    right = rng.random(100) < np.where(label, 0.8, 0.5)

    def accuracy(one, two, axis):
        return (one.sum(axis) + two.sum(axis)) / 100

    theirs = stats.bootstrap(
        (right[label == 0], right[label == 1]),
        accuracy,
        method="percentile",
        n_resamples=5000,
        vectorized=True,
        rng=rng,
    ).confidence_interval
    _, resampled = bootstrap(label, np.where(right, label, 1 - label)[:, None], np.arange(2), 0)
    assert interval(resampled.top1[:, 0]) == pytest.approx(tuple(theirs), abs=0.015)


def test_the_interval_covers_as_often_as_it_says():
    """Studies of 4 x 25 clips whose guesses are right with 0.4, 0.6, 0.8 and 0.9, else the next."""
    rates = np.array([0.4, 0.6, 0.8, 0.9])
    label = np.repeat(np.arange(4), 25)
    wrong = (1 - rates)[[3, 0, 1, 2]]  # what comes from the class before
    truth = (2 * rates / (1 + rates + wrong)).mean(), rates.mean()
    rng = np.random.default_rng(2)
    hits = np.zeros(2)
    for seed in range(200):
        said = np.where(rng.random(100) < rates[label], label, (label + 1) % 4)
        _, resampled = bootstrap(label, said[:, None], np.arange(4), seed)
        for k, values in enumerate((resampled.f1, resampled.top1)):
            low, high = interval(values[:, 0])
            hits[k] += low <= truth[k] <= high
    assert (hits / 200 >= 0.89).all() and (hits / 200 <= 0.985).all(), hits / 200


def test_a_seed_gives_the_same_interval_and_another_a_like_one():
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(5), 20)
    table = guesses(label, drawn(rng, label, 5, 0.6))
    one, again, other = (summary(table, seed=s) for s in (0, 0, 1))
    pd.testing.assert_frame_equal(one, again)
    assert one["f1_low"][0] != other["f1_low"][0]
    assert one["f1_low"][0] == pytest.approx(other["f1_low"][0], abs=0.02)


# --- reversal


def test_the_relative_drop_by_hand():
    """Top-1 from 3/4 to 1/4: two thirds are lost."""
    found = reversal_drops(guesses([1, 1, 2, 2], [1, 1, 2, 1], [1, 2, 1, 1]), seed=0)
    row = found.set_index("measure").loc["top1"]
    assert (row["forward"], row["reversed"]) == (0.75, 0.25)
    assert row["drop"] == pytest.approx(2 / 3)


def test_directions_are_paired():
    """Reversal that changes no guess costs nothing in any resample, whatever the guesses."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(4), 20)
    found = reversal_drops(guesses(label, drawn(rng, label, 4, 0.5)), seed=0)
    assert (found[["drop", "low", "high"]] == 0).all(axis=None)


def test_of_nothing_nothing_is_known():
    found = reversal_drops(guesses([1, 1, 2, 2], [2, 2, 1, 1], [1, 1, 1, 1]), seed=0)
    assert found[["drop", "low", "high"]].isna().all(axis=None)
    assert lost_share(np.array([[0.5, 0.5], [0, 0.5], [0.5, 0]]))[[0, 2]].tolist() == [0, 1]


def test_class_drops_by_hand():
    table = guesses([1, 1, 2, 2], [1, 1, 2, 2], [2, 2, 2, 2])
    found = class_drops(table, {1: "a", 2: "b", 3: "never seen"}, seed=0).set_index("label")
    assert found["clips"].tolist() == [2, 2]
    assert found["forward"].tolist() == [1, 1]
    assert found["reversed"].tolist() == pytest.approx([0, 2 / 3])
    assert found["drop"].tolist() == pytest.approx([1, 1 / 3])
    assert found.loc[1, ["drop_low", "drop_high"]].tolist() == [1, 1]


# --- two networks


def test_two_networks_are_paired_clip_by_clip():
    """The second is the first, wrong about one more clip in ten: far less than resamples vary."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(2), 100)
    said = drawn(rng, label, 2, 0.6)
    worse = np.where(np.arange(200) % 10 == 0, 1 - label, said)
    one, two = guesses(label, said, [0] * 200), guesses(label, worse, [0] * 200)
    found = network_differences(one, two.sample(frac=1, random_state=0), seed=0)
    row = found.set_index(["measure", "of"]).loc[("top1", "forward")]
    lost = (said == label).mean() - (worse == label).mean()
    assert row["difference"] == pytest.approx(lost)
    assert 0 < row["low"] < lost < row["high"] < lost + 0.06
    assert (found.query("of == 'reversed'")[["difference", "low", "high"]] == 0).all(axis=None)
    drop = found.set_index(["measure", "of"]).loc[("top1", "drop"), "difference"]
    lose = [1 - 0.5 / (x == label).mean() for x in (said, worse)]
    assert drop == pytest.approx(lose[0] - lose[1])


def test_other_clips_are_not_compared():
    table = guesses([1, 2], [1, 2])
    for function in (network_differences, lambda *t, seed: comparable_classes(*t, {}, seed=seed)):
        with pytest.raises(ValueError, match="different clips"):
            function(table, table[:1], seed=0)


def test_comparable_classes_by_rule():
    """Of 5 classes of 20: known alike, known by one, known by neither, known but unlike, alike."""
    right = {0: (18, 18), 1: (18, 1), 2: (1, 1), 3: (20, 11), 4: (15, 16)}
    label = np.repeat(np.arange(5), 20)
    nth = np.tile(np.arange(20), 5)
    one, two = (
        guesses(label, np.where(nth < np.array([right[k][n] for k in label]), label, 9))
        for n in (0, 1)
    )
    found = comparable_classes(one, two, dict(enumerate("abcde")), seed=0)
    assert found["comparable"].tolist() == [True, False, False, False, True]
    assert found["blind"].to_numpy() == pytest.approx(2 * 0.2 / 1.2)
    f1 = 2 * 11 / (11 + 20)
    assert found.loc[3, ["first", "second", "difference"]].tolist() == pytest.approx(
        [1, f1, 1 - f1]
    )


def test_naming_always_the_same_class_scores_what_blind_says():
    label = np.repeat([0, 1, 2], [10, 20, 30])
    always = guesses(label, [1] * 60)
    found = comparable_classes(always, always, {0: "a", 1: "b", 2: "c"}, seed=0)
    assert found.loc[1, "first"] == pytest.approx(found.loc[1, "blind"])
    assert not found["comparable"].any()


def test_the_papers_own_classes_are_as_unlike_as_is_allowed():
    known = {(0.76, 0.58), (0.77, 0.57), (0.37, 0.31), (0.43, 0.40), (0.10, 0.07), (0.67, 0.56),
             (0.81, 0.73), (0.16, 0.03), (0.10, 0.06), (0.94, 0.79), (0.91, 0.80)}  # fmt: skip
    from vidlib.compare.networks import ALIKE

    assert max(a - b for a, b in known) == pytest.approx(ALIKE)


def test_the_paper_drops_by_what_it_says():
    table = paper.TABLE_1.query("dataset == 'something'").set_index(["network", "direction"])["f1"]
    for network, drop in (("clstm", 0.78), ("i3d", 0.79)):
        pair = np.array([table[network, "forward"], table[network, "reversed"]])
        assert lost_share(pair) == pytest.approx(drop, abs=0.005)

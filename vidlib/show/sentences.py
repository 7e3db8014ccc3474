"""Sentences that state findings, also for tables with too little data."""

from math import isnan

import numpy as np
import pandas as pd

from vidlib.compare.intervals import bootstrap_interval

OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD with momentum"}
SCHEDULES = {
    "one-cycle": "a learning rate that rises and falls once, {lr:g} at the top",
    "plateau": "a learning rate of {lr:g}, halved whenever the validation loss stands still",
    "constant": "a learning rate of {lr:g}",
}


def on_training(profile, family: str) -> str:
    """Say how a profile trains the networks of a family, "i3d" or "clstm".

    >>> on_training(study.profile, "i3d")[:36]
    'Lightning trains it from scratch for'
    """
    epochs, lr, optimizer, schedule = (
        getattr(profile, f"{family}_{name}") for name in ("epochs", "lr", "optimizer", "schedule")
    )
    return (
        f"Lightning trains it from scratch for {epochs} epochs, in batches of "
        f"{profile.batch_size}, with {OPTIMIZERS[optimizer]} and "
        f"{SCHEDULES[schedule].format(lr=lr)}. Every epoch leaves a checkpoint: killed, the "
        "training goes on from there."
    )


def on_intervals(index: pd.DataFrame) -> str:
    """Say what the intervals over the clips of an index mean.

    index: its column group names the person in each clip, if known.

    >>> on_intervals(pd.DataFrame({"group": [None]}))
    'The intervals say what other clips might have given, not what another training would.'
    """
    told = "The intervals say what other clips might have given, not what another training would."
    people = index["group"].dropna().nunique()
    if people:
        told += (
            f" They take clips for independent, and these are of {people} people: for others "
            "the intervals are too narrow."
        )
    return told


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
    return (
        f"{both[measure].mean():{form}}, {_verdict(low, high)} {both[baseline].mean():{form}} "
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


def on_reversal(drops: pd.DataFrame, per_class: pd.DataFrame) -> str:
    """Say what reversal does to a network, overall and by class.

    drops, per_class: as `vidlib.compare.reversal_drops` and `per_class` return them. A change of
    -76% means that 24% of the forward F1 remains.

    >>> drop = {"measure": "f1", "forward": 0.8, "reversed": 0.2, "drop": 0.75}
    >>> row = {"label": 1, "label_name": "Boxing", "clips": 9, "f1": 0.8, "guessed": 1.0}
    >>> rows = pd.DataFrame([row | {"direction": way} for way in ("forward", "reversed")])
    >>> on_reversal(pd.DataFrame([drop | {"low": 0.7, "high": 0.8}]), rows)[:69]
    'Reversal takes F1 from 0.80 to 0.20, a change of -75% (-80% to -70%).'
    """
    row = drops.set_index("measure").loc["f1"]
    change = estimate(-row["drop"], -row["high"], -row["low"], form="+z.0%")
    table = per_class[per_class["clips"] > 0].set_index("label")
    forward, backward = (table[table["direction"] == d] for d in ("forward", "reversed"))
    name = forward["label_name"].str.lower()
    lost = forward["f1"] - backward["f1"]
    most, least, best = lost.idxmax(), lost.idxmin(), backward["f1"].idxmax()
    often = backward["guessed"].idxmax()

    def falls(label: int) -> str:
        return f"from {forward['f1'][label]:.2f} to {backward['f1'][label]:.2f}"

    change = "" if isnan(row["drop"]) else f", a change of {change}"
    if lost[most] > 0:
        losses = f"*{name[most].capitalize()}* loses most ({falls(most)}), "
        losses += f"*{name[least]}* least ({falls(least)})."
    else:
        losses = "No class loses by it."
    return (
        f"Reversal takes F1 from {row['forward']:.2f} to {row['reversed']:.2f}{change}. {losses} "
        f"The highest F1 on reversed clips is that of *{name[best]}*, {backward['f1'][best]:.2f}. "
        f"The class that they are most often taken for is *{name[often]}*: "
        f"{backward['guessed'][often]:.0%} of them are, and {forward['guessed'][often]:.0%} of the "
        "clips as they were."
    )


def on_distinct(table: pd.DataFrame) -> str:
    """Say how many distinct frames a network needs, as far as the clips can tell.

    table: as `vidlib.compare.distinct_table` returns it, for at least two numbers of frames. A
    number of frames is enough if, from it on, no interval of the loss is above 0. For a network
    that is not told apart from chance, the sentence says so instead.

    >>> columns = ["frames", "chance", "top1", "top1_low", "top1_high"]
    >>> table = pd.DataFrame([[1, 0.5, 0.5, 0.4, 0.6], [2, 0.5, 0.9, 0.8, 1.0]], columns=columns)
    >>> on_distinct(table.assign(less=[0.4, 0.0], less_low=[0.3, 0.0], less_high=[0.5, 0.0]))[:51]
    'One frame, held for the whole clip, leaves 50% (40%'
    """
    one, last = table.iloc[0], table.iloc[-1]
    too_few = np.flatnonzero(table["less_low"] > 0)
    enough = too_few[-1] + 1 if len(too_few) else 0
    if last["top1_low"] <= last["chance"]:
        found = (
            f"But all {last['frames']:.0f} leave no more than {_with_ends(last, 'top1')} right: "
            "there is too little that fewer could take away."
        )
    else:
        row = table.iloc[min(enough, len(table) - 2)]
        frames = f"{row['frames']:.0f} distinct frame{'' if row['frames'] == 1 else 's'}"
        found = f"From {frames} on, top-1 is not told apart from that of all"
        if enough == len(table) - 1:
            found = f"Even {frames} are too few, for top-1 is lower than with all"
        found += f" {last['frames']:.0f}: {row['top1']:.0%} against {last['top1']:.0%}, a loss of "
        found += f"{_with_ends(row, 'less')}."
    return (
        f"One frame, held for the whole clip, leaves {_with_ends(one, 'top1')} of the clips right, "
        f"where always naming the commonest class gets {one['chance']:.0%}. {found}"
    )


def on_arrow(table: pd.DataFrame) -> str:
    """Say whether a network's features tell which way a clip is played.

    table: as `vidlib.compare.arrow_table` returns it.

    >>> columns = ["features", "share", "low", "high", "clips"]
    >>> rows = [["trained", 0.9, 0.8, 1.0, 50], ["untrained", 0.5, 0.4, 0.6, 50]]
    >>> on_arrow(pd.DataFrame(rows, columns=columns))[-53:]
    'weights 50% (40% to 60%), not told apart from a half.'
    """
    words = {}
    for row in table.itertuples():
        share = estimate(row.share, row.low, row.high, form="z.0%")
        words[row.features] = share, _verdict(row.low, row.high, 0.5)
    return (
        f"Of {table['clips'].iloc[0]} clips and their reversed copies the probe places "
        "{} rightly, {} the half that guessing would; ".format(*words["trained"])
        + "given the features of random weights {}, {} a half.".format(*words["untrained"])
    )


def _with_ends(row: pd.Series, name: str) -> str:
    return estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], form="z.0%")


def _verdict(low: float, high: float, reference: float = 0) -> str:
    """Return how an interval compares with a reference value."""
    above, below = low > reference, high < reference
    return "more than" if above else "less than" if below else "not told apart from"

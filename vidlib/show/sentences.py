"""Findings in words, read from tables: also where a table has too little to say."""

from math import isnan

import numpy as np
import pandas as pd

from vidlib.compare.explanations import bootstrap_interval

OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD with momentum"}
SCHEDULES = {
    "one-cycle": "a learning rate that rises and falls once, {lr:g} at the top",
    "plateau": "a learning rate of {lr:g}, halved whenever the validation loss stands still",
    "constant": "a learning rate of {lr:g}",
}


def on_training(profile, family: str) -> str:
    """Say how a profile trains the networks of a family, "i3d" or "clstm"."""
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
    """Say what the intervals over the clips of an index mean; its column group: whose they are."""
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


def estimate(value: float, low: float, high: float, *, form: str) -> str:
    """Return a value with its interval, as far as they are known: "0.86 (0.82 to 0.89)"."""
    if isnan(value):
        return "not known"
    if isnan(low) or isnan(high):
        return f"{value:{form}} (interval not known)"
    return f"{value:{form}} ({low:{form}} to {high:{form}})"


def on_reversal(drops: pd.DataFrame, per_class: pd.DataFrame) -> str:
    """Say what reversal does to a network, over all and by class.

    drops, per_class: as `vidlib.compare.reversal_drops` and `per_class` return them. A change of
    -76% means that of 100% only 24% are left.
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

    words = [
        f"Reversal takes F1 from {row['forward']:.2f} to {row['reversed']:.2f}"
        f"{'' if isnan(row['drop']) else f', a change of {change}'}."
    ]
    if lost[most] > 0:
        words.append(
            f"*{name[most].capitalize()}* loses most ({falls(most)}), *{name[least]}* least "
            f"({falls(least)})."
        )
    else:
        words.append("No class loses by it.")
    words.append(
        f"The highest F1 on reversed clips is that of *{name[best]}*, {backward['f1'][best]:.2f}. "
        f"The class that they are most often taken for is *{name[often]}*: "
        f"{backward['guessed'][often]:.0%} of them are, and {forward['guessed'][often]:.0%} of the "
        "clips as they were."
    )
    return " ".join(words)


def on_distinct(table: pd.DataFrame) -> str:
    """Say how many distinct frames a network needs, as far as the clips can tell.

    table: as `vidlib.compare.distinct_table` returns it, of at least two numbers of frames. The
    fewest frames that do are those from which on no interval of what is lost lies above 0; of a
    network that is not told apart from chance, that is not asked.
    """
    one, last = table.iloc[0], table.iloc[-1]
    too_few = np.flatnonzero(table["less_low"] > 0)
    enough = too_few[-1] + 1 if len(too_few) else 0
    if last["top1_low"] <= last["chance"]:
        found = (
            f"But all {last['frames']:.0f} leave no more than {_with_ends(last, 'top1')} right: "
            "there is too little that fewer could take away."
        )
    elif enough == len(table) - 1:
        row = table.iloc[-2]
        found = (
            f"Even {row['frames']:.0f} distinct frames are too few: top-1 is {row['top1']:.0%} "
            f"against {last['top1']:.0%} with all {last['frames']:.0f}, a loss of "
            f"{_with_ends(row, 'less')}."
        )
    else:
        row = table.iloc[enough]
        found = (
            f"From {row['frames']:.0f} distinct frame{'' if row['frames'] == 1 else 's'} on, top-1 "
            f"is not told apart from that of all {last['frames']:.0f}: {row['top1']:.0%} against "
            f"{last['top1']:.0%}, a loss of {_with_ends(row, 'less')}."
        )
    return (
        f"One frame, held for the whole clip, leaves {_with_ends(one, 'top1')} of the clips right, "
        f"where always naming the commonest class gets {one['chance']:.0%}. {found}"
    )


def on_arrow(table: pd.DataFrame) -> str:
    """Say whether a network's features tell which way a clip is played.

    table: as `vidlib.compare.arrow_table` returns it.
    """
    words = {}
    for row in table.itertuples():
        verdict = "not told apart from"
        if row.low > 0.5 or row.high < 0.5:
            verdict = "more than" if row.low > 0.5 else "less than"
        words[row.features] = (estimate(row.share, row.low, row.high, form="z.0%"), verdict)
    return (
        f"Of {table['clips'].iloc[0]} clips and their reversed copies the probe places "
        "{} rightly, {} the half that guessing would; ".format(*words["trained"])
        + "given the features of random weights {}, {} a half.".format(*words["untrained"])
    )


def _with_ends(row: pd.Series, name: str) -> str:
    return estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], form="z.0%")

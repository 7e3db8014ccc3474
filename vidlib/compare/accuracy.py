"""Table 1: how well a network tells the classes apart, forwards and with frames reversed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vidlib.compare.intervals import bootstrap, interval, with_interval

DIRECTIONS = ("forward", "reversed")
TOP_5_CLASSES = 10  # with fewer, five guesses would mostly be right by chance
# Of each measure, its score and the ending of its columns of guesses.
MEASURES = {
    "top1": ("top1", ""),
    "f1": ("f1", ""),
    "top5": ("top1", "_top5"),
    "f1_top5": ("f1", "_top5"),
}


PER_CLASS = ["label", "label_name", "direction", "clips", "top1", "f1"]
PER_CLASS += ["turns_into", "turns_into_share", "guessed"]


def guess_table(scores: dict[str, Tensor], outputs: Tensor, classes: list[int]) -> pd.DataFrame:
    """Return a network's guess about each clip in both directions: a row per clip.

    scores: by direction, (N, K) class scores. outputs: (N,) int64 true classes. classes: (K,), the
    official numbers of the scores' columns. Columns: label; forward and reversed, the guesses; and,
    with at least `TOP_5_CLASSES` classes, forward_top5 and reversed_top5: the label if it is among
    the five best guesses, else the guess. Equal scores rank by class.

    >>> scores = {"forward": torch.eye(2), "reversed": torch.eye(2).flip(1)}
    >>> guess_table(scores, torch.tensor([0, 1]), [93, 94])["reversed"].tolist()
    [94, 93]
    """
    numbers = np.array(classes)
    table = pd.DataFrame({"label": numbers[outputs.numpy()]})
    for direction, values in scores.items():
        ranked = values.argsort(dim=1, descending=True, stable=True)
        table[direction] = numbers[ranked[:, 0].numpy()]
        if len(classes) >= TOP_5_CLASSES:
            among = (ranked[:, :5] == outputs[:, None]).any(1).numpy()
            table[f"{direction}_top5"] = table["label"].where(among, table[direction])
    return table


def measured(
    networks: Sequence[pd.DataFrame], seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return, by measure of Table 1, its values and those of resampled clips.

    networks: guess tables of the same clips in the same order. Values: (networks, directions), and
    (R, networks, directions). Measures of the top five are left out if the tables lack them.
    """
    known = {name: end for name, (_, end) in MEASURES.items() if f"forward{end}" in networks[0]}
    ends = sorted(set(known.values()))
    columns = [f"{direction}{end}" for end in ends for direction in DIRECTIONS]
    labels = networks[0]["label"].to_numpy()
    guesses = np.concatenate([one[columns].to_numpy() for one in networks], axis=1)
    found, resampled = bootstrap(labels, guesses, np.union1d(labels, guesses), seed)
    shape = (len(networks), len(ends), len(DIRECTIONS))
    values = {}
    for measure, end in known.items():
        one, many = (getattr(scores, MEASURES[measure][0]) for scores in (found, resampled))
        k = ends.index(end)
        values[measure] = one.reshape(shape)[:, k], many.reshape(-1, *shape)[:, :, k]
    return values


def lost_share(scores: np.ndarray) -> np.ndarray:
    """Return the share of the forward score that reversal takes away, (...); NaN if that is 0.

    scores: (..., 2), forward and reversed.

    >>> lost_share(np.array([[0.5, 0.25], [0.0, 0.0]]))
    array([0.5, nan])
    """
    forward, backward = np.moveaxis(np.asarray(scores, float), -1, 0)
    nothing = np.full(forward.shape, np.nan)
    return 1 - np.divide(backward, forward, out=nothing, where=forward > 0)


def summary(guesses: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Return Table 1 of one network: a row per direction.

    guesses: from `guess_table`. Columns: direction, and each of `MEASURES` with the ends of its
    95 % bootstrap interval, <measure>_low and <measure>_high, all in [0, 1]. top1 and top5 are
    accuracies, f1 is macro-averaged, and so is f1_top5, the paper's top-5 F1, for which the label
    replaces the guess if it is among the top five. Those of the top five are NaN if the guesses
    lack them.

    >>> guesses = pd.DataFrame({"label": [1, 2], "forward": [1, 2], "reversed": [2, 2]})
    >>> summary(guesses, seed=0)["top1"].tolist()
    [1.0, 0.5]
    """
    values = measured([guesses], seed)
    unknown = np.full((1, 2), np.nan), np.full((1, 1, 2), np.nan)
    table: dict[str, object] = {"direction": list(DIRECTIONS)}
    for measure in MEASURES:
        one, many = values.get(measure, unknown)
        table |= with_interval(measure, one[0], many[:, 0])
    return pd.DataFrame(table)


def reversal_drops(guesses: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Return what reversal takes away, as the paper states it: a row per measure of Table 1.

    Columns: measure, forward, reversed, drop (`lost_share`), low and high (its 95 % bootstrap
    interval, directions paired over clips; NaN if some resample has no right guess).

    >>> guesses = pd.DataFrame({"label": [1, 2], "forward": [1, 2], "reversed": [2, 2]})
    >>> reversal_drops(guesses, seed=0)["drop"][0]
    np.float64(0.5)
    """
    rows = []
    for measure, (values, resampled) in measured([guesses], seed).items():
        ends = interval(lost_share(resampled[:, 0]))
        rows.append((measure, *values[0], lost_share(values[0]).item(), *ends))
    return pd.DataFrame(rows, columns=["measure", *DIRECTIONS, "drop", "low", "high"])


def class_scores(
    labels: np.ndarray, guesses: np.ndarray, names: dict[int, str], seed: int
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return the C classes that have clips, their F1s (S, C), and those of resamples (R, S, C).

    labels: (N,). guesses: (N, S). The classes' table has columns label, label_name and clips.
    """
    classes = np.union1d(labels, guesses)
    found, resampled = bootstrap(labels, guesses, classes, seed)
    present, clips = np.unique(labels, return_counts=True)
    k = np.searchsorted(classes, present)
    table = pd.DataFrame({"label": present, "label_name": [names[one] for one in present]})
    return table.assign(clips=clips), found.class_f1[:, k], resampled.class_f1[:, :, k]


def class_drops(guesses: pd.DataFrame, names: dict[int, str], *, seed: int) -> pd.DataFrame:
    """Return the F1 of each class that has clips, and what reversal takes from it.

    guesses: from `guess_table`. Columns: label, label_name, clips; forward, reversed and drop
    (forward minus reversed), each with the ends of its 95 % bootstrap interval, <name>_low and
    <name>_high. Each interval holds by itself: of many classes some will be outside theirs.

    >>> guesses = pd.DataFrame({"label": [1, 2], "forward": [1, 2], "reversed": [1, 1]})
    >>> class_drops(guesses, {1: "up", 2: "down"}, seed=0)["drop"].round(2).tolist()
    [0.33, 1.0]
    """
    pairs = guesses[list(DIRECTIONS)].to_numpy()
    table, (one, turned), many = class_scores(guesses["label"].to_numpy(), pairs, names, seed)
    return table.assign(
        **with_interval("forward", one, many[:, 0]),
        **with_interval("reversed", turned, many[:, 1]),
        **with_interval("drop", one - turned, many[:, 0] - many[:, 1]),
    )


def per_class(
    scores: dict[str, Tensor], outputs: Tensor, classes: list[int], names: dict[int, str]
) -> pd.DataFrame:
    """Return a row per class and direction.

    scores: by direction, (N, K). outputs: (N,) int64 true classes. classes: (K,), their official
    numbers. Columns: label, label_name, direction, clips, top1, f1, turns_into (the label most
    often guessed for the class's clips), turns_into_share, and guessed (the share of all clips for
    which the class is guessed).

    >>> scores = {"forward": torch.eye(2), "reversed": torch.eye(2).flip(1)}
    >>> table = per_class(scores, torch.tensor([0, 1]), [93, 94], {93: "there", 94: "back"})
    >>> table["turns_into"].tolist()
    [93, 94, 94, 93]
    """
    rows = []
    from sklearn.metrics import f1_score  # here, as importing it takes longer than most stages

    for direction, values in scores.items():
        guesses = values.argmax(1)
        numbers = range(len(classes))
        f1 = f1_score(outputs, guesses, labels=numbers, average=None, zero_division=0)
        guessed = torch.bincount(guesses, minlength=len(classes)).float() / len(guesses)
        for k, label in enumerate(classes):
            mine = guesses[outputs == k]
            shares = torch.bincount(mine, minlength=len(classes)).float() / max(1, len(mine))
            most = int(shares.argmax())
            about = label, names[label], direction, len(mine), shares[k].item(), f1[k]
            rows.append((*about, classes[most], shares[most].item(), guessed[k].item()))
    return pd.DataFrame(rows, columns=PER_CLASS)

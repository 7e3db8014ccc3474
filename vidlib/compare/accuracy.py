"""Table 1: how well a network tells the classes apart, forwards and with its frames reversed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import f1_score
from torch import Tensor

from vidlib.compare.bootstrap import bootstrap, interval, lost_share

DIRECTIONS = ("forward", "reversed")
TOP_5_CLASSES = 10  # of fewer, five guesses would be right by chance more often than not
# Of which score, and of which guesses, each measure is made.
MEASURES = {
    "top1": ("top1", ""),
    "f1": ("f1", ""),
    "top5": ("top1", "_top5"),
    "f1_top5": ("f1", "_top5"),
}


def guess_table(scores: dict[str, Tensor], outputs: Tensor, classes: list[int]) -> pd.DataFrame:
    """Return what a network says of each clip in both directions: a row per clip.

    scores: by direction, (N, K) class scores. outputs: (N,) int64 true classes. classes: (K,), the
    official numbers of the scores' columns. Columns: label; forward and reversed, the guesses; and,
    with at least `TOP_5_CLASSES` classes, forward_top5 and reversed_top5: the label where it is
    among the five best guesses, else the guess. Equal scores rank by class.
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
    """Return each measure of Table 1 that there is: its values, and those of resampled clips.

    networks: guess tables of the same clips in the same order. Values: (networks, directions), and
    (R, networks, directions).
    """
    there = {name: end for name, (_, end) in MEASURES.items() if f"forward{end}" in networks[0]}
    ends = sorted(set(there.values()))
    columns = [f"{direction}{end}" for end in ends for direction in DIRECTIONS]
    labels = networks[0]["label"].to_numpy()
    guesses = np.concatenate([one[columns].to_numpy() for one in networks], axis=1)
    classes = np.union1d(labels, guesses)
    found, resampled = bootstrap(labels, guesses, classes, seed)
    shape = (len(networks), len(ends), len(DIRECTIONS))
    values = {}
    for measure, end in there.items():
        k, score = ends.index(end), MEASURES[measure][0]
        one, many = (getattr(scores, score) for scores in (found, resampled))
        values[measure] = one.reshape(shape)[:, k], many.reshape(-1, *shape)[:, :, k]
    return values


def summary(guesses: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Return Table 1 of one network: a row per direction.

    guesses: as `guess_table` returns them. Columns: direction, and each of `MEASURES` with the ends
    of its 95 % bootstrap interval, <measure>_low and <measure>_high, all in [0, 1]: top1 and top5
    are accuracies, f1 is macro-averaged, and so is f1_top5, the paper's top-5 F1, of guesses that
    the label replaces where it is among the top five. Those of top five are NaN where the guesses
    have none.
    """
    values = measured([guesses], seed)
    rows = []
    for k, direction in enumerate(DIRECTIONS):
        row = {"direction": direction}
        for measure in MEASURES:
            low = high = value = np.nan
            if measure in values:
                value = values[measure][0][0, k]
                low, high = interval(values[measure][1][:, 0, k])
            row |= {measure: value, f"{measure}_low": low, f"{measure}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def reversal_drops(guesses: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Return what reversal takes away, as the paper states it: a row per measure of Table 1.

    Columns: measure, forward, reversed, drop (1 - reversed / forward, NaN of nothing), low and high
    (its 95 % bootstrap interval, directions paired over clips; NaN where resamples leave nothing to
    lose).
    """
    rows = []
    for measure, (values, resampled) in measured([guesses], seed).items():
        low, high = interval(lost_share(resampled[:, 0]))
        rows.append((measure, *values[0], lost_share(values[0]).item(), low, high))
    return pd.DataFrame(rows, columns=["measure", *DIRECTIONS, "drop", "low", "high"])


def class_drops(guesses: pd.DataFrame, names: dict[int, str], *, seed: int) -> pd.DataFrame:
    """Return the F1 of each class that has clips, and what reversal takes from it.

    guesses: as `guess_table` returns them. Columns: label, label_name, clips; forward, reversed and
    drop (forward minus reversed), each with the ends of its 95 % bootstrap interval, <name>_low and
    <name>_high. Every interval holds by itself: of many classes some will lie outside theirs.
    """
    labels, pairs = guesses["label"].to_numpy(), guesses[list(DIRECTIONS)].to_numpy()
    classes = np.union1d(labels, pairs)
    found, resampled = bootstrap(labels, pairs, classes, seed)
    rows = []
    for label, clips in guesses["label"].value_counts().sort_index().items():
        k = np.searchsorted(classes, label)
        one, many = found.class_f1[:, k], resampled.class_f1[:, :, k]
        row = {"label": label, "label_name": names[label], "clips": clips}
        for name, value, values in (
            ("forward", one[0], many[:, 0]),
            ("reversed", one[1], many[:, 1]),
            ("drop", one[0] - one[1], many[:, 0] - many[:, 1]),
        ):
            low, high = interval(values)
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def per_class(
    scores: dict[str, Tensor], outputs: Tensor, classes: list[int], names: dict[int, str]
) -> pd.DataFrame:
    """Return a row per class and direction.

    scores: by direction, (N, K). Columns: label, label_name, direction, clips, top1, f1,
    turns_into (the label most often guessed for the class's clips), turns_into_share, and guessed
    (the share of all clips that are taken for the class).
    """
    numbers = range(len(classes))
    rows = []
    for direction, values in scores.items():
        guesses = values.argmax(1)
        f1 = f1_score(outputs, guesses, labels=numbers, average=None, zero_division=0)
        for k, label in enumerate(classes):
            mine = guesses[outputs == k]
            counts = torch.bincount(mine, minlength=len(classes)).float() / max(1, len(mine))
            rows.append(
                {
                    "label": label,
                    "label_name": names[label],
                    "direction": direction,
                    "clips": len(mine),
                    "top1": counts[k].item(),
                    "f1": f1[k],
                    "turns_into": classes[int(counts.argmax())],
                    "turns_into_share": counts.max().item(),
                    "guessed": (guesses == k).float().mean().item(),
                }
            )
    return pd.DataFrame(rows)

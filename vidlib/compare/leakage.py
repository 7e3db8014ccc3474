"""The leakage gate: does anything but the order of the frames tell mirrored classes apart?

Two classes that mirror each other are the same motions played forwards and backwards. Where a
classifier that is blind to the order of the frames separates them, single frames, or sets of them,
give the direction away: rendering, compression or sampling leaks it, and a network under study
might use that in place of time.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest

from vidlib.data.clips import Clips, stream_clips, to_network
from vidlib.explain.scores import score_clips
from vidlib.models.framewise import FrameAverage, FrameGRU
from vidlib.models.store import best_device
from vidlib.training import Recipe, fit

# Something-something's numbers: pushing left to right and back, moving up and down, away and
# closer, turning the camera left and right, downwards and upwards.
PAIRS = ((93, 94), (45, 43), (36, 37), (166, 167), (165, 168))
LEVEL = 0.95
BLIND = ("average of frames", "shuffled frames")  # of the classifiers, those that cannot use order
WEIGHT_DECAY = 0.01
CLASSIFIERS = {
    "average of frames": FrameAverage,
    "shuffled frames": lambda classes: FrameGRU(classes, shuffled=True),
    "ordered frames": lambda classes: FrameGRU(classes, shuffled=False),  # the positive control
}


def pair_table(
    scores: np.ndarray | torch.Tensor,
    labels: np.ndarray,
    classes: Sequence[int],
    pairs: Sequence[tuple[int, int]],
) -> pd.DataFrame:
    """Return how well mirrored classes are told apart: a row per pair, then one for all of them.

    scores: (N, K) softmax scores. labels: (N,) official numbers. classes: (K,), of the scores'
    columns. Columns: pair ("93/94", or "all"), clips (of the pair), own (how many of them score
    their own class above its mirror), share, low and high (exact binomial interval of the share: of
    95 % for all pairs together; those of single pairs are so wide that all of them, of both blind
    classifiers, hold together in 95 % of cases, by Bonferroni), leaks (whether the interval lies
    above 0.5), merged (accuracy with mirrored classes taken for one: of the pair's clips; for
    "all", of all clips, those of other classes too) and chance (what always guessing the pair would
    make of that; for "all", the commonest class). Raises ValueError where a class of a pair has no
    scores, a pair no clips, or there are no pairs.
    """
    scores, labels = np.asarray(scores, float), np.asarray(labels)
    column = {label: k for k, label in enumerate(classes)}
    if not pairs or not {label for pair in pairs for label in pair} <= column.keys():
        raise ValueError(f"pairs are {list(pairs)}, classes {list(classes)}: give pairs of those")
    merged_of = np.array([_merged(label, pairs) for label in classes])
    groups = np.unique(merged_of)
    sums = np.stack([scores[:, merged_of == group].sum(1) for group in groups], axis=1)
    truth = np.array([_merged(label, pairs) for label in labels])
    right = groups[sums.argmax(1)] == truth
    rows = []
    for one, two in pairs:
        mine = np.isin(labels, (one, two))
        if not mine.any():
            raise ValueError(f"no clips of the pair {one}/{two}")
        lead = np.where(labels == one, 1, -1) * (scores[:, column[one]] - scores[:, column[two]])
        own, clips = int((lead[mine] > 0).sum()), int(mine.sum())
        level = 1 - (1 - LEVEL) / len(pairs) / len(BLIND)
        rows.append(_row(f"{one}/{two}", own, clips, level, right[mine].mean(), mine.mean()))
    own, clips = sum(row["own"] for row in rows), sum(row["clips"] for row in rows)
    commonest = np.unique(truth, return_counts=True)[1].max() / len(truth)
    rows.append(_row("all", own, clips, LEVEL, right.mean(), commonest))
    return pd.DataFrame(rows)


def _merged(label: int, pairs: Sequence[tuple[int, int]]) -> int:
    """Return the number that stands for a class where mirrored ones count as one."""
    return next((one for one, two in pairs if label == two), int(label))


def _row(pair: str, own: int, clips: int, level: float, merged: float, chance: float) -> dict:
    interval = binomtest(own, clips).proportion_ci(level, method="exact")
    return {
        "pair": pair,
        "clips": clips,
        "own": own,
        "share": own / clips,
        "low": interval.low,
        "high": interval.high,
        "leaks": bool(interval.low > 0.5),
        "merged": float(merged),
        "chance": float(chance),
    }


def _of_pairs(clips: Clips, pairs: Sequence[tuple[int, int]]) -> Clips:
    """Return the clips of the classes of these pairs, as a set of its own."""
    classes = sorted(label for pair in pairs for label in pair)
    some = clips.subset(np.flatnonzero(clips.index["label"].isin(classes)))
    return Clips(some.index, some.frames, classes)


def gate(
    train: Clips,
    validation: Clips,
    folder: Path,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
) -> pd.DataFrame:
    """Train classifiers that cannot know the order of frames and return what they tell apart.

    They see the classes of those of `PAIRS` that are among the clips', and no others. Returns the
    `pair_table` of the validation clips for three classifiers (column classifier): "average of
    frames" and "shuffled frames", for which "leaks" should be False, and, to show that they could
    have learned it, the latter with "ordered frames", for which it should be True. A checkpoint of
    each is kept in a folder of its own under `folder`, and training goes on from there. Raises
    ValueError where the clips hold no pair, and as `vidlib.training.fit` and `pair_table` do.
    """
    present = [pair for pair in PAIRS if set(pair) <= set(train.classes)]
    if not present:
        raise ValueError(f"classes {train.classes} hold no mirrored pair: {PAIRS}")
    train, validation = _of_pairs(train, present), _of_pairs(validation, present)
    recipe = Recipe(epochs, batch_size, lr, seed, weight_decay=WEIGHT_DECAY)
    tables = []
    for name, build in CLASSIFIERS.items():
        torch.manual_seed(seed)
        network = build(len(train.classes))
        fit(network, train, validation, Path(folder) / name.replace(" ", "-"), recipe)
        network.to(best_device())
        scores, positions = [], []
        for batch in stream_clips(validation, batch_size):
            scores.append(score_clips(network, to_network(batch.frames)))
            positions.append(batch.positions)
        labels = validation.index["label"].to_numpy()[torch.cat(positions).numpy()]
        table = pair_table(torch.cat(scores), labels, train.classes, present)
        tables.append(table.assign(classifier=name))
    return pd.concat(tables, ignore_index=True)

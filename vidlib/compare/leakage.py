"""The leakage gate: does anything but the order of the frames tell mirrored classes apart?

Two classes that mirror each other are the same motions played forwards and backwards. If a
classifier that is blind to the order of the frames separates them, single frames or sets of them
give the direction away: rendering, compression or sampling leaks it, and a network under study
might use that instead of time.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from vidlib.compare.clips import over_batches
from vidlib.compare.intervals import LEVEL, exact_interval
from vidlib.data.clips import Clips
from vidlib.explain.scores import score_clips
from vidlib.models.framewise import FrameAverage, FrameGRU
from vidlib.models.store import best_device
from vidlib.training import Recipe, fit

# Something-something's numbers: pushing left to right and back, moving up and down, away and
# closer, turning the camera left and right, downwards and upwards.
PAIRS = ((93, 94), (45, 43), (36, 37), (166, 167), (165, 168))
Pairs = Sequence[tuple[int, int]]
COLUMNS = ["pair", "clips", "own", "share", "low", "high", "leaks", "merged", "chance"]
BLIND = ("average of frames", "shuffled frames")  # the classifiers that cannot use order
CLASSIFIERS: dict[str, Callable[[int], nn.Module]] = {
    "average of frames": FrameAverage,
    "shuffled frames": lambda classes: FrameGRU(classes, shuffled=True),
    "ordered frames": lambda classes: FrameGRU(classes, shuffled=False),  # the positive control
}


def pair_table(
    scores: np.ndarray | torch.Tensor, labels: np.ndarray, classes: Sequence[int], pairs: Pairs
) -> pd.DataFrame:
    """Return how well mirrored classes are told apart: a row per pair, then one for all of them.

    scores: (N, K) softmax scores. labels: (N,) official numbers. classes: (K,), of the scores'
    columns. Columns: pair ("93/94", or "all"), clips (of the pair), own (how many of them score
    their own class above its mirror), share, low and high (exact binomial interval of the share),
    leaks (whether the interval is above 0.5), merged (accuracy with mirrored classes taken as one:
    of the pair's clips; for "all", of all clips, including those of other classes) and chance
    (merged when always guessing the pair; for "all", the most common class).

    Intervals of all pairs together are of 95 %. Those of single pairs are wider, by Bonferroni, so
    that all of them, of both blind classifiers, hold together in 95 % of cases. Raises ValueError
    for a pair without scores or clips, and without pairs.

    >>> table = pair_table(np.array([[0.9, 0.1], [0.2, 0.8]]), [93, 94], [93, 94], [(93, 94)])
    >>> table[["pair", "clips", "own", "leaks"]].values.tolist()
    [['93/94', 2, 2, False], ['all', 2, 2, False]]
    """
    scores, labels = np.asarray(scores, float), np.asarray(labels)
    column = {label: k for k, label in enumerate(classes)}
    if not pairs or not {label for pair in pairs for label in pair} <= column.keys():
        raise ValueError(f"pairs are {list(pairs)}, classes {list(classes)}: give pairs of those")
    first_of = {two: one for one, two in pairs}  # a class and its mirror as one
    merged_of = np.array([first_of.get(label, label) for label in classes])
    groups = np.unique(merged_of)
    sums = np.stack([scores[:, merged_of == group].sum(1) for group in groups], axis=1)
    truth = np.array([first_of.get(label, label) for label in labels])
    right = groups[sums.argmax(1)] == truth
    rows: list[tuple] = []

    def add(pair: str, own: int, clips: int, level: float, *others: float) -> None:
        low, high = exact_interval(own, clips, level)
        rows.append((pair, clips, own, own / clips, low, high, low > 0.5, *others))

    for one, two in pairs:
        mine = np.isin(labels, (one, two))
        if not mine.any():
            raise ValueError(f"no clips of the pair {one}/{two}")
        lead = np.where(labels == one, 1, -1) * (scores[:, column[one]] - scores[:, column[two]])
        own, clips = int((lead[mine] > 0).sum()), int(mine.sum())
        level = 1 - (1 - LEVEL) / len(pairs) / len(BLIND)
        add(f"{one}/{two}", own, clips, level, right[mine].mean(), mine.mean())
    own, clips = sum(row[2] for row in rows), sum(row[1] for row in rows)
    most_common = np.unique(truth, return_counts=True)[1].max() / len(truth)
    add("all", own, clips, LEVEL, right.mean(), most_common)
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_pairs(clips: Clips, pairs: Pairs) -> Clips:
    """Return the clips of the classes of these pairs, as a set of its own."""
    classes = sorted(label for pair in pairs for label in pair)
    some = clips.subset(np.flatnonzero(clips.index["label"].isin(classes)))
    return Clips(some.index, some.frames, classes)


def gate(train: Clips, validation: Clips, folder: Path, recipe: Recipe) -> pd.DataFrame:
    """Train classifiers that cannot know the order of frames and return what they tell apart.

    They see only the classes of those of `PAIRS` that are among the clips'. Returns the
    `pair_table` of the validation clips for three classifiers (column classifier): "average of
    frames" and "shuffled frames", for which "leaks" should be False, and "ordered frames", for
    which it should be True, as proof that they could have learned it. Each classifier has its
    checkpoint in a folder under `folder`, from which training resumes. Raises ValueError if the
    clips have no pair, and as `vidlib.training.fit` and `pair_table` do.
    """
    present = [pair for pair in PAIRS if set(pair) <= set(train.classes)]
    if not present:
        raise ValueError(f"classes {train.classes} have no mirrored pair: give some of {PAIRS}")
    train, validation = _of_pairs(train, present), _of_pairs(validation, present)
    tables = []
    for name, build in CLASSIFIERS.items():
        torch.manual_seed(recipe.seed)
        network = build(len(train.classes))
        fit(network, train, validation, Path(folder) / name.replace(" ", "-"), recipe)
        network.to(best_device())
        scored = functools.partial(score_clips, network)
        scores, positions = over_batches(validation, scored, recipe.batch_size)
        labels = validation.index["label"].to_numpy()[positions]
        table = pair_table(scores, labels, train.classes, present)
        tables.append(table.assign(classifier=name))
    return pd.concat(tables, ignore_index=True)

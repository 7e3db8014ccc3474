"""Bootstrap over clips: how sure one can be of accuracies and F1s, and of what is made of them.

Clips are resampled within their classes (stratified): how many clips a class has is decided by who
makes the data set, not by chance, and so every resample has all the classes that an average over
classes is of. All that is computed from one call shares its resamples, which is what pairs
networks, or directions: a resample holds the same clips for all of them. Intervals are those of
percentiles (Efron 1979). What never varied in the data never does in a resample: a class with one
clip, or whose clips all come out alike, has an interval of no width. In simulations of 16 classes
intervals of macro F1 cover in 93 to 94 % of studies with 20 clips a class, in 75 % with 2.
"""

from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Scores:
    """Scores of S sets of guesses about the same clips, maybe of each of R resamples of them.

    top1: ([R,] S), the share of right guesses. class_f1: ([R,] S, K), per class; NaN where a class
    has no clips and is never guessed.
    """

    top1: np.ndarray
    class_f1: np.ndarray

    @property
    def f1(self) -> np.ndarray:
        """The macro average of F1, ([R,] S), over the classes that occur or are guessed."""
        return np.nanmean(self.class_f1, axis=-1)


def bootstrap(
    labels: np.ndarray, guesses: np.ndarray, classes: np.ndarray, seed: int
) -> tuple[Scores, Scores]:
    """Return the scores of some sets of guesses, and those of `RESAMPLES` resamples of the clips.

    labels: (N,), N at least 1. guesses: (N, S). classes: (K,), all that may occur, in increasing
    order.
    """
    outcomes = np.searchsorted(classes, np.column_stack([labels, guesses]))
    # What happened to a clip is one of a few outcomes, so draw how often each is taken.
    outcomes, counts = np.unique(outcomes, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    draws = np.empty((RESAMPLES, len(outcomes)), np.float32)
    for k in np.unique(outcomes[:, 0]):
        mine = outcomes[:, 0] == k
        clips = counts[mine].sum()
        draws[:, mine] = rng.multinomial(clips, counts[mine] / clips, RESAMPLES)
    one = _scores(outcomes, counts[None].astype(np.float32), len(classes))
    return Scores(one.top1[0], one.class_f1[0]), _scores(outcomes, draws, len(classes))


def _scores(outcomes: np.ndarray, weights: np.ndarray, classes: int) -> Scores:
    """Return the scores where outcome i (label, then guesses) happened weights[:, i] times."""
    is_class = np.eye(classes, dtype=np.float32)
    there = weights @ is_class[outcomes[:, 0]]
    top1, f1 = [], []
    for guess in outcomes[:, 1:].T:
        right = guess == outcomes[:, 0]
        hits = weights[:, right] @ is_class[guess[right]]
        both = there + weights @ is_class[guess]
        top1.append(hits.sum(1, dtype=float) / weights.sum(1, dtype=float))
        f1.append(np.divide(2.0 * hits, both, out=np.full(both.shape, np.nan), where=both > 0))
    return Scores(np.stack(top1, 1), np.stack(f1, 1))


def interval(resampled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the 95 % interval of values (R, ...), by percentiles over the first axis.

    Both are NaN where a value is not finite: what some resample leaves undefined is not known.
    """
    resampled = np.where(np.isfinite(resampled), resampled, np.nan)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def lost_share(scores: np.ndarray) -> np.ndarray:
    """Return what reversal takes away, (...), as a share of what there was; NaN of nothing.

    scores: (..., 2), forward and reversed.
    """
    forward, backward = np.moveaxis(np.asarray(scores, float), -1, 0)
    nothing = np.full(forward.shape, np.nan)
    return 1 - np.divide(backward, forward, out=nothing, where=forward > 0)

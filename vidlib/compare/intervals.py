"""95 % intervals: exact ones of shares, and by bootstrap over clips of means, accuracies and F1s.

For accuracies and F1s, clips are resampled within their classes (stratified): the maker of the data
set decides how many clips a class has, so every resample has all the classes of a macro average.
All results of one call share its resamples, which pairs networks and directions: a resample holds
the same clips for all of them. Intervals are those of percentiles (Efron 1979). What never varies
in the data never varies in a resample: a class with one clip, or whose clips all have the same
outcome, has an interval of no width. In simulations of 16 classes, intervals of macro F1 cover the
truth in 93 to 94 % of studies with 20 clips a class, in 75 % with 2.
"""

from dataclasses import dataclass

import numpy as np
import scipy

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Scores:
    """Scores of S sets of guesses about the same clips, or about each of R resamples of them.

    top1: ([R,] S), the share of right guesses. class_f1: ([R,] S, K), per class; NaN if a class has
    no clips and is never guessed.
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
    """Return the scores of S sets of guesses, and those of `RESAMPLES` resamples of the clips.

    labels: (N,), N at least 1. guesses: (N, S). classes: (K,), all that may occur, in increasing
    order.

    >>> found, resampled = bootstrap(np.array([3, 3, 5]), np.array([[3], [5], [5]]), [3, 5], seed=0)
    >>> found.top1.round(2), resampled.class_f1.shape
    (array([0.67]), (2000, 1, 2))
    """
    outcomes = np.searchsorted(classes, np.column_stack([labels, guesses]))
    # Clips have few different outcomes (label and guesses), so draw how often each is taken.
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
    """Return the scores if outcome i (label, then guesses) occurs weights[:, i] times."""
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

    Both are NaN if a value is not finite.

    >>> low, high = interval(np.arange(101.0))
    >>> round(low, 3), round(high, 3)
    (np.float64(2.5), np.float64(97.5))
    """
    resampled = np.where(np.isfinite(resampled), resampled, np.nan)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def with_interval(name: str, values: np.ndarray, resampled: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of a table: values (...), and the `interval` of resampled, (R, ...).

    >>> list(with_interval("f1", np.zeros(2), np.zeros((9, 2))))
    ['f1', 'f1_low', 'f1_high']
    """
    low, high = interval(resampled)
    return {name: values, f"{name}_low": low, f"{name}_high": high}


def bootstrap_interval(values: np.ndarray, seed: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the bootstrap interval (percentiles, 5,000 resamples) of a mean.

    values: (N,), without those that are NaN. Both ends are NaN for fewer than two values.

    >>> low, high = bootstrap_interval(np.array([1.0, 2.0, 3.0, np.nan]), seed=0)
    >>> 1 <= low < 2 < high <= 3
    True
    """
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return np.nan, np.nan
    low, high = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=5000, method="percentile", confidence_level=level, rng=seed
    ).confidence_interval
    return float(low), float(high)


def exact_interval(right: float, count: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact binomial interval of a share (Clopper and Pearson 1934).

    right: how many of the count; halves count too, by the quantiles of the beta distribution.

    >>> low, high = exact_interval(7, 10)
    >>> round(low, 3), round(high, 3)
    (0.348, 0.933)
    """
    ends = scipy.stats.beta([right, right + 1], [count - right + 1, count - right])
    low, high = ends.ppf([(1 - level) / 2, (1 + level) / 2])
    return (float(low) if right else 0.0), (float(high) if right < count else 1.0)

"""Which windows of a clip remove its class, by the ideal observer: the truth for temporal masks.

A window is a range of frames, first to last. Freezing or reversing it re-orders the clip's frames;
an observer (`vidlib.rendered`) says which class they still show.
"""

import functools
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from vidlib.data.sampling import sample_frames
from vidlib.explain.perturb import PERTURBATIONS, frame_order, window_masks
from vidlib.rendered.scene import Scene

NO_WINDOW = -2  # for windows that would end before they begin
ASKED = ("freeze", "reverse")  # the perturbations of the paper

Observer = Callable[[Scene, np.ndarray], np.ndarray]


@functools.cache
def window_orders(length: int, perturbation: str) -> np.ndarray:
    """Return which frames are shown when each window of a clip is perturbed, (N, T) int64.

    N = T (T + 1) / 2 windows, in the order of `numpy.triu_indices(T)`: by first, then last frame.
    """
    first, last = torch.triu_indices(length, length)
    masks = window_masks(first, last, length).float()
    return frame_order(PERTURBATIONS[perturbation](masks)).numpy()


def window_answers(scene: Scene, observe: Observer, frames: int, perturbation: str) -> np.ndarray:
    """Return which class is seen when a window is perturbed, (T, T) int64 by first and last frame.

    frames: T, the number of frames sampled from the clip. -1 stands for no class, `NO_WINDOW` for
    windows that would end before they begin.

    >>> from vidlib.rendered.something.observer import observe
    >>> from vidlib.rendered.something.scripts import compose
    >>> scene = compose(45, np.random.default_rng(0))  # moving something up
    >>> answers = window_answers(scene, observe, 8, "reverse")
    >>> int(answers[0, 0]), int(answers[0, 7])  # reversed as a whole it moves down
    (45, 43)
    """
    sampled = sample_frames(len(scene), frames)
    answers = np.full((frames, frames), NO_WINDOW)
    said = observe(scene, sampled[window_orders(frames, perturbation)])
    answers[np.triu_indices(frames)] = said
    return answers


def removing(answers: np.ndarray, label: int) -> np.ndarray:
    """Return which windows remove a class, (T, T) bool, from the answers to all of them.

    >>> removing(np.array([[45, -1], [NO_WINDOW, 45]]), 45).tolist()
    [[False, True], [False, False]]
    """
    return (answers != label) & (answers != NO_WINDOW)


def minimal(removes: np.ndarray) -> np.ndarray:
    """Return which of the windows that remove, (T, T) bool, contain no shorter one that does.

    >>> minimal(np.array([[False, True], [False, True]])).tolist()
    [[False, False], [False, True]]
    """
    removes = np.triu(removes)
    from_first = np.logical_or.accumulate(removes[::-1], axis=0)[::-1]
    within = np.logical_or.accumulate(from_first, axis=1)  # whether any window within removes
    shorter = np.zeros_like(removes)
    shorter[:-1] |= within[1:]
    shorter[:, 1:] |= within[:, :-1]
    return removes & ~shorter


def survival(
    scenes: dict[str, Scene], labels: dict[str, int], observe: Observer, frames: int
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return which windows remove the classes of N clips; scenes and labels are by clip_id.

    First a table, a row per clip, with clip_id, label and, for freeze and reverse, <name>_shortest
    (frames of the shortest window that removes the class, NaN if none does) and <name>_minimal (the
    number of minimal ones); reversed_shows (the class seen when the whole clip is reversed, -1 for
    none); order_matters (whether reversing some window removes the class). Then, by perturbation,
    the `window_answers` of all clips, (N, T, T) int16 for T = `frames`.

    Raises ValueError if the observer does not see a clip's own class in its sampled frames, as it
    then cannot judge what removes the class.

    >>> from vidlib.rendered.something.observer import observe
    >>> from vidlib.rendered.something.scripts import compose
    >>> scene = compose(45, np.random.default_rng(0))  # moving something up
    >>> table, _ = survival({"a": scene}, {"a": 45}, observe, 8)
    >>> table["reversed_shows"].tolist()  # down
    [43]
    """
    rows: list[dict[str, object]] = []
    answers: dict[str, list[np.ndarray]] = {name: [] for name in ASKED}
    for clip_id, scene in scenes.items():
        label = labels[clip_id]
        said = observe(scene, sample_frames(len(scene), frames)[None])[0]
        if said != label:
            raise ValueError(
                f"with {frames} frames the observer takes clip {clip_id} for {said}: sample more"
            )
        row: dict[str, object] = {"clip_id": clip_id, "label": label}
        for name in ASKED:
            found = window_answers(scene, observe, frames, name)
            answers[name].append(found)
            least = minimal(removing(found, label))
            first, last = np.nonzero(least)
            row[f"{name}_shortest"] = (last - first + 1).min() if least.any() else np.nan
            row[f"{name}_minimal"] = int(least.sum())
        row["reversed_shows"] = int(found[0, -1])
        row["order_matters"] = bool(least.any())
        rows.append(row)
    return pd.DataFrame(rows), {name: np.array(a, np.int16) for name, a in answers.items()}

"""Which windows of a clip remove its class, by the ideal observer: the truth for temporal masks.

A window is a run of shown frames, first to last; freezing or reversing it is a re-ordering of the
clip's frames, of which an observer (`vidlib.rendered`) says which class it still shows.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from vidlib.data.video import sample_frames
from vidlib.explain.perturb import PERTURBATIONS, frame_order, window_masks
from vidlib.rendered.scene import Scene

NO_WINDOW = -2  # in the place of windows that would end before they begin
ASKED = ("freeze", "reverse")  # the perturbations of the paper

Observer = Callable[[Scene, np.ndarray], np.ndarray]


@functools.cache
def window_orders(length: int, perturbation: str) -> np.ndarray:
    """Return what is shown when each window of a clip is perturbed, (N, T) int64.

    N = T (T + 1) / 2 windows, in the order of `numpy.triu_indices(T)`: by first, then last frame.
    """
    masks = window_masks(*torch.triu_indices(length, length), length).float()
    return frame_order(PERTURBATIONS[perturbation](masks)).numpy()


def window_answers(scene: Scene, observe: Observer, frames: int, perturbation: str) -> np.ndarray:
    """Return which class is seen when a window is perturbed, (T, T) int64 by first and last frame.

    frames: T, how many frames are sampled of the clip. The observer's "nothing" is -1; places that
    are no window hold `NO_WINDOW`.
    """
    sampled = sample_frames(len(scene), frames)
    answers = np.full((frames, frames), NO_WINDOW)
    said = observe(scene, sampled[window_orders(frames, perturbation)])
    answers[np.triu_indices(frames)] = said
    return answers


def removing(answers: np.ndarray, label: int) -> np.ndarray:
    """Tell which windows remove a class, (T, T) bool, from the answers to all of them."""
    return (answers != label) & (answers != NO_WINDOW)


def minimal(removes: np.ndarray) -> np.ndarray:
    """Tell which of the windows that remove, (T, T) bool, contain no shorter one that does."""
    length = len(removes)
    inside = np.zeros((length + 1, length + 1), bool)  # whether any window within removes
    least = np.zeros_like(removes)
    for size in range(1, length + 1):
        for first in range(length - size + 1):
            last = first + size - 1
            within = inside[first + 1, last] or (last > 0 and inside[first, last - 1])
            least[first, last] = removes[first, last] and not within
            inside[first, last] = removes[first, last] or within
    return least


@dataclass(frozen=True)
class Survival:
    """What perturbing the windows of N clips of T frames leaves of their classes.

    freeze and reverse: (N, T, T) int16, the answers of `window_answers`. table: a row per clip,
    with clip_id, label and, for each of the two, <name>_shortest (frames of the shortest window
    that removes the class, NaN where none does) and <name>_minimal (how many minimal ones there
    are); reversed_shows (what is seen when the whole clip is reversed, -1 for nothing);
    order_matters (whether reversing some window removes the class).
    """

    table: pd.DataFrame
    freeze: np.ndarray
    reverse: np.ndarray


def survival(
    scenes: dict[str, Scene], labels: dict[str, int], observe: Observer, frames: int
) -> Survival:
    """Return which windows remove the classes of some clips, whose scenes come by clip_id.

    Raises ValueError where the observer does not see a clip's own class in its sampled frames: then
    it is no judge of what is left of it.
    """
    rows, answers = [], {name: [] for name in ASKED}
    for clip_id, scene in scenes.items():
        label = labels[clip_id]
        said = observe(scene, sample_frames(len(scene), frames)[None])[0]
        if said != label:
            raise ValueError(
                f"the observer takes clip {clip_id}, of class {label}, for {said} when it is shown "
                f"{frames} of its {len(scene)} frames: sample more frames"
            )
        row = {"clip_id": clip_id, "label": label}
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
    stacked = {name: np.array(found, np.int16) for name, found in answers.items()}
    return Survival(pd.DataFrame(rows), **stacked)

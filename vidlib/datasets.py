"""The data sets by name: who reads them and, of the rendered ones, who renders and who judges.

Functions are named, not imported: a stage depends on the code of its own data set alone.
"""

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class DataSet:
    """One data set.

    reader, renderer, observer: functions as "module:name"; only rendered sets have the last two.
    original: which of the paper's data sets it is like, "something" or "kth": profiles differ.
    sized: whether `render_size` says how large it is rendered. kind: which of the renderer's sets
    this is, where it has several. classes: how many, where it is rendered. mirrored: whether
    classes come in pairs that only direction tells apart. most: clips of a class that it can have,
    in training and in validation.
    """

    reader: str
    renderer: str = ""
    observer: str = ""
    original: str = "something"
    sized: bool = True
    kind: str = ""
    classes: int = 0
    mirrored: bool = False
    most: tuple[int, int] = (6250, 6250)

    @property
    def planted(self) -> bool:
        """Whether planted markers alone decide."""
        return self.kind.startswith("cue")

    @property
    def rendered(self) -> bool:
        """Whether the study renders it, so that its truth is known."""
        return bool(self.renderer)


SOMETHING = "vidlib.data.something:read_something"
KTH = "vidlib.data.kth:read_kth"
CUES = ("vidlib.rendered.cues:render_cues", "vidlib.rendered.cues:observe")
DATASETS = {
    "something-mini": DataSet(
        SOMETHING,
        "vidlib.rendered.something_mini:render_something_mini",
        "vidlib.rendered.observer:observe",
        classes=16,
        mirrored=True,
    ),
    "kth-mini": DataSet(
        KTH,
        "vidlib.rendered.kth_mini:render_kth_mini",
        "vidlib.rendered.kth_observer:observe",
        original="kth",
        sized=False,
        classes=6,
        most=(256, 144),
    ),
    "cue-marker": DataSet(SOMETHING, *CUES, kind="cue-marker", classes=4),
    "cue-order": DataSet(SOMETHING, *CUES, kind="cue-order", classes=2),
    "something": DataSet(SOMETHING),
    "kth": DataSet(KTH, original="kth"),
}


def module_of(function: str) -> str:
    """Return the module of a function named as "module:name"."""
    return function.partition(":")[0]


def function_of(function: str) -> Callable:
    """Return a function named as "module:name"."""
    return getattr(importlib.import_module(module_of(function)), function.partition(":")[2])


def read_index(dataset: str, files: Path) -> pd.DataFrame:
    """Return the index of a data set's files, by the reader of its layout."""
    return function_of(DATASETS[dataset].reader)(files)


def observer_of(dataset: str) -> Callable:
    """Return the ideal observer of a rendered data set: (scene, orders) to labels."""
    return function_of(DATASETS[dataset].observer)


def render_dataset(
    dataset: str, folder: Path, clips_per_class: dict[str, int], size: int | None, seed: int
) -> None:
    """Render a data set into a folder by all cores; size: pixels a side, where it is `sized`."""
    one = DATASETS[dataset]
    options = {"size": size} if one.sized else {}
    options |= {"kind": one.kind} if one.kind else {}
    processes = os.cpu_count() or 1
    function_of(one.renderer)(
        folder, clips_per_class=clips_per_class, seed=seed, processes=processes, **options
    )

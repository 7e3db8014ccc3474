"""The data sets by name: what reads each, and what renders and judges the rendered ones.

Any other folder beside those of the originals is a set of one's own, in the layout of either.

The table `tables/datasets.yaml` lists them. Functions are named there, not imported: a stage
depends on the code of its own data set only.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from vidlib import check
from vidlib.named import read_table

KTH_LIST = "00sequences.txt"


@dataclass(frozen=True)
class DataSet:
    """One data set.

    reader, renderer, observer: functions as "module:name"; only rendered sets have the last two.
    original: which of the paper's data sets it is like, "something" or "kth": profiles differ.
    sized: whether `render_size` sets its size. kind: which of the renderer's sets it is, if that
    has several. classes: their number, if it is rendered. mirrored: whether classes come in pairs
    that only direction tells apart. most: the most clips of a class that it can have, in training
    and in validation. how_to_get: of an original, the name ("module:name") of the sentence that
    says where its files come from.
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
    how_to_get: str = ""

    @property
    def planted(self) -> bool:
        """Whether planted markers alone decide."""
        return self.kind.startswith("cue")

    @property
    def rendered(self) -> bool:
        """Whether the study renders it, so that its truth is known."""
        return bool(self.renderer)


def data_set(name: str, data: Path) -> DataSet:
    """Return a data set by its name: one of `DATASETS`, or one's own, a folder in `data`.

    A folder with KTH's list, `KTH_LIST`, is read as KTH Actions, others as Something-something.
    Raises ValueError for a name that is neither.

    >>> data_set("something-min", Path())
    Traceback (most recent call last):
    ValueError: dataset is 'something-min' (did you mean 'something-mini'?): ...
    """
    folder = Path(data) / str(name)
    if name in DATASETS:
        return DATASETS[name]
    if not folder.is_dir() or folder.name != name:
        raise ValueError(check.unknown("dataset", name, (*DATASETS, f"a folder in {data}")))
    if any(name.lower() == KTH_LIST for _, _, names in os.walk(folder) for name in names):
        return replace(DATASETS["kth"], reader="vidlib.data.kth:read_own")
    return DATASETS["something"]


DATASETS = {name: DataSet(**entry) for name, entry in read_table("datasets.yaml").items()}

"""The data sets by name: what reads each, and what renders and judges the rendered ones.

The table `tables/datasets.yaml` lists them. Functions are named there, not imported: a stage
depends on the code of its own data set only.
"""

from dataclasses import dataclass

from vidlib.named import read_table


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


DATASETS = {name: DataSet(**entry) for name, entry in read_table("datasets.yaml").items()}

"""The data sets by name: what reads each, and what renders and judges the rendered ones.

Functions are named, not imported: a stage depends on the code of its own data set only.
"""

from dataclasses import dataclass


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


SOMETHING = "vidlib.data.something:read_something"
KTH = "vidlib.data.kth:read_kth"
CUES = ("vidlib.rendered.cues:render_cues", "vidlib.rendered.cues:observe")
DATASETS = {
    "something-mini": DataSet(
        SOMETHING,
        "vidlib.rendered.something.render:render_something_mini",
        "vidlib.rendered.something.observer:observe",
        classes=16,
        mirrored=True,
    ),
    "kth-mini": DataSet(
        KTH,
        "vidlib.rendered.kth.render:render_kth_mini",
        "vidlib.rendered.kth.observer:observe",
        original="kth",
        sized=False,
        classes=6,
        most=(256, 144),
    ),
    "cue-marker": DataSet(SOMETHING, *CUES, kind="cue-marker", classes=4),
    "cue-order": DataSet(SOMETHING, *CUES, kind="cue-order", classes=2),
    "something": DataSet(SOMETHING, how_to_get="vidlib.data.something:HOW_TO_GET"),
    "kth": DataSet(KTH, original="kth", how_to_get="vidlib.data.kth:HOW_TO_GET"),
}

"""Figures for notebooks and the book: clips that play, charts that read in both themes."""

from vidlib.show.accuracy import arrow_chart, class_drops_chart, distinct_chart, table_1
from vidlib.show.anatomy import costs_chart, reach_chart
from vidlib.show.chart import COLOURS, Chart, chart
from vidlib.show.figures import (
    TITLES,
    bars_by_network,
    clips_player,
    confusion,
    difference_chart,
    explanation_player,
    frames_after,
    landscape_chart,
    learning_curves,
    mask_chart,
    reversal_table,
    right_and_wrong_player,
    short,
)
from vidlib.show.player import Player, Row, overlay, player, upscale
from vidlib.show.scrubber_figure import (
    Answers,
    ScrubberFigure,
    mask_scrubber,
    scrubber_figure,
)
from vidlib.show.sentences import (
    estimate,
    on_arrow,
    on_distinct,
    on_intervals,
    on_reversal,
    on_training,
    versus,
)
from vidlib.show.sheet import Sheet, contact_sheet
from vidlib.show.truth import (
    native_clip,
    outlined,
    shares_chart,
    survival_chart,
    truth_player,
    windows_player,
)

__all__ = [
    "COLOURS",
    "TITLES",
    "Answers",
    "Chart",
    "Player",
    "Row",
    "ScrubberFigure",
    "Sheet",
    "arrow_chart",
    "bars_by_network",
    "chart",
    "class_drops_chart",
    "clips_player",
    "confusion",
    "contact_sheet",
    "costs_chart",
    "difference_chart",
    "distinct_chart",
    "estimate",
    "explanation_player",
    "frames_after",
    "landscape_chart",
    "learning_curves",
    "mask_chart",
    "mask_scrubber",
    "native_clip",
    "on_arrow",
    "on_distinct",
    "on_intervals",
    "on_reversal",
    "on_training",
    "outlined",
    "overlay",
    "player",
    "reach_chart",
    "reversal_table",
    "right_and_wrong_player",
    "scrubber_figure",
    "shares_chart",
    "short",
    "survival_chart",
    "table_1",
    "truth_player",
    "upscale",
    "versus",
    "windows_player",
]

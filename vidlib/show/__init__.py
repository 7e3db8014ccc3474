"""Figures for notebooks and the book: clips that play, charts that read in both themes."""

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
from vidlib.show.sentences import versus
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
    "Chart",
    "Player",
    "Row",
    "Sheet",
    "bars_by_network",
    "chart",
    "clips_player",
    "confusion",
    "contact_sheet",
    "costs_chart",
    "difference_chart",
    "explanation_player",
    "frames_after",
    "landscape_chart",
    "learning_curves",
    "mask_chart",
    "native_clip",
    "outlined",
    "overlay",
    "player",
    "reach_chart",
    "reversal_table",
    "right_and_wrong_player",
    "shares_chart",
    "short",
    "survival_chart",
    "truth_player",
    "upscale",
    "versus",
    "windows_player",
]

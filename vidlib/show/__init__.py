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
    explanation_row,
    frames_after,
    learning_curves,
    maps_player,
    reversal_table,
    right_and_wrong_player,
    short,
)
from vidlib.show.gallery import Card, Gallery, gallery
from vidlib.show.masks import (
    gaps_chart,
    landscape_chart,
    learning_chart,
    perturbations_chart,
    score_by_length,
)
from vidlib.show.player import Player, Row, overlay, player, upscale
from vidlib.show.scrubber_figure import (
    Answers,
    ScrubberFigure,
    mask_scrubber,
    most_harmed,
    scrubber_figure,
)
from vidlib.show.seeds import on_seeds, seeds_chart
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
from vidlib.show.truth_figures import (
    native_clip,
    outlined,
    shares_chart,
    survival_chart,
    truth_player,
    windows_player,
)

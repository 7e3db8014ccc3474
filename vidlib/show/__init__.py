"""Figures for notebooks and the book: clips that play, charts for light and dark themes."""

from vidlib.show.accuracy import shares_chart, table_1
from vidlib.show.anatomy import reach_chart
from vidlib.show.chart import COLOURS, Chart, chart
from vidlib.show.clips import clips_player, explanation_player, explanation_row, frames_after
from vidlib.show.explanations import bars_by_network, landscape_chart
from vidlib.show.gallery import gallery, gallery_of
from vidlib.show.names import TITLES, short
from vidlib.show.player import Row, overlay, player, upscale
from vidlib.show.scrubber_figure import Answers, mask_scrubber, most_harmed, scrubber_figure
from vidlib.show.sentences import estimate, versus
from vidlib.show.sprites import Figure
from vidlib.show.truth_figures import native_clip, outlined, truth_player

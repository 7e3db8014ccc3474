"""Figures for notebooks and the book: clips that play, charts that read in both themes."""

from vidlib.show.chart import Chart, chart
from vidlib.show.player import Player, Row, overlay, player, upscale

__all__ = ["Chart", "Player", "Row", "chart", "overlay", "player", "upscale"]

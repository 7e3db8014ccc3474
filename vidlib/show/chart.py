"""Plotly charts that share one script per book and are readable in the light and dark theme."""

import json
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from vidlib import check
from vidlib.show.sprites import WEB, element

TEXT = "#7d858f"  # readable on white and on black, for pages that set no text colour
GRID = "rgba(128, 128, 128, 0.25)"
CLEAR = "rgba(0, 0, 0, 0)"
# Okabe and Ito's colours, without black and the pale yellow: colour-blind readers can tell them
# apart.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
DOTTED = {"line_dash": "dot", "line_color": "gray"}  # a line for chance or another reference
LINES = dict.fromkeys(("gridcolor", "zerolinecolor", "linecolor"), GRID)
AXIS = {**LINES, "automargin": True, "title": {"standoff": 8}}
TEMPLATE = go.layout.Template(
    layout={
        "colorway": COLOURS,
        "xaxis": AXIS,
        "yaxis": AXIS,
        "margin": {"l": 56, "r": 16, "t": 48, "b": 48},
        "height": 380,
        "modebar": {"bgcolor": CLEAR, "color": GRID, "activecolor": TEXT},
        "title": {"x": 0, "xref": "paper"},
        "legend": {"bgcolor": CLEAR, "orientation": "h", "x": 0, "y": 0, "yref": "container",
                   "yanchor": "bottom"},
    }
)  # fmt: skip
# Not "responsive": in the book chart.js sets it; in JupyterLab, which resizes charts itself, such
# charts would take all of its height.
CONFIG = {"displaylogo": False}


@dataclass(frozen=True)
class Chart:
    """A chart shown by JupyterLab (plotly's own renderer) and by the book; see :func:`chart`."""

    figure: dict
    alt: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        script = (WEB / "chart.js").read_text(encoding="utf-8")
        return {
            "application/vnd.plotly.v1+json": self.figure,
            "text/html": element("plotly-chart", self.figure, self.alt, script),
            "text/plain": f"<Chart: {self.alt}>",
        }


def chart(fig: go.Figure, *, alt: str) -> Chart:
    """Return the figure in a form that fits notebook and book; ``alt`` says in words what it shows.

    The background becomes transparent and text takes the colour of the page; data, titles, sizes
    and explicit colours do not change. ``fig`` itself does not change. In the book the script
    ``plotly.min.js`` is loaded from the book's root, once for all charts. Raises ValueError if
    ``fig`` is not a plotly figure or ``alt`` is empty.

    >>> chart(go.Figure(go.Scatter(y=[1, 2])), alt="A rising line.").figure["layout"]["height"]
    380
    """
    if not isinstance(fig, go.Figure):
        raise ValueError(f"fig is a {type(fig).__name__}: give a plotly Figure")
    check.filled("alt", alt, "words that say what the chart shows")
    themed = go.Figure(fig).update_layout(
        template=TEMPLATE,
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font_color=TEXT,
        height=fig.layout.height or TEMPLATE.layout.height,
    )
    return Chart({**json.loads(themed.to_json()), "config": CONFIG}, alt)


def whiskers(values: Any, low: Any, high: Any) -> dict:
    """Return plotly's error bars from low to high, arrays of the values' length.

    >>> whiskers(5, 3, 6)
    {'array': 1, 'arrayminus': 2}
    """
    return {"array": high - values, "arrayminus": values - low}

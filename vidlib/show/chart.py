"""Plotly charts that share one script per book and read in the light and the dark theme."""

import html
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import plotly.graph_objects as go

TEXT = "#7d858f"  # where no page lends its own text colour: readable on white and on black
GRID = "rgba(128, 128, 128, 0.25)"
CLEAR = "rgba(0, 0, 0, 0)"
# Okabe and Ito's colours, without black and the pale yellow: told apart by colour-blind readers.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
AXIS = {
    "gridcolor": GRID,
    "zerolinecolor": GRID,
    "linecolor": GRID,
    "automargin": True,
    "title": {"standoff": 8},
}
TEMPLATE = go.layout.Template(
    layout={
        "colorway": COLOURS,
        "xaxis": AXIS,
        "yaxis": AXIS,
        "margin": {"l": 56, "r": 16, "t": 48, "b": 48},
        "height": 380,
        "modebar": {"bgcolor": CLEAR, "color": GRID, "activecolor": TEXT},
        "title": {"x": 0, "xref": "paper"},
        "legend": {
            "bgcolor": CLEAR,
            "orientation": "h",
            "x": 0,
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
        },
    }
)
# Not "responsive": chart.js says so for the book; in JupyterLab, which resizes charts of itself, it
# takes all their height.
CONFIG = {"displaylogo": False}
WEB = Path(__file__).parent / "web"  # the scripts


@dataclass(frozen=True)
class Chart:
    """A chart shown by JupyterLab (plotly's own renderer) and by the book; see :func:`chart`."""

    figure: dict
    alt: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        data = html.escape(json.dumps(self.figure, ensure_ascii=False))
        alt = html.escape(self.alt)
        return {
            "application/vnd.plotly.v1+json": self.figure,
            "text/html": (
                f'<plotly-chart role="figure" aria-label="{alt}" style="display: block" '
                f'data-figure="{data}"><noscript>{alt}</noscript></plotly-chart><script>{_script()}</script>'
            ),
            "text/plain": f"<Chart: {self.alt}>",
        }


def chart(fig: go.Figure, *, alt: str) -> Chart:
    """Return the figure made fit for notebook and book; ``alt`` says in words what it shows.

    The background becomes transparent and text takes the colour of the page; data, titles, sizes
    and explicit colours stay as they are. ``fig`` itself is not changed. In the book the script
    ``plotly.min.js`` is loaded from the book's root, once for all charts. Raises ValueError if
    ``fig`` is no plotly figure or ``alt`` is empty.
    """
    if not isinstance(fig, go.Figure):
        raise ValueError(f"fig is a {type(fig).__name__}: give a plotly Figure")
    if not alt.strip():
        raise ValueError("alt is empty: say in words what the chart shows")
    themed = go.Figure(fig).update_layout(
        template=TEMPLATE,
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font_color=TEXT,
        height=fig.layout.height or TEMPLATE.layout.height,
    )
    return Chart({**json.loads(themed.to_json()), "config": CONFIG}, alt)


@cache
def _script() -> str:
    return (WEB / "chart.js").read_text(encoding="utf-8")

"""A chart of which frames the layers of a network depend on."""

from collections.abc import Mapping

import numpy as np
from plotly.subplots import make_subplots

from vidlib.show.chart import COLOURS, Chart, chart


def reach_chart(reaches: Mapping[str, np.ndarray], title: str) -> Chart:
    """Return which frames the steps of some layers depend on, a panel per layer.

    reaches: (T', T) bool by layer, as `vidlib.models.temporal_reach` returns it.

    >>> reach_chart({"lstm": np.tri(4, dtype=bool)}, "C-LSTM").alt
    'Which frames each time step of C-LSTM depends on: lstm never looks ahead.'
    """
    names = list(reaches)
    fig = make_subplots(1, len(names), subplot_titles=names, horizontal_spacing=0.06)
    scale = [[0, "rgba(128, 128, 128, 0.12)"], [1, COLOURS[0]]]
    template = "step %{y} %{customdata} frame %{x}<extra></extra>"
    told = []
    for column, (name, reach) in enumerate(reaches.items(), 1):
        steps, frames = reach.shape
        cells = {"z": reach.astype(int), "zmin": 0, "zmax": 1, "xgap": 1, "ygap": 1}
        at = {"x": np.arange(1, frames + 1), "y": np.arange(1, steps + 1), "colorscale": scale}
        words = np.where(reach, "depends on", "does not depend on")
        hover = {"customdata": words, "hovertemplate": template}
        fig.add_heatmap(**cells, **at, **hover, showscale=False, row=1, col=column)
        stride = 2 ** round(np.log2(frames / steps))  # frames per step
        ahead = any(reach[t, (t + 1) * stride :].any() for t in range(steps))
        told.append(f"{name} {'looks' if ahead else 'never looks'} ahead")
    fig.update_xaxes(title_text="frame")
    fig.update_yaxes(autorange="reversed")
    fig.update_yaxes(title_text="step", col=1)
    fig.update_layout(height=330)
    return chart(fig, alt=f"Which frames each time step of {title} depends on: {'; '.join(told)}.")

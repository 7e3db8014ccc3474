"""Charts of a network: its layers, their costs, and which frames they depend on."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from vidlib.show.chart import COLOURS, Chart, chart, panels


def costs_chart(costs: pd.DataFrame, title: str) -> Chart:
    """Return a network's layers from top to bottom: shapes, shares of parameters and arithmetic.

    costs: as `vidlib.models.layer_costs` returns it. title: the network's name.

    >>> layer = {"layer": "conv", "output": (8, 4), "parameters": 10, "gflop": 0.5}
    >>> costs_chart(pd.DataFrame([layer]), "I3D").figure["data"][0]["y"]
    ['conv  8×4']
    """
    titles = ("share of its parameters", "share of its arithmetic")
    fig = panels(titles, shared_yaxes=True, horizontal_spacing=0.03)
    shapes = costs["output"].map(lambda shape: "×".join(map(str, shape)))
    columns = (("parameters", "{:,.0f} parameters"), ("gflop", "{:.3f} GFLOP"))
    for column, (what, form) in enumerate(columns, 1):
        share, words = costs[what] / max(costs[what].sum(), 1e-12), costs[what].map(form.format)
        bars = {"x": share, "y": costs["layer"] + "  " + shapes, "customdata": words}
        hover = {"hovertemplate": "%{y}: %{customdata}<extra></extra>", "orientation": "h"}
        fig.add_bar(**bars, **hover, marker_color=COLOURS[column - 1], row=1, col=column)
    fig.update_traces(showlegend=False)
    fig.update_yaxes(autorange="reversed", tickfont={"size": 11})
    fig.update_xaxes(tickformat=".0%", rangemode="tozero")
    fig.update_layout(height=120 + 22 * len(costs))
    most, busiest = (costs.loc[costs[what].idxmax(), "layer"] for what, _ in columns)
    alt = (
        f"Layers of {title} with the shapes of their outputs. Most parameters: {most}; most "
        f"arithmetic: {busiest}."
    )
    return chart(fig, alt=alt)


def reach_chart(reaches: Mapping[str, np.ndarray], title: str) -> Chart:
    """Return which frames the steps of some layers depend on, a panel per layer.

    reaches: (T', T) bool by layer, as `vidlib.models.temporal_reach` returns it.

    >>> reach_chart({"lstm": np.tri(4, dtype=bool)}, "C-LSTM").alt
    'Which frames each time step of C-LSTM depends on: lstm never looks ahead.'
    """
    fig = panels(reaches, horizontal_spacing=0.06)
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

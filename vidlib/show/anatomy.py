"""Drawings of a network: its layers, what they cost, and which frames they depend on."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from vidlib.show.chart import COLOURS, Chart, chart


def costs_chart(costs: pd.DataFrame, title: str) -> Chart:
    """Return a network's layers from top to bottom: shapes, share of parameters, of arithmetic.

    costs: as `vidlib.models.layer_costs` returns it. title: the network's name.
    """
    fig = make_subplots(
        1, 2, shared_yaxes=True, horizontal_spacing=0.03,
        subplot_titles=("share of its parameters", "share of its arithmetic"),
    )  # fmt: skip
    shapes = ["×".join(map(str, shape)) for shape in costs["output"]]
    labels = [f"{layer}  {shape}" for layer, shape in zip(costs["layer"], shapes, strict=True)]
    columns = (("parameters", "{:,.0f} parameters"), ("gflop", "{:.3f} GFLOP"))
    for column, (what, form) in enumerate(columns, 1):
        fig.add_bar(
            x=costs[what] / max(costs[what].sum(), 1e-12),
            y=labels,
            orientation="h",
            marker_color=COLOURS[column - 1],
            customdata=[form.format(value) for value in costs[what]],
            hovertemplate="%{y}: %{customdata}<extra></extra>",
            showlegend=False,
            row=1,
            col=column,
        )
    fig.update_yaxes(autorange="reversed", tickfont={"size": 11})
    fig.update_xaxes(tickformat=".0%", rangemode="tozero")
    fig.update_layout(height=120 + 22 * len(costs))
    most = costs.loc[costs["parameters"].idxmax(), "layer"]
    busiest = costs.loc[costs["gflop"].idxmax(), "layer"]
    return chart(
        fig,
        alt=f"Layers of {title} with the shapes of their outputs. Most parameters: {most}; most "
        f"arithmetic: {busiest}.",
    )


def reach_chart(reaches: Mapping[str, np.ndarray], title: str) -> Chart:
    """Return which frames the steps of some layers depend on, a panel per layer.

    reaches: (T', T) bool by layer, as `vidlib.models.temporal_reach` returns it.
    """
    fig = make_subplots(1, len(reaches), subplot_titles=list(reaches), horizontal_spacing=0.06)
    told = []
    for column, (name, reach) in enumerate(reaches.items(), 1):
        steps, frames = reach.shape
        fig.add_heatmap(
            z=reach.astype(int),
            x=np.arange(1, frames + 1),
            y=np.arange(1, steps + 1),
            zmin=0,
            zmax=1,
            xgap=1,
            ygap=1,
            colorscale=[[0, "rgba(128, 128, 128, 0.12)"], [1, COLOURS[0]]],
            showscale=False,
            customdata=np.where(reach, "depends on", "does not depend on"),
            hovertemplate="step %{y} %{customdata} frame %{x}<extra></extra>",
            row=1,
            col=column,
        )
        stride = 2 ** round(np.log2(frames / steps))  # what a step stands for
        ahead = any(reach[t, (t + 1) * stride :].any() for t in range(steps))
        told.append(f"{name} {'looks' if ahead else 'never looks'} ahead")
        fig.update_xaxes(title_text="frame", row=1, col=column)
    fig.update_yaxes(autorange="reversed")
    fig.update_yaxes(title_text="step", row=1, col=1)
    fig.update_layout(height=330)
    return chart(fig, alt=f"Which frames each time step of {title} depends on: {'; '.join(told)}.")

"""What other trainings gave: a dot per training seed, beside each other, and the same in words."""

import pandas as pd
import plotly.graph_objects as go

from vidlib.show.chart import COLOURS, Chart, chart
from vidlib.show.figures import TITLES


def seeds_chart(values: pd.DataFrame, axis: str) -> Chart:
    """Return a dot per training, a line at their mean, for each measure and network.

    values: a row per training with the columns network ("i3d", "clstm"), measure, train_seed and
    value.
    """
    fig = go.Figure()
    for colour, (network, title) in zip(COLOURS, TITLES.items(), strict=False):
        rows = values[values["network"] == network]
        lines = [rows["measure"] + "<br>" + title, rows["value"]]
        means = rows.groupby("measure", sort=False)["value"].mean()
        fig.add_scatter(
            name=title,
            x=lines[1],
            y=lines[0],
            mode="markers",
            marker={"color": colour, "size": 9, "opacity": 0.6},
            customdata=rows["train_seed"],
            hovertemplate="seed %{customdata}: %{x:.3f}<extra></extra>",
        )
        fig.add_scatter(
            x=means,
            y=means.index + "<br>" + title,
            mode="markers",
            marker={"color": colour, "symbol": "line-ns", "size": 22, "line": {"width": 2}},
            marker_line_color=colour,
            hovertemplate="mean %{x:.3f}<extra></extra>",
            showlegend=False,
        )
    measures = values["measure"].unique()
    order = [f"{m}<br>{title}" for m in measures for title in TITLES.values()]
    fig.update_yaxes(categoryorder="array", categoryarray=order[::-1])
    fig.update_xaxes(title_text=axis)
    fig.update_layout(height=120 + 44 * len(order), showlegend=False)
    said = "; ".join(on_seeds(values, m, ".2f") for m in measures)
    return chart(fig, alt=f"{axis}, a dot per training seed. {said}")


def on_seeds(values: pd.DataFrame, measure: str, form: str) -> str:
    """Say what a measure is over training seeds, for both networks, and in how many which leads."""
    table = values[values["measure"] == measure].pivot_table(
        index="train_seed", columns="network", values="value"
    )
    told = [
        f"{title} {table[name].mean():{form}} ({table[name].min():{form}} to "
        f"{table[name].max():{form}})"
        for name, title in TITLES.items()
    ]
    ahead = int((table["i3d"] > table["clstm"]).sum())
    return (
        f"{measure}: {', '.join(told)} over {len(table)} training seeds; I3D's is the higher in "
        f"{ahead} of {len(table)}."
    )

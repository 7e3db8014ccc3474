"""Figures that compare the networks: means with intervals, differences, and training seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vidlib.compare.intervals import bootstrap_interval
from vidlib.show.chart import COLOURS, DOTTED, Chart, chart, whiskers
from vidlib.show.names import TITLES


def bars_by_network(
    clips: pd.DataFrame, measures: Sequence[str], axis: str, reference: float | None = None
) -> Chart:
    """Return the mean of measures per network, with 95 % bootstrap intervals over clips.

    clips: a row per clip and network, with a column network. reference: a value to compare with,
    drawn as a line. Measures without any value are left out.

    >>> clips = pd.DataFrame({"network": ["I3D", "I3D", "C-LSTM"], "length": [4, 6, 2]})
    >>> bars_by_network(clips, ["length"], "frames").alt
    'Means by network of frames. I3D, length: 5.00; C-LSTM, length: 2.00.'
    """
    measures = [m for m in measures if clips[m].notna().any()]
    fig = go.Figure()
    said = []
    for network in TITLES.values():
        values = clips[clips["network"] == network]
        means = np.array([values[m].mean() for m in measures])
        ends = np.array([bootstrap_interval(values[m].to_numpy(), 0) for m in measures])
        names, bars = [m.replace("_", " ") for m in measures], whiskers(means, *ends.T)
        fig.add_bar(name=network, x=names, y=means, error_y=bars)
        said += [f"{network}, {m}: {v:.2f}" for m, v in zip(measures, means, strict=True)]
    if reference is not None:
        fig.add_hline(y=reference, **DOTTED)
    fig.update_yaxes(title_text=axis, rangemode="tozero")
    fig.update_layout(barmode="group", height=320)
    return chart(fig, alt=f"Means by network of {axis}. {'; '.join(said)}.")


def difference_chart(differences: pd.DataFrame) -> Chart:
    """Return I3D minus C-LSTM per measure, in standard deviations, with its interval.

    differences: as `vidlib.compare.paired_difference` returns it.

    >>> row = {"measure": "OS", "difference": 0.2, "low": 0.1, "high": 0.3, "std": 0.5}
    >>> difference_chart(pd.DataFrame([row])).alt
    'Paired differences of the networks: OS +0.20 (+0.10 to +0.30).'
    """
    scale = differences["std"].where(differences["std"] > 0)
    centre, low, high = (differences[name] / scale for name in ("difference", "low", "high"))
    names, dot = differences["measure"].str.replace("_", " "), {"size": 10}
    bars = whiskers(centre, low, high)
    fig = go.Figure(go.Scatter(x=centre, y=names, mode="markers", marker=dot, error_x=bars))
    fig.add_vline(x=0, **DOTTED)
    fig.update_xaxes(title_text="I3D minus C-LSTM, in standard deviations of the difference")
    fig.update_yaxes(autorange="reversed")
    said = [
        f"{row.measure} {row.difference:+.2f} ({row.low:+.2f} to {row.high:+.2f})"
        for row in differences.itertuples()
    ]
    return chart(fig, alt=f"Paired differences of the networks: {'; '.join(said)}.")


def seeds_chart(values: pd.DataFrame, axis: str) -> Chart:
    """Return a dot per training and a line at their mean, for each measure and network.

    values: a row per training with the columns network ("i3d", "clstm"), measure, train_seed and
    value.

    >>> rows = [("i3d", "F1", 0, 0.8), ("clstm", "F1", 0, 0.6)]
    >>> values = pd.DataFrame(rows, columns=["network", "measure", "train_seed", "value"])
    >>> [trace["y"] for trace in seeds_chart(values, "score").figure["data"]][::2]
    [['F1<br>I3D'], ['F1<br>C-LSTM']]
    """
    fig = go.Figure()
    for colour, (network, title) in zip(COLOURS, TITLES.items(), strict=False):
        rows = values[values["network"] == network]
        means = rows.groupby("measure", sort=False)["value"].mean()
        dot, line = {"color": colour, "size": 9, "opacity": 0.6}, {"width": 2, "color": colour}
        bar = {"color": colour, "symbol": "line-ns", "size": 22, "line": line}
        seeds, hover = rows["train_seed"], "seed %{customdata}: %{x:.3f}<extra></extra>"
        at = {"x": rows["value"], "y": rows["measure"] + "<br>" + title, "mode": "markers"}
        fig.add_scatter(**at, name=title, marker=dot, customdata=seeds, hovertemplate=hover)
        at |= {"x": means, "y": means.index + "<br>" + title}
        fig.add_scatter(**at, marker=bar, hovertemplate="mean %{x:.3f}<extra></extra>")
    measures = values["measure"].unique()
    order = [f"{m}<br>{title}" for m in measures for title in TITLES.values()]
    fig.update_yaxes(categoryorder="array", categoryarray=order[::-1])
    fig.update_xaxes(title_text=axis)
    fig.update_layout(height=120 + 44 * len(order), showlegend=False)
    said = "; ".join(on_seeds(values, m, ".2f") for m in measures)
    return chart(fig, alt=f"{axis}, a dot per training seed. {said}")


def on_seeds(values: pd.DataFrame, measure: str, form: str) -> str:
    """Say what a measure is over training seeds, for both networks, and how often I3D's is higher.

    values: as `seeds_chart` takes them. form: how numbers are written, such as ".2f".

    >>> rows = [("i3d", "F1", 0, 0.8), ("clstm", "F1", 0, 0.6)]
    >>> values = pd.DataFrame(rows, columns=["network", "measure", "train_seed", "value"])
    >>> on_seeds(values, "F1", ".1f")
    "F1: I3D 0.8 (0.8 to 0.8), C-LSTM 0.6 (0.6 to 0.6) over 1 training seeds; I3D's is the higher
    in 1 of 1."
    """
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

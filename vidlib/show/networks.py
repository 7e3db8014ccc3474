"""A figure that compares the networks: means with intervals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vidlib.compare.intervals import bootstrap_interval
from vidlib.show.chart import DOTTED, Chart, chart, whiskers
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

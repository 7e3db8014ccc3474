"""Charts of explanations: how masks are learned, what all windows leave, means by network."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go

from vidlib.compare.intervals import bootstrap_interval
from vidlib.show.chart import DOTTED, Chart, chart, whiskers
from vidlib.show.names import TITLES, short


def landscape_chart(
    landscape: np.ndarray, name: str, mask: np.ndarray | None = None, doing: str = "freezing"
) -> Chart:
    """Return the score that remains, (T, T), by first and last frame of the perturbed window.

    NaN where none was tried; first and last frames that no window has are left out. name: the
    clip's class. mask: (T,); the window from its first to its last frame above 0.5 is marked.
    doing: the perturbation, in words.

    >>> landscape_chart(np.array([[0.9, 0.2], [np.nan, 0.8]]), "Boxing").figure["data"][0]["type"]
    'heatmap'
    """
    firsts, lasts = (np.flatnonzero(~np.isnan(landscape).all(axis)) for axis in (1, 0))
    axes = {"x": firsts + 1, "y": lasts + 1, "origin": "lower", "aspect": "equal"}
    axes["labels"] = {"x": "first frame", "y": "last frame", "color": "score"}
    colours = {"zmin": 0, "zmax": 1, "color_continuous_scale": "Viridis"}
    fig = px.imshow(landscape[np.ix_(firsts, lasts)].T, **axes, **colours)
    fig.update_traces(hovertemplate="frames %{x} to %{y}: %{z:.3f}<extra></extra>")
    first, last = np.unravel_index(np.nanargmin(landscape), landscape.shape)
    alt = (
        f"Score of a clip of {short(name)} by the stretch that {doing} acts on; it is least for "
        f"frames {first + 1} to {last + 1}."
    )
    if mask is not None and (mask > 0.5).any():
        on = np.flatnonzero(mask > 0.5) + 1
        cross = {"size": 14, "symbol": "x", "color": "#fff", "line": {"color": "#000", "width": 2}}
        fig.add_scatter(x=[on[0]], y=[on[-1]], mode="markers", name="the mask", marker=cross)
        alt += f" The mask reaches from frame {on[0]} to {on[-1]}."
    title = f"{doing.capitalize().replace('_', ' ')}: {short(name)}"
    fig.update_layout(title_text=title, height=460)
    return chart(fig, alt=alt)


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

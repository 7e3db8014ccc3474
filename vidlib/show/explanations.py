"""Charts of explanations: how masks are learned, what all windows leave, means by network."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go

from vidlib.compare.intervals import bootstrap_interval
from vidlib.show.chart import COLOURS, DOTTED, Chart, chart, panels, whiskers
from vidlib.show.names import TITLES, short

PICTURES = 60  # of an animation, at most


def learning_chart(path: np.ndarray, losses: np.ndarray, name: str) -> Chart:
    """Return an animation of how a mask is learned: its values by frame, its loss by step.

    path: (S, T) masks in [0, 1] by step; losses: (S,). Steps that are NaN are left out. name: the
    clip's class.

    >>> learning_chart(np.eye(2), np.array([0.5, 0.2]), "Boxing").alt
    'How the mask of a clip of Boxing is learned in 1 steps: its loss goes from 0.500 to 0.200.'
    """
    steps = np.flatnonzero(~np.isnan(losses))
    shown = np.unique(np.linspace(0, len(steps) - 1, min(PICTURES, len(steps))).round().astype(int))
    frames = np.arange(1, path.shape[1] + 1)
    fig = panels(("mask", "loss"), column_widths=[0.55, 0.45])
    fig.add_bar(x=frames, y=path[0], marker_color=COLOURS[1], row=1, col=1)
    fig.add_scatter(x=steps, y=losses[steps], line_color=COLOURS[0], row=1, col=2)
    here = {"size": 12, "color": COLOURS[1]}
    fig.add_scatter(x=[0], y=losses[:1], mode="markers", marker=here, row=1, col=2)
    fig.update_traces(showlegend=False)
    pictures = {s: [go.Bar(y=path[s]), go.Scatter(x=[s], y=[losses[s]])] for s in steps[shown]}
    fig.frames = [go.Frame(name=str(s), data=data, traces=[0, 2]) for s, data in pictures.items()]
    # Plotly Express knows how to make an animation's buttons and slider, if not of two panels.
    names = [frame.name for frame in fig.frames]
    moving = px.bar(x=names, animation_frame=names, labels={"animation_frame": "step"}).layout
    for menu in moving.updatemenus:  # none where there is but one step
        menu.buttons[0].args[1].update(frame={"duration": 100}, transition={"duration": 0})
    fig.update_layout(updatemenus=moving.updatemenus, sliders=moving.sliders)
    fig.update_layout(height=420, margin_b=110)
    fig.update_layout(xaxis_title_text="frame", yaxis_range=[0, 1.02], xaxis2_title_text="step")
    alt = (
        f"How the mask of a clip of {short(name)} is learned in {steps[-1]} steps: its loss "
        f"goes from {losses[0]:.3f} to {np.nanmin(losses):.3f}."
    )
    return chart(fig, alt=alt)


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
        edge = {"color": "#000", "width": 2}
        cross = {"size": 14, "symbol": "x", "color": "#fff", "line": edge}
        fig.add_scatter(x=[on[0]], y=[on[-1]], mode="markers", name="the mask", marker=cross)
        alt += f" The mask reaches from frame {on[0]} to {on[-1]}."
    title = f"{doing.capitalize().replace('_', ' ')}: {short(name)}"
    fig.update_layout(title_text=title, height=460)
    return chart(fig, alt=alt)


def score_by_length(landscapes: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """Return the mean score that remains, by network, perturbation and length of the window.

    landscapes: (N, T, T) by network and perturbation, scores by first and last frame. Columns:
    network, perturbation, length (frames), score (mean over windows and clips).

    >>> scores = np.array([[[0.9, 0.2], [np.nan, 0.7]]])
    >>> score_by_length({"I3D": {"freeze": scores}})["score"].tolist()
    [0.8, 0.2]
    """
    rows = [
        (network, name, frames, float(np.nanmean(values)))
        for network, of_network in landscapes.items()
        for name, scores in of_network.items()
        for frames in range(1, scores.shape[1] + 1)
        if not np.isnan(values := np.diagonal(scores, frames - 1, 1, 2)).all()
    ]
    return pd.DataFrame(rows, columns=["network", "perturbation", "length", "score"])


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

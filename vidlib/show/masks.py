"""Charts of temporal masks: how they are learned, and how they compare with all windows."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vidlib.show.chart import COLOURS, DOTTED, Chart, chart, panels
from vidlib.show.names import TITLES, short

PICTURES = 60  # of an animation, at most
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")  # for readers who do not see the colours


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
    at_once = {"mode": "immediate", "transition": {"duration": 0}}
    play = {"frame": {"duration": 100, "redraw": False}, "fromcurrent": True, **at_once}
    stop = {"frame": {"duration": 0, "redraw": False}, **at_once}

    def control(label: str, frames: list | None, how: dict) -> dict:
        return {"label": label, "method": "animate", "args": [frames, how]}

    both = [control("play", None, play), control("pause", [None], stop)]
    place = {"x": 0, "y": -0.22, "xanchor": "left", "yanchor": "top", "direction": "left"}
    buttons = {"type": "buttons", **place, "showactive": False, "buttons": both}
    moments = [control(frame.name, [frame.name], stop) for frame in fig.frames]
    now = {"prefix": "step ", "xanchor": "right"}
    slider = {"x": 0.25, "len": 0.75, "y": -0.16, "currentvalue": now, "steps": moments}
    fig.update_layout(height=420, margin_b=110, updatemenus=[buttons], sliders=[slider])
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
    cells = {"z": landscape[np.ix_(firsts, lasts)].T, "x": firsts + 1, "y": lasts + 1}
    colours = {"zmin": 0, "zmax": 1, "colorscale": "Viridis", "colorbar": {"title": "score"}}
    hover = "frames %{x} to %{y}: %{z:.3f}<extra></extra>"
    fig = go.Figure(go.Heatmap(**cells, **colours, hovertemplate=hover))
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
    fig.update_xaxes(title_text="first frame", constrain="domain")
    fig.update_yaxes(title_text="last frame", scaleanchor="x", constrain="domain")
    title = f"{doing.capitalize().replace('_', ' ')}: {short(name)}"
    fig.update_layout(title_text=title, height=460)
    return chart(fig, alt=alt)


def score_by_length(landscapes: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return the mean score that remains, by perturbation and length of the window.

    landscapes: (N, T, T) by perturbation, scores by first and last frame. Columns: perturbation,
    length (frames), score (mean over windows and clips).

    >>> score_by_length({"freeze": np.array([[[0.9, 0.2], [np.nan, 0.7]]])})["score"].tolist()
    [0.8, 0.2]
    """
    rows = []
    for name, scores in landscapes.items():
        for frames in range(1, scores.shape[1] + 1):
            values = np.diagonal(scores, frames - 1, 1, 2)
            if not np.isnan(values).all():
                rows.append((name, frames, float(np.nanmean(values))))
    return pd.DataFrame(rows, columns=["perturbation", "length", "score"])


def perturbations_chart(landscapes: dict[str, dict[str, np.ndarray]]) -> Chart:
    """Return the score that remains under each perturbation, by length of the window and network.

    landscapes: by network and perturbation, as `score_by_length` takes them.

    >>> scores = np.array([[[0.9, 0.2], [np.nan, 0.7]]])
    >>> perturbations_chart({"i3d": {"freeze": scores}}).alt.rpartition(": ")[0][-11:]
    'I3D, freeze'
    """
    titles = [TITLES[network] for network in landscapes]
    fig = panels(titles, shared_yaxes=True)
    said = []
    for column, (title, of_network) in enumerate(zip(titles, landscapes.values(), strict=True), 1):
        table = score_by_length(of_network)
        for i, (name, rows) in enumerate(table.groupby("perturbation", sort=False)):
            line = {"color": COLOURS[i % len(COLOURS)], "dash": DASHES[i % len(DASHES)]}
            curve = {"x": rows["length"], "y": rows["score"], "name": name.replace("_", " ")}
            legend = {"legendgroup": name, "showlegend": column == 1}
            fig.add_scatter(**curve, **legend, line=line, row=1, col=column)
            said.append(f"{title}, {name}: {rows['score'].iloc[-1]:.2f}")
    fig.update_xaxes(title_text="frames perturbed")
    fig.update_yaxes(title_text="score that remains", range=[0, 1], col=1)
    alt = (
        "Mean score by number of frames perturbed. Of the whole clip perturbed it is, by "
        f"network and perturbation: {'; '.join(said)}."
    )
    return chart(fig, alt=alt)


def gaps_chart(gaps: pd.DataFrame) -> Chart:
    """Return each clip's loss above that of the best window, by method and network.

    gaps: a row per clip, method and network, with columns masks (the method), above_best and
    network.

    >>> gaps = pd.DataFrame({"masks": ["found"], "above_best": [0.02], "network": ["I3D"]})
    >>> gaps_chart(gaps).alt
    "Loss above the best window's, mean by network: I3D, found: +0.020."
    """
    gaps = gaps[gaps["masks"] != "best window"]
    fig = go.Figure()
    for colour, (network, rows) in zip(COLOURS, gaps.groupby("network", sort=False), strict=False):
        box = {"orientation": "h", "boxpoints": "all", "jitter": 0.4, "marker_color": colour}
        fig.add_box(x=rows["above_best"], y=rows["masks"], name=network, **box)
    fig.add_vline(x=0, **DOTTED)
    fig.update_xaxes(title_text="loss above that of the best window")
    fig.update_yaxes(categoryorder="array", categoryarray=gaps["masks"].unique()[::-1])
    fig.update_layout(boxmode="group", height=420)
    means = gaps.groupby(["network", "masks"], sort=False)["above_best"].mean()
    said = [f"{network}, {method}: {mean:+.3f}" for (network, method), mean in means.items()]
    return chart(fig, alt=f"Loss above the best window's, mean by network: {'; '.join(said)}.")

"""Figures of temporal masks: how they are learned, and how they stand among all windows."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vidlib.show.chart import COLOURS, Chart, chart
from vidlib.show.figures import TITLES, short

PICTURES = 60  # of an animation, at most
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")  # beside colour, for those who see none


def learning_chart(path: np.ndarray, losses: np.ndarray, name: str) -> Chart:
    """Return how a mask was learned, playable: its bars by frame, its loss by step.

    path: (S, T) masks in [0, 1] by step; losses: (S,). Steps that are NaN are left out.
    """
    steps = np.flatnonzero(~np.isnan(losses))
    shown = np.unique(np.linspace(0, len(steps) - 1, min(PICTURES, len(steps))).round().astype(int))
    frames = np.arange(1, path.shape[1] + 1)
    fig = make_subplots(1, 2, subplot_titles=("mask", "loss"), column_widths=[0.55, 0.45])
    fig.add_bar(x=frames, y=path[0], marker_color=COLOURS[1], showlegend=False, row=1, col=1)
    fig.add_scatter(x=steps, y=losses[steps], line_color=COLOURS[0], showlegend=False, row=1, col=2)
    here = {"size": 12, "color": COLOURS[1]}
    fig.add_scatter(
        x=[0], y=losses[:1], mode="markers", marker=here, showlegend=False, row=1, col=2
    )
    fig.frames = [
        go.Frame(
            name=str(step),
            data=[go.Bar(y=path[step]), go.Scatter(x=[step], y=[losses[step]])],
            traces=[0, 2],
        )
        for step in steps[shown]
    ]
    at_once = {"mode": "immediate", "transition": {"duration": 0}}
    play = {"frame": {"duration": 100, "redraw": False}, "fromcurrent": True, **at_once}
    stop = {"frame": {"duration": 0, "redraw": False}, **at_once}
    fig.update_layout(
        height=420,
        margin_b=110,
        updatemenus=[
            {
                "type": "buttons",
                "direction": "left",
                "x": 0,
                "y": -0.22,
                "xanchor": "left",
                "yanchor": "top",
                "showactive": False,
                "buttons": [
                    {"label": "play", "method": "animate", "args": [None, play]},
                    {"label": "pause", "method": "animate", "args": [[None], stop]},
                ],
            }
        ],
        sliders=[
            {
                "x": 0.25,
                "len": 0.75,
                "y": -0.16,
                "currentvalue": {"prefix": "step ", "xanchor": "right"},
                "steps": [
                    {"label": frame.name, "method": "animate", "args": [[frame.name], stop]}
                    for frame in fig.frames
                ],
            }
        ],
    )
    fig.update_xaxes(title_text="frame", row=1, col=1)
    fig.update_yaxes(range=[0, 1.02], row=1, col=1)
    fig.update_xaxes(title_text="step", row=1, col=2)
    return chart(
        fig,
        alt=f"How the mask of a clip of {short(name)} is learned in {steps[-1]} steps: its loss "
        f"goes from {losses[0]:.3f} to {np.nanmin(losses):.3f}.",
    )


def landscape_chart(
    landscape: np.ndarray, name: str, mask: np.ndarray | None = None, doing: str = "freezing"
) -> Chart:
    """Return the score that remains, (T, T), by first and last frame of the perturbed stretch.

    NaN where none was tried; first and last frames that no stretch has are left out. mask: (T,), of
    which the stretch from the first to the last frame above 0.5 is marked. doing: what perturbs.
    """
    firsts, lasts = (np.flatnonzero(~np.isnan(landscape).all(axis)) for axis in (1, 0))
    fig = go.Figure(
        go.Heatmap(
            z=landscape[np.ix_(firsts, lasts)].T,
            x=firsts + 1,
            y=lasts + 1,
            zmin=0,
            zmax=1,
            colorscale="Viridis",
            colorbar={"title": "score"},
            hovertemplate="frames %{x} to %{y}: %{z:.3f}<extra></extra>",
        )
    )
    first, last = np.unravel_index(np.nanargmin(landscape), landscape.shape)
    alt = (
        f"Score of a clip of {short(name)} by the stretch that {doing} acts on; it is least for "
        f"frames {first + 1} to {last + 1}."
    )
    on = np.flatnonzero(mask > 0.5) if mask is not None else []
    if len(on):
        fig.add_scatter(
            x=[on[0] + 1],
            y=[on[-1] + 1],
            mode="markers",
            name="the mask",
            marker={
                "size": 14,
                "symbol": "x",
                "color": "#fff",
                "line": {"color": "#000", "width": 2},
            },
        )
        alt += f" The mask reaches from frame {on[0] + 1} to {on[-1] + 1}."
    fig.update_xaxes(title_text="first frame", constrain="domain")
    fig.update_yaxes(title_text="last frame", scaleanchor="x", constrain="domain")
    title = f"{doing.capitalize().replace('_', ' ')}: {short(name)}"
    fig.update_layout(title_text=title, height=460)
    return chart(fig, alt=alt)


def score_by_length(landscapes: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return the mean score that remains, by perturbation and length of the window.

    landscapes: (N, T, T) by perturbation, scores by first and last frame. Columns: perturbation,
    length (frames), score (mean over windows and clips).
    """
    rows = []
    for name, scores in landscapes.items():
        length = scores.shape[1]
        for frames in range(1, length + 1):
            values = np.diagonal(scores, frames - 1, 1, 2)
            if not np.isnan(values).all():
                rows.append((name, frames, float(np.nanmean(values))))
    return pd.DataFrame(rows, columns=["perturbation", "length", "score"])


def perturbations_chart(landscapes: dict[str, dict[str, np.ndarray]]) -> Chart:
    """Return what every perturbation leaves of the score, by length of the window and network.

    landscapes: by network and perturbation, as `score_by_length` takes them.
    """
    fig = make_subplots(
        1, len(landscapes), subplot_titles=[TITLES[name] for name in landscapes], shared_yaxes=True
    )
    said = []
    for column, (network, of_network) in enumerate(landscapes.items(), 1):
        table = score_by_length(of_network)
        for i, (name, rows) in enumerate(table.groupby("perturbation", sort=False)):
            fig.add_scatter(
                x=rows["length"],
                y=rows["score"],
                name=name.replace("_", " "),
                legendgroup=name,
                showlegend=column == 1,
                line={"color": COLOURS[i % len(COLOURS)], "dash": DASHES[i % len(DASHES)]},
                row=1,
                col=column,
            )
            said.append(f"{TITLES[network]}, {name}: {rows['score'].iloc[-1]:.2f}")
    fig.update_xaxes(title_text="frames perturbed")
    fig.update_yaxes(title_text="score that remains", range=[0, 1], col=1)
    return chart(
        fig,
        alt="Mean score by number of frames perturbed. Of the whole clip perturbed it is, by "
        f"network and perturbation: {'; '.join(said)}.",
    )


def gaps_chart(gaps: pd.DataFrame) -> Chart:
    """Return how far each clip's mask lies above the best window's loss, by way to find it.

    gaps: a row per clip, way and network, with columns masks, above_best and network.
    """
    ways = [way for way in gaps["masks"].unique() if way != "best window"]
    fig = go.Figure()
    said = []
    for colour, (network, rows) in zip(COLOURS, gaps.groupby("network", sort=False), strict=False):
        rows = rows[rows["masks"].isin(ways)]
        fig.add_box(
            x=rows["above_best"],
            y=rows["masks"],
            name=network,
            orientation="h",
            boxpoints="all",
            jitter=0.4,
            marker_color=colour,
        )
        for way, of_way in rows.groupby("masks", sort=False):
            said.append(f"{network}, {way}: {of_way['above_best'].mean():+.3f}")
    fig.add_vline(x=0, line_dash="dot", line_color="gray")
    fig.update_xaxes(title_text="loss above that of the best window")
    fig.update_yaxes(categoryorder="array", categoryarray=ways[::-1])
    fig.update_layout(boxmode="group", height=420)
    return chart(fig, alt=f"Loss above the best window's, mean by network: {'; '.join(said)}.")

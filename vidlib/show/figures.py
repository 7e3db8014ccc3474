"""The figures that more than one chapter shows, drawn from the study's own tables."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from vidlib.compare.explanations import bootstrap_interval
from vidlib.data.clips import Clips, to_network
from vidlib.explain.objective import Perturbation
from vidlib.explain.perturb import freeze, perturb
from vidlib.show.chart import COLOURS, Chart, chart
from vidlib.show.player import Player, Row, overlay, player, upscale

TITLES = {"i3d": "I3D", "clstm": "C-LSTM"}
SHOWN = 112  # pixels of the longer side of a clip in a player


def enlarged(clip: np.ndarray, side: int = SHOWN) -> np.ndarray:
    """Return (T, H, W, 3) uint8 frames resized so that the longer side is `side`."""
    height, width = clip.shape[1:3]
    scale = side / max(height, width)
    return upscale(clip, (round(height * scale), round(width * scale)))


def short(name: str) -> str:
    """Return a class's name in few words, as axes have room for."""
    name = name.removesuffix(" while filming something").removesuffix(" with each other")
    name = name.replace("something and something", "two things").replace("something", "it")
    return (
        name.replace(" from somewhere", "")
        .replace("from left to right", "rightwards")
        .replace("from right to left", "leftwards")
    )


def frames_after(frames: np.ndarray, mask: np.ndarray, perturbation=freeze) -> np.ndarray:
    """Return a clip's frames, (T, H, W, 3) uint8, as perturbed by a mask, (T,) in [0, 1]."""
    matrix = perturbation(torch.from_numpy(np.asarray(mask, np.float32))[None])
    clip = perturb(to_network(frames)[None], matrix)[0]
    values = ((clip + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return values.movedim(0, -1).numpy()


def laid_over(frames: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Return frames, (T, H, W, 3) uint8, under a map (T, h, w) in [0, 1] enlarged to their size."""
    grey = np.repeat(np.rint(saliency * 255).astype(np.uint8)[..., None], 3, axis=-1)
    return overlay(frames, upscale(grey, frames.shape[1:3])[..., 0] / 255)


def clips_player(clips: Clips, *, caption: str, titles: Sequence[str] | None = None) -> Player:
    """Return a figure in which clips play side by side, in step, four to a row.

    titles: above each, by default its class in short; those of several clips are numbered.
    """
    titles = list(clips.index["label_name"].map(short) if titles is None else titles)
    named = [
        f"{title} ({titles[:i].count(title) + 1})" if titles.count(title) > 1 else title
        for i, title in enumerate(titles)
    ]
    columns = [(t, enlarged(f)) for t, f in zip(named, clips.frames, strict=True)]
    rows = [Row("", dict(columns[i : i + 4])) for i in range(0, len(columns), 4)]
    return player(rows, caption=caption)


def explanation_row(
    title: str,
    frames: np.ndarray,
    mask: np.ndarray,
    *,
    saliency: np.ndarray | None = None,
    perturbation: Perturbation = freeze,
    perturbed: str = "frozen",
    scores: Mapping[str, str | float],
    side: int = SHOWN,
) -> Row:
    """Return a network's view of a clip: original, Grad-CAM, perturbed; with mask and scores.

    frames: (T, H, W, 3) uint8. mask: (T,) in [0, 1]. saliency: (T, H, W) in [0, 1]; without it that
    column is left out. perturbed: the title of the last column. side: the longer, in pixels.
    """
    columns = {"original": enlarged(frames, side)}
    if saliency is not None:
        columns["Grad-CAM"] = laid_over(columns["original"], saliency)
    columns[perturbed] = enlarged(frames_after(frames, mask, perturbation), side)
    return Row(title, columns, mask, scores)


def explanation_player(study, position: int, *, autoplay: bool = False) -> Player:
    """Return original, Grad-CAM and frozen clip of both networks, with mask line and scores.

    position: of the clip among those that are explained. Scores: OS, FS and RS of the guessed
    class on the original, frozen and reversed clip; where the guess is wrong also CS, the score of
    the true class, and P, the guess.
    """
    clips = study.explained_clips()
    rows = []
    for network, title in TITLES.items():
        told = study.table(f"explain-{network}", "clips").iloc[position]
        arrays = study.arrays(f"explain-{network}", "arrays")
        scores = {name: float(told[name]) for name in ("OS", "FS", "RS")}
        if told["guess"] != told["label"]:
            scores |= {"CS": float(told["CS"]), "P": short(clips.names[told["guess"]])}
        saliency, mask = arrays["saliency"][position] / 255, arrays["mask"][position]
        rows.append(
            explanation_row(title, clips.frames[position], mask, saliency=saliency, scores=scores)
        )
    label = clips.index["label_name"].iloc[position]
    caption = f"{label}: clip {clips.index['clip_id'].iloc[position]} of the validation split."
    return player(rows, caption=caption, autoplay=autoplay)


def maps_player(
    frames: np.ndarray, maps: dict[str, dict[str, np.ndarray]], *, caption: str
) -> Player:
    """Return a clip's frames, (T, H, W, 3) uint8, beside saliency maps laid over them, in step.

    maps: by row and title, each (T, H, W) in [0, 1].
    """
    shown = enlarged(frames)
    rows = []
    for row, of_row in maps.items():
        columns = {"original": shown}
        for title, saliency in of_row.items():
            columns[title] = laid_over(shown, saliency)
        rows.append(Row(row, columns))
    return player(rows, caption=caption)


def learning_curves(history: pd.DataFrame, title: str) -> Chart:
    """Return loss and accuracy on both splits by epoch."""
    fig = make_subplots(1, 2, subplot_titles=("loss (nats)", "accuracy"))
    for colour, split in zip(COLOURS, ("train", "validation"), strict=False):
        for column, what in ((1, "loss"), (2, "accuracy")):
            fig.add_scatter(
                x=history["epoch"] + 1,
                y=history[f"{split}_{what}"],
                name=split,
                legendgroup=split,
                showlegend=column == 1,
                mode="lines+markers",
                line={"color": colour, "dash": "solid" if split == "train" else "dot"},
                row=1,
                col=column,
            )
    fig.update_xaxes(title_text="epoch")
    fig.update_yaxes(range=[0, 1], row=1, col=2)
    last = history.iloc[-1]
    return chart(
        fig,
        alt=f"Learning curves of {title}. After {len(history)} epochs the accuracy is "
        f"{last['train_accuracy']:.0%} in training, {last['validation_accuracy']:.0%} in "
        "validation.",
    )


def confusion(guesses: pd.DataFrame, names: dict[int, str], title: str) -> Chart:
    """Return who is taken for whom, forwards and reversed, as shares of each true class.

    guesses: a row per clip with label, forward and reversed (official class numbers).
    """
    labels = sorted(names)
    axis = [short(names[label]) for label in labels]
    fig = make_subplots(
        1, 2, subplot_titles=("forward", "frames reversed"), shared_yaxes=True,
        horizontal_spacing=0.03,
    )  # fmt: skip
    for column, direction in ((1, "forward"), (2, "reversed")):
        counts = pd.crosstab(guesses["label"], guesses[direction], normalize="index")
        shares = counts.reindex(index=labels, columns=labels, fill_value=0).to_numpy()
        fig.add_heatmap(
            z=shares,
            x=axis,
            y=axis,
            zmin=0,
            zmax=1,
            colorscale="Blues",
            showscale=column == 2,
            hovertemplate="%{y}<br>taken for %{x}<br>%{z:.0%}<extra></extra>",
            row=1,
            col=column,
        )
    fig.update_yaxes(autorange="reversed")
    fig.update_xaxes(tickangle=-60)
    fig.update_layout(height=640)
    return chart(fig, alt=f"Confusion matrices of {title}, for clips forwards and reversed.")


def reversal_table(per_class: pd.DataFrame) -> pd.DataFrame:
    """Return what reversal does to each class, those that lose most first.

    per_class: as `vidlib.compare.per_class` returns it. Columns: class, top-1, top-1 reversed,
    reversed (the class it is then most often taken for), how often.
    """
    rows = per_class.set_index("label")
    forward = rows[rows["direction"] == "forward"]
    backward = rows[rows["direction"] == "reversed"]
    names = forward["label_name"].map(short)
    table = pd.DataFrame(
        {
            "class": names,
            "top-1": forward["top1"],
            "top-1 reversed": backward["top1"],
            "reversed, most often taken for": backward["turns_into"].map(names),
            "how often": backward["turns_into_share"],
        }
    )
    return table.sort_values("top-1 reversed", kind="stable")


def right_and_wrong_player(clips: Clips, guesses: pd.DataFrame, each: int = 4) -> Player:
    """Return the first clips that a network names rightly and the first that it does not.

    guesses: a row per clip, in order, with label and forward (what the network says).
    """
    right = guesses["label"] == guesses["forward"]
    some = right.groupby(right).head(each).sort_values(ascending=False, kind="stable")
    titles = [
        f"{'right' if good else 'wrong'}: {short(clips.names[guesses['forward'][i]])}"
        for i, good in some.items()
    ]
    caption = (
        "The first validation clips that the network gets right, and the first it gets wrong. "
        "Above each, what it says."
    )
    return clips_player(clips.subset(some.index.to_numpy()), titles=titles, caption=caption)


def bars_by_network(
    clips: pd.DataFrame, measures: Sequence[str], axis: str, reference: float | None = None
) -> Chart:
    """Return the mean of measures per network, with 95 % bootstrap intervals over clips.

    clips: a row per clip and network, with a column network. reference: a value to compare with,
    drawn as a line. Measures without any value are left out.
    """
    measures = [m for m in measures if clips[m].notna().any()]
    fig = go.Figure()
    said = []
    for network in TITLES.values():
        values = clips[clips["network"] == network]
        means = np.array([values[m].mean() for m in measures])
        ends = np.array([bootstrap_interval(values[m].to_numpy(), 0) for m in measures])
        fig.add_bar(
            name=network,
            x=[m.replace("_", " ") for m in measures],
            y=means,
            error_y={"array": ends[:, 1] - means, "arrayminus": means - ends[:, 0]},
        )
        said += [f"{network}, {m}: {v:.2f}" for m, v in zip(measures, means, strict=True)]
    if reference is not None:
        fig.add_hline(y=reference, line_dash="dot", line_color="gray")
    fig.update_yaxes(title_text=axis, rangemode="tozero")
    fig.update_layout(barmode="group", height=320)
    return chart(fig, alt=f"Means by network of {axis}. {'; '.join(said)}.")


def difference_chart(differences: pd.DataFrame) -> Chart:
    """Return I3D minus C-LSTM per measure, in standard deviations, with its interval."""
    scale = differences["std"].where(differences["std"] > 0)
    centre = differences["difference"] / scale
    fig = go.Figure(
        go.Scatter(
            x=centre,
            y=differences["measure"].str.replace("_", " "),
            mode="markers",
            marker={"size": 10},
            error_x={
                "array": differences["high"] / scale - centre,
                "arrayminus": centre - differences["low"] / scale,
            },
        )
    )
    fig.add_vline(x=0, line_dash="dot", line_color="gray")
    fig.update_xaxes(title_text="I3D minus C-LSTM, in standard deviations of the difference")
    fig.update_yaxes(autorange="reversed")
    said = [
        f"{row.measure} {row.difference:+.2f} ({row.low:+.2f} to {row.high:+.2f})"
        for row in differences.itertuples()
    ]
    return chart(fig, alt=f"Paired differences of the networks: {'; '.join(said)}.")

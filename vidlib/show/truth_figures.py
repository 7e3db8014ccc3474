"""Figures of what is known about rendered clips: outlines, and what perturbing windows leaves."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from vidlib.compare.survival import minimal, removing
from vidlib.data.video import read_clip, sample_frames
from vidlib.explain.perturb import PERTURBATIONS, frame_order
from vidlib.rendered.scene import ACTING
from vidlib.rendered.truth import InstanceMasks
from vidlib.show.chart import COLOURS, Chart, chart
from vidlib.show.figures import SHOWN, short
from vidlib.show.player import Player, Row, player, upscale

# Okabe and Ito's colours again, as RGB.
OUTLINES = {
    "object": (230, 159, 0),
    "hand": (86, 180, 233),
    "heap": (0, 158, 115),
    "joint": (230, 159, 0),
    "marker": (230, 159, 0),
    "bystander": (130, 130, 130),
    "distractor": (130, 130, 130),
}
WAITING = (255, 255, 255)  # of what acts, before and after the event
GONE, OTHER, STILL = COLOURS[1], COLOURS[4], COLOURS[5]


def outlined(frames: np.ndarray, masks: InstanceMasks, deciding: np.ndarray) -> np.ndarray:
    """Return frames (T, H, W, 3) uint8 with the outlines of what is seen in them.

    masks: of the same T frames, at any size. deciding: (T,) bool, the frames of the event: in these
    things that act are outlined in colour, by role, in others in white. What decides nothing is
    outlined in grey.
    """
    drawn = np.ascontiguousarray(frames).copy()
    height, width = frames.shape[1:3]
    for frame, numbers, acts in zip(drawn, masks.numbers, deciding, strict=True):
        numbers = cv2.resize(numbers, (width, height), interpolation=cv2.INTER_NEAREST)
        for number, role in enumerate(masks.roles, 1):
            where = (numbers == number).astype(np.uint8)
            lines, _ = cv2.findContours(where, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            colour = OUTLINES[role] if acts or role not in ACTING else WAITING
            cv2.drawContours(frame, lines, -1, colour, 1)
    return drawn


def native_clip(study, clip_id: str) -> tuple[pd.Series, np.ndarray, InstanceMasks]:
    """Return a rendered clip's row in the index, its sampled frames in their own shape, its masks.

    Frames: (T, H, W, 3) uint8 as decoded from its file, at least `SHOWN` high.
    """
    row = study.index().set_index("clip_id").loc[clip_id]
    masks = study.truth.masks(clip_id)
    length, height, width = masks.numbers.shape
    frames = study.profile.frames
    stop = row["start"] + length
    clip = read_clip(Path(row["path"]), frames, (height, width), int(row["start"]), int(stop))
    scale = max(1.0, SHOWN / height)
    clip = upscale(clip, (round(scale * height), round(scale * width)))
    return row, clip, masks._replace(numbers=masks.numbers[sample_frames(length, frames)])


def truth_player(study, clip_ids: Sequence[str], *, caption: str) -> Player:
    """Return a figure in which clips of a rendered set play with their truth drawn in."""
    columns = []
    for clip_id in clip_ids:
        row, clip, masks = native_clip(study, clip_id)
        about = study.truth.clips.loc[clip_id]
        sampled = sample_frames(about["frames"], len(clip))
        deciding = (sampled >= about["event_start"]) & (sampled < about["event_stop"])
        columns.append((short(row["label_name"]), outlined(clip, masks, deciding)))
    wide = 3 if len(columns) % 3 == 0 and len(columns) % 4 else 4  # so that rows are full
    rows = [Row("", dict(columns[i : i + wide])) for i in range(0, len(columns), wide)]
    return player(rows, caption=caption)


def said(names: dict[int, str], label: int) -> str:
    """Return in words what an observer says: a class, or that it sees none."""
    return short(names[label]) if label in names else "none of the classes"


def windows_player(
    study, clip_id: str, windows: Sequence[tuple[int, int]], perturbation: str = "freeze"
) -> Player:
    """Return a rendered clip with some windows perturbed, and what the ideal observer then sees.

    windows: first and last frame, both included, 0-based, among the frames that networks see.
    perturbation: "freeze" or "reverse".
    """
    row, clip, _ = native_clip(study, clip_id)
    sampled = sample_frames(study.truth.clips.loc[clip_id, "frames"], len(clip))
    names = study.class_names()
    rows = []
    for first, last in windows:
        mask = np.zeros(len(clip), np.float32)
        mask[first : last + 1] = 1
        order = frame_order(PERTURBATIONS[perturbation](torch.from_numpy(mask)[None]))[0].numpy()
        seen = int(study.observe(clip_id, sampled[order][None])[0])
        title = f"frames {first + 1} to {last + 1}; then seen: {said(names, seen)}"
        rows.append(Row(title, {"original": clip, perturbation: clip[order]}, mask))
    caption = (
        f"{row['label_name']}: what an observer who knows where everything is sees when some "
        "frames are perturbed."
    )
    return player(rows, caption=caption)


def shares_chart(table: pd.DataFrame, *, x: str, by: str, axis: str, chance: float | None) -> Chart:
    """Return shares with their intervals as points, grouped, and the share that chance would give.

    table: a row per point, with share, low, high (in [0, 1]) and the columns x (along the axis) and
    by (the group). axis: what the shares are of.
    """
    fig = go.Figure()
    groups = list(dict.fromkeys(table[by]))
    places = {value: i for i, value in enumerate(dict.fromkeys(table[x]))}
    for k, name in enumerate(groups):
        rows = table[table[by] == name]
        beside = 0.2 * (k - (len(groups) - 1) / 2)
        fig.add_scatter(
            name=name,
            x=[places[value] + beside for value in rows[x]],
            y=rows["share"],
            mode="markers",
            marker={"size": 9, "symbol": ["circle", "square", "diamond", "cross"][k % 4]},
            error_y={"array": rows["high"] - rows["share"],
                     "arrayminus": rows["share"] - rows["low"]},
        )  # fmt: skip
    by_chance = ""
    if chance is not None:
        fig.add_hline(y=chance, line_dash="dot", line_color="gray")
        by_chance = f" By chance {chance:.0%}."
    fig.update_xaxes(tickvals=list(places.values()), ticktext=list(places))
    fig.update_yaxes(title_text=axis, range=[-0.02, 1.02], tickformat=".0%")
    said = [f"{getattr(r, by)}, {getattr(r, x)}: {r.share:.0%}" for r in table.itertuples()]
    return chart(fig, alt=f"Share: {axis}. {'; '.join(said)}.{by_chance}")


def survival_chart(answers: dict[str, np.ndarray], label: int, names: dict[int, str]) -> Chart:
    """Return what is left of a clip's class when each of its windows is perturbed.

    answers: of a perturbation, (T, T) by first and last frame, as `window_answers` returns them.
    label: the clip's. Crosses mark the minimal windows: those that remove the class and contain no
    shorter one that does.
    """
    fig = make_subplots(1, len(answers), subplot_titles=list(answers), shared_yaxes=True)
    told = []
    colours = [GONE, OTHER, STILL]
    for column, (name, table) in enumerate(answers.items(), 1):
        frames = np.arange(1, len(table) + 1)
        removes = removing(table, label)
        kind = np.where(~removes, 2.0, np.where(table == -1, 0.0, 1.0))
        kind[np.tril_indices(len(table), -1)] = np.nan
        words = np.vectorize(lambda k: said(names, int(k)))(table)
        fig.add_heatmap(
            z=kind.T,
            x=frames,
            y=frames,
            customdata=words.T,
            zmin=-0.5,
            zmax=2.5,
            colorscale=[[v, c] for k, c in enumerate(colours) for v in (k / 3, (k + 1) / 3)],
            colorbar={"tickvals": [0, 1, 2], "ticktext": ["no class", "another", "its class"],
                      "title": "then seen"},
            showscale=column == 1,
            hovertemplate="frames %{x} to %{y}: %{customdata}<extra></extra>",
            row=1,
            col=column,
        )  # fmt: skip
        first, last = np.nonzero(minimal(removes))
        fig.add_scatter(
            x=first + 1,
            y=last + 1,
            mode="markers",
            marker={"symbol": "x-thin", "size": 9, "line": {"width": 2, "color": "black"}},
            showlegend=False,
            hoverinfo="skip",
            row=1,
            col=column,
        )
        fig.update_xaxes(title_text="first frame", row=1, col=column)
        windows = int((table >= -1).sum())
        told.append(f"{name} removes it in {int(removes.sum())} of {windows} windows")
    fig.update_yaxes(title_text="last frame", row=1, col=1)
    fig.update_layout(height=400)
    return chart(fig, alt=f"What is left of {said(names, label)}: {'; '.join(told)}.")

"""Figures of the truth about rendered clips: outlines, and what perturbed windows leave."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from vidlib.compare.survival import minimal, removing
from vidlib.data.sampling import sample_frames
from vidlib.data.video import read_clip
from vidlib.explain.perturb import PERTURBATIONS, frame_order, window_masks
from vidlib.rendered.scene import ACTING
from vidlib.rendered.truth import InstanceMasks
from vidlib.show.chart import COLOURS, Chart, chart, panels
from vidlib.show.clips import SHOWN, in_rows
from vidlib.show.names import short
from vidlib.show.player import Row, player, upscale
from vidlib.show.sprites import Figure

GREY, ORANGE = (130, 130, 130), (230, 159, 0)  # RGB; the colours here are Okabe and Ito's too
OUTLINES = dict.fromkeys(("object", "joint", "marker"), ORANGE)
OUTLINES |= dict.fromkeys(("bystander", "distractor"), GREY)
OUTLINES |= {"hand": (86, 180, 233), "heap": (0, 158, 115)}
WAITING = (255, 255, 255)  # for actors before and after the event
SEEN = {"no class": COLOURS[1], "another": COLOURS[4], "its class": COLOURS[5]}


def outlined(frames: np.ndarray, masks: InstanceMasks, deciding: np.ndarray) -> np.ndarray:
    """Return frames (T, H, W, 3) uint8 with the visible things outlined.

    masks: of the same T frames, at any size. deciding: (T,) bool, the frames of the event. During
    the event the outlines of actors have the colour of their role, otherwise they are white.
    Bystanders and distractors have grey outlines.

    >>> masks = InstanceMasks(np.ones((1, 4, 4), np.uint8), ["hand_0"], ["hand"])
    >>> outlined(np.zeros((1, 4, 4, 3), np.uint8), masks, np.array([True]))[0, 0, 0].tolist()
    [86, 180, 233]
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
    """Return a rendered clip's row in the index, its sampled frames, and its masks.

    Frames: (T, H, W, 3) uint8 with the file's aspect ratio, at least `SHOWN` high.

    >>> row, frames, masks = native_clip(study, study.index()["clip_id"].iloc[0])
    >>> frames.shape[0] == masks.numbers.shape[0] == study.profile.frames
    True
    """
    row = study.index().set_index("clip_id").loc[clip_id]
    masks = study.truth.masks(clip_id)
    length, height, width = masks.numbers.shape
    frames = study.profile.frames
    start = int(row["start"])
    clip = read_clip(Path(row["path"]), frames, (height, width), start, start + length)
    scale = max(1.0, SHOWN / height)
    clip = upscale(clip, (round(scale * height), round(scale * width)))
    return row, clip, masks._replace(numbers=masks.numbers[sample_frames(length, frames)])


def truth_player(study, clip_ids: Sequence[str], *, caption: str) -> Figure:
    """Return a figure in which clips of a rendered set play with their truth drawn in.

    >>> clip_ids = study.index()["clip_id"].iloc[:1]
    >>> truth_player(study, clip_ids, caption="Outlined.").figure["frames"]
    16
    """
    columns = []
    for clip_id in clip_ids:
        row, clip, masks = native_clip(study, clip_id)
        about = study.truth.clips.loc[clip_id]
        sampled = sample_frames(about["frames"], len(clip))
        deciding = (sampled >= about["event_start"]) & (sampled < about["event_stop"])
        columns.append((short(row["label_name"]), outlined(clip, masks, deciding)))
    wide = 3 if len(columns) % 3 == 0 and len(columns) % 4 else 4  # so that rows are full
    return in_rows(columns, caption=caption, wide=wide)


def said(names: dict[int, str], label: int) -> str:
    """Return an observer's answer in words: a class, or none."""
    return short(names[label]) if label in names else "none of the classes"


def windows_player(
    study, clip_id: str, windows: Sequence[tuple[int, int]], perturbation: str = "freeze"
) -> Figure:
    """Return a rendered clip with some windows perturbed, and what the ideal observer then sees.

    windows: first and last frame, both included, 0-based, among the frames that networks see.
    perturbation: "freeze" or "reverse".

    >>> clip_id = study.index()["clip_id"].iloc[0]
    >>> windows_player(study, clip_id, [(0, 3)]).figure["rows"][0]["mask"][:6]
    [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    """
    row, clip, _ = native_clip(study, clip_id)
    sampled = sample_frames(study.truth.clips.loc[clip_id, "frames"], len(clip))
    names = study.class_names()
    rows = []
    for first, last in windows:
        mask = window_masks(torch.tensor([first]), torch.tensor([last]), len(clip)).float()
        order = frame_order(PERTURBATIONS[perturbation](mask))[0].numpy()
        seen = int(study.observe(clip_id, sampled[order][None])[0])
        title = f"frames {first + 1} to {last + 1}; then seen: {said(names, seen)}"
        rows.append(Row(title, {"original": clip, perturbation: clip[order]}, mask[0].numpy()))
    caption = (
        f"{row['label_name']}: what an observer who knows where everything is sees when some "
        "frames are perturbed."
    )
    return player(rows, caption=caption)


def survival_chart(answers: dict[str, np.ndarray], label: int, names: dict[int, str]) -> Chart:
    """Return what is left of a clip's class when each of its windows is perturbed.

    answers: by perturbation, (T, T) by first and last frame, as `window_answers` returns them.
    label: the clip's. Crosses mark the minimal windows: those that remove the class and contain no
    shorter one that does.

    >>> survival_chart({"freeze": np.array([[5, 7], [-2, 5]])}, 5, {5: "Boxing"}).alt
    'What is left of Boxing: freeze removes it in 1 of 3 windows.'
    """
    fig = panels(answers, shared_yaxes=True)
    told = []
    thirds = [edge / 3 for edge in (0, 1, 1, 2, 2, 3)]
    colours = [colour for colour in SEEN.values() for _ in range(2)]
    bar = {"tickvals": [0, 1, 2], "ticktext": list(SEEN), "title": "then seen"}
    scale = {"zmin": -0.5, "zmax": 2.5, "colorscale": list(zip(thirds, colours, strict=True))}
    scale["colorbar"], hover = bar, "frames %{x} to %{y}: %{customdata}<extra></extra>"
    cross = {"symbol": "x-thin", "size": 9, "line": {"width": 2, "color": "black"}}
    for column, (name, table) in enumerate(answers.items(), 1):
        frames = np.arange(1, len(table) + 1)
        removes = removing(table, label)
        kind = np.where(~removes, 2.0, np.where(table == -1, 0.0, 1.0))
        kind[np.tril_indices(len(table), -1)] = np.nan
        words = np.vectorize(lambda k: said(names, int(k)))(table).T
        cells = {"z": kind.T, "x": frames, "y": frames, "customdata": words, "hovertemplate": hover}
        fig.add_heatmap(**cells, **scale, showscale=column == 1, row=1, col=column)
        first, last = np.nonzero(minimal(removes))
        fig.add_scatter(
            x=first + 1, y=last + 1, mode="markers", marker=cross, showlegend=False,
            hoverinfo="skip", row=1, col=column,
        )  # fmt: skip
        windows = int((table >= -1).sum())
        told.append(f"{name} removes it in {int(removes.sum())} of {windows} windows")
    fig.update_xaxes(title_text="first frame")
    fig.update_yaxes(title_text="last frame", col=1)
    fig.update_layout(height=400)
    return chart(fig, alt=f"What is left of {said(names, label)}: {'; '.join(told)}.")

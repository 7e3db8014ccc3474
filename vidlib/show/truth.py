"""Figures of what is known about rendered clips: outlines, and what perturbing windows leaves."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from plotly.subplots import make_subplots

from vidlib.compare.windows import PERTURBATIONS, minimal, removing
from vidlib.data.video import sample_frames
from vidlib.explain.perturb import frame_order
from vidlib.rendered.truth import Masks
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
    "bystander": (190, 190, 190),
    "distractor": (190, 190, 190),
}
GONE, OTHER, STILL = COLOURS[1], COLOURS[4], COLOURS[5]


def outlined(frames: np.ndarray, masks: Masks, deciding: np.ndarray) -> np.ndarray:
    """Return frames (T, H, W, 3) uint8 with the outlines of what is seen in them.

    masks: of the same T frames, at any size. deciding: (T,) bool, the frames of the event, in which
    the things that act are outlined boldly.
    """
    drawn = np.ascontiguousarray(frames).copy()
    height, width = frames.shape[1:3]
    for frame, numbers, bold in zip(drawn, masks.numbers, deciding, strict=True):
        numbers = cv2.resize(numbers, (width, height), interpolation=cv2.INTER_NEAREST)
        for number, role in enumerate(masks.roles, 1):
            where = (numbers == number).astype(np.uint8)
            lines, _ = cv2.findContours(where, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            idle = role in ("bystander", "distractor")
            cv2.drawContours(frame, lines, -1, OUTLINES[role], 2 if bold and not idle else 1)
    return drawn


def truth_player(study, clips, *, caption: str) -> Player:
    """Return a figure in which clips (`Clips` of the study) play with their truth drawn in."""
    columns = []
    for i, row in clips.index.iterrows():
        frames = upscale(clips.frames[i], _shown(clips.frames[i]))
        masks = study.truth.masks(row["clip_id"])
        sampled = sample_frames(len(masks.numbers), len(frames))
        start, stop = study.truth.clips.loc[row["clip_id"], ["event_start", "event_stop"]]
        deciding = (sampled >= start) & (sampled < stop)
        seen = masks._replace(numbers=masks.numbers[sampled])
        columns.append((short(row["label_name"]), outlined(frames, seen, deciding)))
    rows = [Row("", dict(columns[i : i + 4])) for i in range(0, len(columns), 4)]
    return player(rows, caption=caption)


def _shown(frames: np.ndarray) -> tuple[int, int]:
    """Return the size at which a clip is shown, of its own shape."""
    height, width = frames.shape[1:3]
    return SHOWN[0], round(SHOWN[0] * width / height / 2) * 2


def said(names: dict[int, str], label: int) -> str:
    """Return in words what an observer says: a class, or that it sees none."""
    return short(names[label]) if label in names else "none of the classes"


def windows_player(
    study, clips, position: int, windows: Sequence[tuple[int, int]], perturbation: str = "freeze"
) -> Player:
    """Return a clip with some windows perturbed, and what the ideal observer then sees.

    position: of the clip among clips (`Clips` of the study). windows: first and last frame, both
    included, 0-based, among the frames that networks see. perturbation: "freeze" or "reverse".
    """
    row, frames = clips.index.iloc[position], clips.frames[position]
    sampled = sample_frames(int(row["length"]), len(frames))
    shown = upscale(frames, _shown(frames))
    rows = []
    for first, last in windows:
        mask = np.zeros(len(frames), np.float32)
        mask[first : last + 1] = 1
        order = frame_order(PERTURBATIONS[perturbation](torch.from_numpy(mask)[None]))[0].numpy()
        seen = int(study.observe(row["clip_id"], sampled[order][None])[0])
        columns = {"original": shown, f"perturbed: {perturbation}": shown[order]}
        title = f"frames {first + 1} to {last + 1}"
        rows.append(Row(title, columns, mask, {"the observer sees": said(clips.names, seen)}))
    caption = (
        f"{row['label_name']}: what an observer who knows where everything is sees when some "
        "frames are perturbed."
    )
    return player(rows, caption=caption)


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

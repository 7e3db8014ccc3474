"""Figures of the truth about rendered clips: outlines of what acts, and when."""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd

from vidlib.data.sampling import sample_frames
from vidlib.data.video import read_clip
from vidlib.rendered.scene import ACTING
from vidlib.rendered.truth import InstanceMasks
from vidlib.show.clips import SHOWN, in_rows
from vidlib.show.names import short
from vidlib.show.player import upscale
from vidlib.show.sprites import Figure

GREY, ORANGE = (130, 130, 130), (230, 159, 0)  # RGB; the colours here are Okabe and Ito's too
OUTLINES = dict.fromkeys(("object", "joint", "marker"), ORANGE)
OUTLINES |= dict.fromkeys(("bystander", "distractor"), GREY)
OUTLINES |= {"hand": (86, 180, 233), "heap": (0, 158, 115)}
WAITING = (255, 255, 255)  # for actors before and after the event


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
    frames, start = study.profile.frames, int(row["start"])
    clip = read_clip(row["path"], frames, (height, width), start, start + length)
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

"""Playable figures: the columns of a clip side by side, in step, with a temporal mask under them.

A figure is one self-contained piece of HTML: all distinct frames packed into one WebP sprite sheet,
a JSON description, and the custom element of ``player.js`` that draws them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from vidlib import check
from vidlib.show import sprites


@dataclass(frozen=True)
class Row:
    """One line of a figure: a network's view of a clip.

    ``columns`` maps a column's title to its frames ``(T, H, W, 3)`` uint8 RGB; ``mask`` is ``(T,)``
    in [0, 1], 1 = perturbed, or None; ``scores`` maps names to numbers (shown with three decimals)
    or text. Titles and scores are shown as text: markup in them is not interpreted.
    """

    title: str
    columns: Mapping[str, np.ndarray]
    mask: np.ndarray | None = None
    scores: Mapping[str, str | float] = field(default_factory=dict)


def player(rows: Sequence[Row], *, caption: str, fps: float = 5) -> sprites.Figure:
    """Return a playable figure of clips side by side, in step.

    All columns of all rows share one shape ``(T, H, W, 3)`` uint8. ``caption`` appears under the
    figure and is its text alternative: say what the figure shows. ``fps`` is the speed at 1x.

    Raises ValueError that names the row and column for a wrong type, shape or dtype, for mask
    values outside [0, 1], and for lengths that disagree.

    >>> clip = np.zeros((16, 8, 8, 3), np.uint8)
    >>> player([Row("I3D", {"original": clip, "reversed": clip[::-1]})], caption="A black clip.")
    <Figure: 16 frames (I3D: original, reversed): A black clip.>
    """
    length, height, width = _check(rows, caption, fps)
    places: dict[bytes, int] = {}  # of each distinct frame in the sheet

    def tiles_of(clip: np.ndarray) -> list[int]:
        return [places.setdefault(frame.tobytes(), len(places)) for frame in clip]

    described = [
        {
            "title": row.title,
            "columns": [{"title": t, "tiles": tiles_of(clip)} for t, clip in row.columns.items()],
            "mask": None if row.mask is None else [round(float(m), 3) for m in row.mask],
            "scores": [[str(name), _score(value)] for name, value in row.scores.items()],
        }
        for row in rows
    ]
    tiles = np.frombuffer(b"".join(places), np.uint8).reshape(-1, height, width, 3)
    figure = {"caption": caption, "frames": length, "fps": fps, "rows": described}
    figure |= sprites.sprite_sheet(tiles)
    told = "; ".join(f"{row.title}: {', '.join(row.columns)}" for row in rows)
    text, modules = f"{length} frames ({told}): {caption}", [sprites.script_module("player.js")]
    return sprites.Figure("temporal-mask-player", figure, text, modules)


def overlay(clip: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Lay a heat map over every frame: dark for low saliency, bright for high.

    ``clip (T, H, W, 3)`` uint8 RGB and ``saliency (T, H, W)`` in [0, 1] give ``(T, H, W, 3)``
    uint8. The colours are inferno's, whose lightness rises evenly with saliency, so that
    colour-blind readers can read it too; opacity rises from 0.3 to 0.8.
    Raises ValueError for other shapes, dtypes or values.

    >>> overlay(np.full((1, 1, 2, 3), 100, np.uint8), np.array([[[0, 1]]])).tolist()
    [[[[70, 70, 71], [222, 224, 151]]]]
    """
    sprites.check_clip("clip", clip)
    saliency = np.asarray(saliency, dtype=np.float32)
    wanted = f"a map per frame, {clip.shape[:3]}: resize the maps to the frames first"
    check.shape("saliency", saliency, wanted, saliency.shape == clip.shape[:3])
    check.unit("saliency", saliency)
    levels = np.rint(saliency * 255).astype(np.uint8)
    colours = np.stack([cv2.applyColorMap(frame, cv2.COLORMAP_INFERNO) for frame in levels])
    colours = colours[..., ::-1].astype(np.float32)  # OpenCV gives BGR
    alpha = (0.3 + 0.5 * saliency)[..., None]
    return np.rint((1 - alpha) * clip + alpha * colours).astype(np.uint8)


def upscale(clip: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize ``(T, H, W, 3)`` uint8 frames to ``size = (height, width)`` by cubic interpolation.

    >>> upscale(np.zeros((16, 8, 8, 3), np.uint8), (20, 10)).shape
    (16, 20, 10, 3)
    """
    sprites.check_clip("clip", clip)
    height, width = size
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_CUBIC) for f in clip])


def _score(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _check(rows: Sequence[Row], caption: str, fps: float) -> tuple[int, ...]:
    """Refuse what cannot be shown; return the number of frames, their height and width."""
    check.filled("caption", caption, "words that say what the figure shows")
    check.number("fps", fps, above=0)
    check.filled("rows", rows, "at least one vidlib.show.Row")
    first: tuple[int, ...] = ()
    for n, row in enumerate(rows):
        if not isinstance(row, Row):
            raise ValueError(f"rows[{n}] is a {type(row).__name__}: give vidlib.show.Row objects")
        check.filled(f"row {row.title!r}", row.columns, "at least one clip")
        for title, clip in row.columns.items():
            name = f"column {title!r} of row {row.title!r}"
            sprites.check_clip(name, clip)
            first = first or clip.shape
            wanted = f"all columns one shape, {first}; vidlib.show.upscale resizes frames"
            check.shape(name, clip, wanted, clip.shape == first)
        if row.mask is not None:
            sprites.check_mask(f"the mask of row {row.title!r}", row.mask, first[0])
    return first[:3]

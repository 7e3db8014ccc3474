"""Playable figures: the columns of a clip side by side, in step, with a temporal mask under them.

A figure is one piece of HTML that needs nothing else: all distinct frames packed into one WebP
sprite sheet, a JSON description, and the custom element of ``player.js`` that draws them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from vidlib.show.sprites import check_clip, check_unit, element, script_module, sprite_sheet


@dataclass(frozen=True)
class Row:
    """One line of a figure: a network's view of a clip.

    ``columns`` maps a column's title to its frames ``(T, H, W, 3)`` uint8 RGB; ``mask`` is ``(T,)``
    in [0, 1], 1 = perturbed, or None; ``scores`` maps names to numbers (shown with three decimals)
    or ready text. Titles and scores are shown as text: markup in them is not interpreted.
    """

    title: str
    columns: Mapping[str, np.ndarray]
    mask: np.ndarray | None = None
    scores: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Player:
    """A playable figure, shown by Jupyter and in the book; made by :func:`player`.

    ``sheet`` holds the WebP bytes; ``figure`` what the custom element reads: size and place of the
    tiles, and per row and column the tile of every frame.
    """

    figure: dict
    sheet: bytes

    def _repr_html_(self) -> str:
        """Return the figure as HTML that works alone, beside others, and more than once a page."""
        text, module = self.figure["caption"], script_module("player.js")
        return element("temporal-mask-player", self.figure, self.sheet, text, module)

    def __repr__(self) -> str:
        """Describe the figure in words, for readers of plain text."""
        rows = "; ".join(
            f"{row['title']}: {', '.join(column['title'] for column in row['columns'])}"
            for row in self.figure["rows"]
        )
        return f"<Player of {self.figure['frames']} frames ({rows}): {self.figure['caption']}>"


def player(
    rows: Sequence[Row],
    *,
    caption: str,
    frame_numbers: Sequence[int] | None = None,
    fps: float = 5,
    autoplay: bool = False,
) -> Player:
    """Return a playable figure of clips side by side, in step.

    All columns of all rows share one shape ``(T, H, W, 3)`` uint8. ``caption`` stands under the
    figure and is its text alternative: say what is to be seen. ``frame_numbers`` are the T frame
    numbers in the source video, shown beside the count; ``fps`` is the speed at 1x. With
    ``autoplay`` it plays of itself, except for readers who asked for less motion.

    Raises ValueError that names the row and column for a wrong type, shape or dtype, for mask
    values outside [0, 1], and for lengths that disagree.
    """
    rows = list(rows)
    _check(rows, caption, frame_numbers, fps)
    tiles: list[np.ndarray] = []
    places: dict[bytes, int] = {}  # of every distinct frame in the sheet
    described = []
    for row in rows:
        columns = [
            {"title": title, "tiles": [_place(frame, tiles, places) for frame in clip]}
            for title, clip in row.columns.items()
        ]
        mask = None if row.mask is None else [round(float(m), 3) for m in row.mask]
        scores = [[str(name), _score(value)] for name, value in row.scores.items()]
        described.append({"title": row.title, "columns": columns, "mask": mask, "scores": scores})
    sheet, layout = sprite_sheet(tiles)
    figure = {
        "caption": caption,
        "frames": len(described[0]["columns"][0]["tiles"]),
        "fps": fps,
        "autoplay": autoplay,
        "numbers": None if frame_numbers is None else [int(n) for n in frame_numbers],
        **layout,
        "rows": described,
    }
    return Player(figure, sheet)


def overlay(clip: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Lay a heat map over every frame: dark where nothing matters, glowing where much does.

    ``clip (T, H, W, 3)`` uint8 RGB and ``saliency (T, H, W)`` in [0, 1] give ``(T, H, W, 3)``
    uint8. The colours are inferno's, whose lightness rises evenly with saliency, for colour-blind
    readers as well; opacity rises from 0.3 to 0.8.
    Raises ValueError for other shapes, dtypes or values.
    """
    check_clip("clip", clip)
    saliency = np.asarray(saliency, dtype=np.float32)
    if saliency.shape != clip.shape[:3]:
        raise ValueError(
            f"saliency has shape {saliency.shape}, the clip's frames {clip.shape[:3]}: "
            "resize the maps to the frames first"
        )
    check_unit("saliency", saliency)
    levels = np.rint(saliency * 255).astype(np.uint8)
    colours = np.stack([cv2.applyColorMap(frame, cv2.COLORMAP_INFERNO) for frame in levels])
    colours = colours[..., ::-1].astype(np.float32)  # OpenCV gives BGR
    alpha = (0.3 + 0.5 * saliency)[..., None]
    return np.rint((1 - alpha) * clip + alpha * colours).astype(np.uint8)


def upscale(clip: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize ``(T, H, W, 3)`` uint8 frames to ``size = (height, width)`` by cubic interpolation."""
    check_clip("clip", clip)
    height, width = size
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_CUBIC) for f in clip])


def _score(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _place(frame: np.ndarray, tiles: list[np.ndarray], places: dict[bytes, int]) -> int:
    """Return the frame's tile, adding it where no equal one is there yet."""
    key = frame.tobytes()
    if key not in places:
        places[key] = len(tiles)
        tiles.append(frame)
    return places[key]


def _check(rows: list[Row], caption: str, frame_numbers: Sequence[int] | None, fps: float) -> None:
    if not caption.strip():
        raise ValueError("caption is empty: say what the figure shows")
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps is {fps}: give frames per second over 0")
    if not rows:
        raise ValueError("rows is empty: give at least one vidlib.show.Row")
    first: tuple[int, ...] | None = None
    for n, row in enumerate(rows):
        if not isinstance(row, Row):
            raise ValueError(f"rows[{n}] is a {type(row).__name__}: give vidlib.show.Row objects")
        if not row.columns:
            raise ValueError(f"row {row.title!r} has no columns: give at least one clip")
        for title, clip in row.columns.items():
            name = f"column {title!r} of row {row.title!r}"
            check_clip(name, clip)
            first = clip.shape if first is None else first
            if clip.shape != first:
                raise ValueError(
                    f"{name} has shape {clip.shape}, the first column {first}: "
                    "bring all to one shape (vidlib.show.upscale resizes frames)"
                )
        if row.mask is not None:
            mask = np.asarray(row.mask)
            if mask.shape != first[:1]:
                raise ValueError(
                    f"the mask of row {row.title!r} has shape {mask.shape}: "
                    f"give one value per frame, {first[:1]}"
                )
            check_unit(f"the mask of row {row.title!r}", mask)
    if frame_numbers is not None and len(frame_numbers) != first[0]:
        raise ValueError(
            f"frame_numbers has {len(frame_numbers)} entries: give one per frame, {first[0]}"
        )

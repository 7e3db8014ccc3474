"""Contact sheets: clips as strips of a few frames, to be taken in at a glance."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vidlib.data.video import sample_frames

QUALITY = 80  # of the WebP strips
GAP = 2  # pixels between two frames


@dataclass(frozen=True)
class Sheet:
    """A contact sheet, shown by Jupyter and in the book; made by :func:`contact_sheet`.

    ``strips`` holds a title and the WebP bytes of each clip.
    """

    strips: tuple[tuple[str, bytes], ...]
    frames: int
    caption: str

    def _repr_html_(self) -> str:
        """Return the sheet as a table with a picture per clip."""
        rows = []
        for title, strip in self.strips:
            address = "data:image/webp;base64," + base64.b64encode(strip).decode("ascii")
            title = html.escape(title)
            rows.append(
                '<tr><th scope="row" style="text-align:left;font-weight:normal;width:11em;'
                f'padding:.1em .8em .1em 0">{title}</th><td style="padding:.1em 0">'
                f'<img src="{address}" style="width:100%" '
                f'alt="{self.frames} frames of a clip of: {title}"></td></tr>'
            )
        return (
            '<figure style="margin:0"><table style="width:100%;border-collapse:collapse;'
            f'table-layout:fixed">{"".join(rows)}</table>'
            f"<figcaption>{html.escape(self.caption)}</figcaption></figure>"
        )

    def __repr__(self) -> str:
        """Describe the sheet in words, for readers of plain text."""
        return f"<Sheet of {len(self.strips)} clips: {self.caption}>"


def contact_sheet(
    clips: Sequence[tuple[str, np.ndarray]], *, caption: str, frames: int = 8
) -> Sheet:
    """Return strips of ``frames`` frames, spread evenly over each clip.

    clips: title and frames (T, H, W, 3) uint8 RGB of each. ``caption`` says what is to be seen.
    Raises ValueError where there is no clip.
    """
    if not clips:
        raise ValueError("clips is empty: give at least one (title, frames)")
    strips = []
    for title, clip in clips:
        shown = np.asarray(clip)[sample_frames(len(clip), frames)]
        apart = np.pad(shown, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=255)
        strip = np.concatenate(list(apart), axis=1)[:, :-GAP]
        file = io.BytesIO()
        Image.fromarray(strip).save(file, "WEBP", quality=QUALITY, method=4)
        strips.append((title, file.getvalue()))
    return Sheet(tuple(strips), frames, caption)

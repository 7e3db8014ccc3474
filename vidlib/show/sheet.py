"""Contact sheets: clips as strips of a few frames, to see many at a glance."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidlib import check
from vidlib.data.sampling import sample_frames
from vidlib.show.sprites import address, webp

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
        rows = "".join(
            '<tr><th scope="row" style="text-align:left;font-weight:normal;width:11em;'
            f'padding:.1em .8em .1em 0">{html.escape(title)}</th><td style="padding:.1em 0">'
            f'<img src="{address(strip)}" style="width:100%" '
            f'alt="{self.frames} frames of a clip of: {html.escape(title)}"></td></tr>'
            for title, strip in self.strips
        )
        return (
            '<figure style="margin:0"><table style="width:100%;border-collapse:collapse;'
            f'table-layout:fixed">{rows}</table>'
            f"<figcaption>{html.escape(self.caption)}</figcaption></figure>"
        )

    def __repr__(self) -> str:
        """Describe the sheet in words, for plain text."""
        return f"<Sheet of {len(self.strips)} clips: {self.caption}>"


def contact_sheet(
    clips: Sequence[tuple[str, np.ndarray]], *, caption: str, frames: int = 8
) -> Sheet:
    """Return strips of ``frames`` frames, spread evenly over each clip.

    clips: title and frames (T, H, W, 3) uint8 RGB of each. ``caption`` says what the sheet shows.
    Raises ValueError without clips.

    >>> contact_sheet([("black", np.zeros((16, 8, 8, 3), np.uint8))], caption="One clip.")
    <Sheet of 1 clips: One clip.>
    """
    check.filled("clips", clips, "at least one (title, frames)")
    strips = []
    for title, clip in clips:
        shown = np.asarray(clip)[sample_frames(len(clip), frames)]
        apart = np.pad(shown, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=255)
        strips.append((title, webp(np.concatenate(list(apart), axis=1)[:, :-GAP])))
    return Sheet(tuple(strips), frames, caption)

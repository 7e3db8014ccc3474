"""Contact sheets: clips as strips of a few frames, to see many at a glance."""

import html
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from vidlib import check
from vidlib.data.sampling import sample_frames
from vidlib.show.sprites import address, webp

GAP = 2  # pixels between two frames


def contact_sheet(
    clips: Sequence[tuple[str, np.ndarray]], *, caption: str, frames: int = 8
) -> Styler:
    """Return a table of strips of ``frames`` frames, spread evenly over each clip.

    clips: title and frames (T, H, W, 3) uint8 RGB of each. ``caption`` says what the sheet shows.
    Raises ValueError without clips.

    >>> sheet = contact_sheet([("black", np.zeros((16, 8, 8, 3), np.uint8))], caption="One clip.")
    >>> sheet.index.tolist(), sheet.caption
    (['black'], 'One clip.')
    """
    check.filled("clips", clips, "at least one (title, frames)")
    titles, pictures = [html.escape(title) for title, _ in clips], []
    for title, (_, clip) in zip(titles, clips, strict=True):
        shown = np.asarray(clip)[sample_frames(len(clip), frames)]
        apart = np.pad(shown, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=255)
        strip = address(webp(np.concatenate(list(apart), axis=1)[:, :-GAP]))
        words = f"{frames} frames of a clip of: {title}"
        pictures.append(f'<img src="{strip}" style="width: 100%" alt="{words}">')
    sheet = pd.DataFrame({"frames": pictures}, index=titles).style.hide(axis="columns")
    narrow = {"selector": "th", "props": "width: 11em; text-align: left; font-weight: normal"}
    below = {"selector": "caption", "props": "caption-side: bottom"}
    sheet.set_caption(html.escape(caption)).set_table_styles([narrow, below])
    return sheet.set_table_attributes('style="width: 100%; table-layout: fixed"')

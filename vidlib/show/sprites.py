"""What figures share: frames packed into one picture, and the element that shows a figure."""

import base64
import html
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vidlib import check

WEB = Path(__file__).parent / "web"  # the scripts
QUALITY = 80  # of WebP pictures
BLOCK = 16  # pixels of a WebP block: the pitch of tiles is a multiple, so none share a block
MARGIN = 2  # pixels at least around a tile: WebP blends the colour of neighbouring pixels
LARGEST = 16383  # pixels of a WebP's longer side


def address(image: np.ndarray) -> str:
    """Return a data URL that holds an image (H, W, 3) uint8 RGB as WebP."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def sprite_sheet(tiles: Sequence[np.ndarray] | np.ndarray) -> dict:
    """Pack N tiles, (N, H, W, 3) uint8 RGB, into a WebP; return its address and its layout.

    They are the sheet, width and height of a tile, the number of tiles across, and the (x, y) pitch
    and margin. Raises ValueError if they do not fit one picture.
    """
    tiles = np.asarray(tiles)
    count, height, width = tiles.shape[:3]
    pitch = [math.ceil((side + 2 * MARGIN) / BLOCK) * BLOCK for side in (width, height)]
    across = math.ceil(math.sqrt(count * pitch[1] / pitch[0]))
    down = math.ceil(count / across)
    if max(across * pitch[0], down * pitch[1]) > LARGEST:
        found = f"{count} frames of {width}x{height} do not fit one sprite sheet"
        raise ValueError(f"{found}: show fewer or smaller frames")
    left, top = margin = [(pitch[0] - width) // 4 * 2, (pitch[1] - height) // 4 * 2]
    right, bottom = pitch[0] - width - left, pitch[1] - height - top
    cells = np.zeros((down * across, pitch[1], pitch[0], 3), np.uint8)
    cells[:count] = np.pad(tiles, ((0, 0), (top, bottom), (left, right), (0, 0)), mode="edge")
    lines = cells.reshape(down, across, *cells.shape[1:]).swapaxes(1, 2)
    layout = {"width": width, "height": height, "across": across, "pitch": pitch, "margin": margin}
    return {"sheet": address(lines.reshape(down * pitch[1], across * pitch[0], 3)), **layout}


def element(tag: str, data: object, text: str, *modules: str) -> str:
    """Return HTML that works alone, beside others, and more than once a page.

    It is a custom element, its data as JSON, and the JavaScript modules that define it. Without
    scripts, readers see ``text``.
    """
    data = html.escape(json.dumps(data, ensure_ascii=False))
    scripts = "".join(f'<script type="module">{module}</script>' for module in modules)
    return f'<{tag} data-figure="{data}"><p>{html.escape(text)}</p></{tag}>{scripts}'


@dataclass(frozen=True)
class Figure:
    """A figure that readers play with, shown by Jupyter and in the book.

    figure: what the custom element ``tag``, which ``modules`` define, reads, its pictures inside.
    ``text`` describes the figure in words.
    """

    tag: str
    figure: Any
    text: str
    modules: Sequence[str]

    def _repr_html_(self) -> str:
        return element(self.tag, self.figure, self.text, *self.modules)

    def __repr__(self) -> str:
        """Describe the figure in words, for plain text."""
        return f"<Figure: {self.text}>"


def script_module(*names: str) -> str:
    """Return one JavaScript module made of ``parts.js`` and the files named."""
    return "\n".join((WEB / name).read_text(encoding="utf-8") for name in ("parts.js", *names))


def check_clip(name: str, clip: np.ndarray) -> None:
    """Refuse a clip that is not (T, H, W, 3) uint8."""
    good = isinstance(clip, np.ndarray) and clip.dtype == np.uint8 and clip.ndim == 4
    good = good and clip.shape[-1] == 3 and 0 not in clip.shape
    check.shape(name, clip, "a NumPy array of uint8 RGB frames, (T, H, W, 3)", good)


def check_mask(name: str, mask: np.ndarray, length: int) -> None:
    """Refuse a mask that is not (T,), T being the length, with values in [0, 1]."""
    mask = np.asarray(mask)
    check.shape(name, mask, f"one value per frame, ({length},)", mask.shape == (length,))
    check.unit(name, mask)

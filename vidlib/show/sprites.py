"""What playable figures share: frames packed into one picture, and the element that shows them."""

import base64
import html
import io
import json
import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image

from vidlib.show.chart import WEB

QUALITY = 80  # of the WebP sheet
BLOCK = 16  # pixels of a WebP block: the tiles' pitch is a multiple, so that none is shared
MARGIN = 2  # pixels at least around a tile: WebP blends the colour of neighbouring pixels
LARGEST = 16383  # pixels a WebP may measure


def sprite_sheet(tiles: Sequence[np.ndarray]) -> tuple[bytes, dict]:
    """Pack tiles, each (H, W, 3) uint8 RGB, into a WebP; return it and where they lie in it.

    The dictionary has width and height of a tile, tiles per line (across), and the (x, y) pitch
    and margin. Raises ValueError for more than one picture can hold.
    """
    height, width = tiles[0].shape[:2]
    pitch = tuple(math.ceil((side + 2 * MARGIN) / BLOCK) * BLOCK for side in (width, height))
    margin = tuple((p - side) // 4 * 2 for p, side in zip(pitch, (width, height), strict=True))
    across = math.ceil(math.sqrt(len(tiles) * pitch[1] / pitch[0]))
    down = math.ceil(len(tiles) / across)
    if max(across * pitch[0], down * pitch[1]) > LARGEST:
        raise ValueError(
            f"{len(tiles)} frames of {width}x{height} do not fit one sprite sheet: "
            "show fewer or smaller frames"
        )
    left, top = margin
    right, bottom = pitch[0] - width - left, pitch[1] - height - top
    canvas = np.zeros((down * pitch[1], across * pitch[0], 3), np.uint8)
    for n, tile in enumerate(tiles):
        y, x = n // across * pitch[1], n % across * pitch[0]
        canvas[y : y + pitch[1], x : x + pitch[0]] = np.pad(
            tile, ((top, bottom), (left, right), (0, 0)), mode="edge"
        )
    out = io.BytesIO()
    Image.fromarray(canvas).save(out, "WEBP", quality=QUALITY, method=4)
    layout = {"width": width, "height": height, "across": across, "pitch": pitch, "margin": margin}
    return out.getvalue(), layout


def sheet_address(sheet: bytes) -> str:
    """Return a WebP as the address of an image that carries its bytes."""
    return "data:image/webp;base64," + base64.b64encode(sheet).decode("ascii")


def element(tag: str, figure: dict, sheet: bytes, text: str, module: str) -> str:
    """Return HTML that works alone, beside others, and more than once a page.

    It is a custom element that draws ``figure`` and ``sheet``, and the JavaScript module that
    defines it; ``text`` stands in its place where no script runs.
    """
    data = json.dumps({**figure, "sheet": sheet_address(sheet)}, ensure_ascii=False)
    return (
        f'<{tag} data-figure="{html.escape(data)}"><p>{html.escape(text)}</p></{tag}>'
        f'<script type="module">{module}</script>'
    )


@cache
def script_module(*names: str) -> str:
    """Return the text of one JavaScript module made of ``parts.js`` and the files named."""
    return "\n".join((WEB / name).read_text(encoding="utf-8") for name in ("parts.js", *names))


def check_clip(name: str, clip: np.ndarray) -> None:
    """Raise ValueError, calling the clip by this name, unless it is (T, H, W, 3) uint8."""
    if not isinstance(clip, np.ndarray) or clip.dtype != np.uint8:
        kind = getattr(clip, "dtype", type(clip).__name__)
        raise ValueError(f"{name} is {kind}: give a NumPy array of uint8, RGB in 0..255")
    if clip.ndim != 4 or clip.shape[-1] != 3 or 0 in clip.shape:
        raise ValueError(f"{name} has shape {clip.shape}: give frames (T, H, W, 3)")


def check_unit(name: str, values: np.ndarray) -> None:
    """Raise ValueError, calling the values by this name, unless they lie in [0, 1]."""
    if not ((values >= 0) & (values <= 1)).all():  # NaN fails too
        raise ValueError(f"{name} has values outside [0, 1]: scale or clip them first")

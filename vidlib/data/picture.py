"""The pictures of a video as a player shows them: upright, not mirrored, in the right colours."""

from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter

REFORMATTER = VideoReformatter()  # one for all: it is slow to set up
UNTAGGED = 2  # how FFmpeg numbers an unspecified colour space


class Geometry(NamedTuple):
    """How the pictures of a video are shown.

    height, width: upright, in square pixels. matrix: (2, 2) of -1, 0 and 1, which takes the axes
    (right, down) of a stored picture to those of the upright one: one of eight ways to turn and
    mirror it.
    """

    height: int
    width: int
    matrix: np.ndarray

    def stored(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the size of a stored picture that is (H, W) upright."""
        return size[::-1] if self.matrix[0, 0] == 0 else size

    def upright(self, frames: np.ndarray) -> np.ndarray:
        """Turn and mirror stored frames (..., H, W, 3) as a player does."""
        if self.matrix[0, 0] == 0:
            frames = frames.swapaxes(-2, -3)
        right, down = self.matrix.sum(1)
        return frames[..., :: int(down), :: int(right), :]


def geometry_of(frame: av.VideoFrame, stream: av.VideoStream) -> Geometry:
    """Return how a frame is shown, by its display matrix and the aspect of its pixels."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    a, b, _, c, d = np.frombuffer(data, "i4")[:5] if data else (1, 0, 0, 0, 1)
    matrix = np.array([[a, c], [b, d]])
    matrix = np.sign(matrix) * (np.abs(matrix) == np.abs(matrix).max(0))
    if sorted(np.abs(matrix).sum(0)) + sorted(np.abs(matrix).sum(1)) != [1, 1, 1, 1]:
        matrix = np.eye(2, dtype=int)  # a slant, or no matrix at all
    wide = frame.width * (stream.sample_aspect_ratio or 1)
    sides = (frame.height, max(1, round(wide)))
    return Geometry(*(sides[::-1] if matrix[0, 0] == 0 else sides), matrix)


def picture_of(frame: av.VideoFrame, size: tuple[int, int], geometry: Geometry) -> np.ndarray:
    """Return a frame as a player shows it, squashed to (H, W) by area: (H, W, 3) uint8 RGB."""
    height, width = geometry.stored(size)
    # Players take untagged pictures of high definition for BT.709, others for BT.601.
    untagged = frame.colorspace == UNTAGGED
    high = frame.width >= 1280 or frame.height > 576
    picture = REFORMATTER.reformat(
        frame,
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=Colorspace.ITU709 if untagged and high else None,
        interpolation="AREA",
        threads=1,  # others would be missing from it after a fork, and waited for
    )
    return geometry.upright(picture.to_ndarray())

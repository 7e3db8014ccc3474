"""Write VP9 and MPEG-4 videos, the same byte for byte for the same frames."""

from pathlib import Path

import av
import numpy as np


def _encode(
    path: Path, frames: np.ndarray, fps: int, form: str, codec: str, **options: str
) -> None:
    bitexact = {"fflags": "+bitexact"}  # no dates, no versions
    with av.open(str(path), "w", format=form, options=bitexact) as container:
        options = {"flags": "+bitexact", "threads": "1", **options}
        stream = container.add_stream(codec, rate=fps, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_webm(path: Path, frames: np.ndarray, fps: int = 12) -> None:
    """Encode frames, (T, H, W, 3) uint8 RGB with even H and W, as VP9 in a webm file.

    The same frames give the same bytes.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "clip.webm")
    >>> write_webm(path, np.zeros((8, 32, 48, 3), np.uint8))
    >>> path.stat().st_size > 0
    True
    """
    options = {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b": "0"}
    _encode(path, frames, fps, "webm", "libvpx-vp9", **options)


def write_avi(path: Path, frames: np.ndarray, fps: int = 25) -> None:
    """Encode frames, (T, H, W, 3) uint8 RGB with even H and W, as MPEG-4 in an avi file.

    The same frames give the same bytes.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "clip.avi")
    >>> write_avi(path, np.zeros((8, 32, 48, 3), np.uint8))
    >>> path.stat().st_size > 0
    True
    """
    quantiser = str(3 * 118)  # 3 of 1 to 31, in FFmpeg's lambda units
    _encode(path, frames, fps, "avi", "mpeg4", flags="+bitexact+qscale", global_quality=quantiser)

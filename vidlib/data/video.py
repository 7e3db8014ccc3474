"""Video files in and out: VP9 webm written byte for byte the same, frames read where they are."""

from pathlib import Path

import av
import numpy as np


class VideoError(ValueError):
    """A video file that cannot be read; the message names the file, the reason and the remedy."""


def write_webm(path: Path, frames: np.ndarray, fps: int = 12) -> None:
    """Encode frames, (T, H, W, 3) uint8 RGB with even H and W, as VP9 in a webm file.

    The same frames give the same bytes: FFmpeg leaves out dates and versions ("bitexact").
    """
    path = Path(path)
    with av.open(str(path), "w", format="webm", options={"fflags": "+bitexact"}) as container:
        options = {
            "deadline": "realtime",
            "cpu-used": "8",
            "crf": "32",
            "b": "0",
            "flags": "+bitexact",
            "threads": "1",
        }
        stream = container.add_stream("libvpx-vp9", rate=fps, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def sample_frames(total: int, wanted: int) -> np.ndarray:
    """Return `wanted` frame numbers spread evenly over `total` frames, both ends included.

    A sequence shorter than that repeats frames. int64, non-decreasing (Sec. 4.1 of the paper:
    sequences are "sub-sampled to cover the entire sequence").
    """
    if total < 1 or wanted < 1:
        raise ValueError(f"cannot sample {wanted} of {total} frames: both must be at least 1")
    return np.round(np.linspace(0, total - 1, wanted)).astype(np.int64)


def read_clip(
    path: Path, frames: int, size: tuple[int, int], start: int = 0, stop: int | None = None
) -> np.ndarray:
    """Return `frames` frames spread evenly over a video, (frames, H, W, 3) uint8 RGB.

    The sequence is [start, stop) in frames of the file, the whole file by default. `size` is
    (H, W); the picture is squashed to it, not cropped, as in the paper. Raises `VideoError` where
    the file is absent, cannot be decoded, or holds fewer frames than `stop`.
    """
    path = Path(path)
    if not path.is_file():
        raise VideoError(f"{path}: no such video; check the path or fetch the data set again")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError(f"{path}: holds no video stream; replace the file")
            decoded = []
            for frame in container.decode(video=0):
                decoded.append(frame)
                if stop is not None and len(decoded) >= stop:
                    break
    except av.FFmpegError as error:
        raise VideoError(f"{path}: cannot be decoded ({error}); fetch the file again") from error
    sequence = decoded[start:stop]
    if not sequence or (stop is not None and len(decoded) < stop):
        raise VideoError(
            f"{path}: holds {len(decoded)} frames, too few for frames {start} to "
            f"{stop if stop is not None else 'the end'}; fetch the file again"
        )
    reformatter = av.video.reformatter.VideoReformatter()
    clip = np.empty((frames, *size, 3), np.uint8)
    for i, number in enumerate(sample_frames(len(sequence), frames)):
        picture = reformatter.reformat(
            sequence[number], width=size[1], height=size[0], format="rgb24", interpolation="AREA"
        )
        clip[i] = picture.to_ndarray()
    return clip

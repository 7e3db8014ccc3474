"""Video files in and out: VP9 webm written byte for byte the same, frames read where they are.

A file is decoded from its beginning, never sought in, so that frame numbers are exact. What its
decoder patches up (`is_corrupt`) counts as damage, and so does an end more than a twentieth, and
more than two frames, before the header's: some headers are not exact. One thing nobody can see: VP9
and raw pictures have no checksums, so a flipped bit inside a frame may merely look odd.
"""

import functools
import itertools
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

# Forced by suffix, so that what merely calls itself .webm (a playlist, say) is not followed.
FORMATS = {".webm": "webm", ".avi": "avi"}
NO_VIDEOS = ("tty",)  # text, of which FFmpeg would draw pictures
MOST_PIXELS = 4096 * 4096
MOST_SECONDS = 60  # of decoding one file: a damaged one may claim to be endless


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


def write_avi(path: Path, frames: np.ndarray, fps: int = 25) -> None:
    """Encode frames, (T, H, W, 3) uint8 RGB with even H and W, as MPEG-4 in an avi file.

    As in `write_webm`, the same frames give the same bytes.
    """
    path = Path(path)
    with av.open(str(path), "w", format="avi", options={"fflags": "+bitexact"}) as container:
        options = {
            "flags": "+bitexact+qscale",
            "global_quality": str(3 * 118),  # quantiser 3 of 1 to 31, in FFmpeg's lambda units
            "threads": "1",
        }
        stream = container.add_stream("mpeg4", rate=fps, options=options)
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


@contextmanager
def _opened(path: Path) -> Iterator[tuple]:
    """Open a file for decoding by one thread; yield its container and its video stream."""
    form = FORMATS.get(path.suffix.lower())
    try:
        if not path.is_file():
            raise VideoError(f"{path}: no such video; check the path or fetch the data set again")
        if not path.stat().st_size:
            raise VideoError(f"{path}: is empty; fetch the file again")
        with av.open(str(path), format=form, metadata_errors="replace") as container:
            if not container.streams.video or container.format.name in NO_VIDEOS:
                raise VideoError(f"{path}: holds no video stream; replace the file")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise VideoError(f"{path}: no decoder knows its codec; replace the file")
            if not 0 < stream.width * stream.height <= MOST_PIXELS:
                raise VideoError(
                    f"{path}: claims pictures of {stream.width} by {stream.height}; "
                    "fetch the file again"
                )
            stream.codec_context.thread_count = 1  # cores are shared out among processes
            yield container, stream
    except (av.FFmpegError, OSError, MemoryError) as error:
        raise VideoError(f"{path}: cannot be decoded ({error}); fetch the file again") from error


def _promise(container, stream) -> int:
    if stream.frames:
        return stream.frames
    if stream.duration is not None:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration is not None and len(container.streams) == 1:
        seconds = container.duration / av.time_base
    else:
        return 0
    return round(seconds * float(stream.average_rate or 0))


def promised_frames(path: Path) -> int:
    """Return how many frames a file's header says it has, 0 where it does not say.

    Raises `VideoError` where the file cannot be opened. Nothing is decoded.
    """
    with _opened(Path(path)) as (container, stream):
        return _promise(container, stream)


class Geometry(NamedTuple):
    """How the pictures of a video are to be seen.

    height, width: upright, in pixels. turns: quarter turns anticlockwise, 0 to 3, that bring a
    decoded picture upright: telephones store pictures as the sensor lies, and say how to turn them.
    """

    height: int
    width: int
    turns: int


def video_geometry(path: Path) -> Geometry:
    """Return how the pictures of a video are to be seen; two of them are decoded.

    Raises `VideoError` where the file is no video: cannot be opened or decoded, or a still picture.
    """
    path = Path(path)
    with _opened(path) as (container, stream):
        frames = [frame for frame, _ in itertools.islice(_frames(path, container.demux(stream)), 2)]
    if len(frames) < 2:
        raise VideoError(f"{path}: holds {len(frames)} frames, so is no video; give another")
    turns = round(frames[0].rotation / 90) % 4
    sides = (frames[0].height, frames[0].width)
    return Geometry(*(sides[::-1] if turns % 2 else sides), turns)


@functools.cache
def _reformatter() -> av.video.reformatter.VideoReformatter:
    return av.video.reformatter.VideoReformatter()  # one for all: it is slow to set up


class Decoded(NamedTuple):
    """A sequence of a file: its sampled frames, or why there are none.

    frames: (T, H, W, 3) uint8 RGB, or None. length: of the sequence, in frames of the file, 0 if
    unknown. reason: what is wrong with which file, and the remedy; "" where all is well.
    """

    frames: np.ndarray | None
    length: int
    reason: str


class _Sampler:
    """Collects the sampled frames of some sequences while their file is decoded."""

    def __init__(self, path: Path, ranges: list[tuple[int, int]], frames: int, size):
        self.path, self.ranges, self.size = path, ranges, size
        self.clips = [np.empty((frames, *size, 3), np.uint8) for _ in ranges]
        self.reasons = [""] * len(ranges)
        self.places = defaultdict(list)  # of each frame number: which clips it goes to, and where
        for k, (start, stop) in enumerate(ranges):
            for position, number in enumerate(start + sample_frames(stop - start, frames)):
                self.places[int(number)].append((k, position))

    def take(self, number: int, frame: av.VideoFrame, damaged: bool) -> None:
        if damaged:
            for k, (start, stop) in enumerate(self.ranges):
                if start <= number < stop and not self.reasons[k]:
                    self.reasons[k] = (
                        f"{self.path}: frame {number} is damaged; fetch the file again"
                    )
        if number in self.places:
            height, width = self.size
            picture = _reformatter().reformat(
                frame,
                width=width,
                height=height,
                format="rgb24",
                interpolation="AREA",
                threads=1,  # others would be missing from it after a fork, and waited for
            )
            for k, position in self.places[number]:
                self.clips[k][position] = picture.to_ndarray()

    def result(self, count: int) -> list[Decoded]:
        """Return the sequences after `count` frames were taken, the last there are."""
        for k, (start, stop) in enumerate(self.ranges):
            if count < stop and not self.reasons[k]:
                self.reasons[k] = (
                    f"{self.path}: holds {count} frames, too few for frames {start} to {stop}; "
                    "fetch the file again"
                )
        return [
            Decoded(None if reason else clip, stop - start, reason)
            for clip, reason, (start, stop) in zip(
                self.clips, self.reasons, self.ranges, strict=True
            )
        ]


def _frames(path: Path, packets: Iterable[av.Packet]) -> Iterator[tuple[av.VideoFrame, bool]]:
    """Yield the frames of some packets, each with whether damage shows in it."""
    deadline = time.monotonic() + MOST_SECONDS
    damaged = False
    for packet in packets:
        for frame in packet.decode():
            # Frames inherit the damage of those they are predicted from, up to a key frame.
            damaged = frame.is_corrupt or (damaged and not frame.key_frame)
            yield frame, damaged
        if time.monotonic() > deadline:
            raise VideoError(f"{path}: takes over {MOST_SECONDS} s to decode; replace the file")


def _decode_ranges(path: Path, ranges, frames: int, size) -> list[Decoded]:
    sampler, count = _Sampler(path, ranges, frames, size), 0
    try:
        with _opened(path) as (container, stream):
            decoded = _frames(path, container.demux(stream))
            for frame, damaged in itertools.islice(decoded, max(stop for _, stop in ranges)):
                sampler.take(count, frame, damaged)
                count += 1
    except VideoError as error:  # what came before may be whole
        sampler.reasons = [
            reason or (str(error) if count < stop else "")
            for reason, (_, stop) in zip(sampler.reasons, ranges, strict=True)
        ]
    return sampler.result(count)


def _decode_whole(path: Path, frames: int, size) -> Decoded:
    total = None
    while True:
        with _opened(path) as (container, stream):
            packets = list(container.demux(stream))  # compressed, and so small
            if total is None:  # one a frame, in all but odd files
                total = sum(1 for packet in packets if packet.size)
            sampler, count = _Sampler(path, [(0, max(1, total))], frames, size), 0
            for frame, damaged in _frames(path, packets):
                sampler.take(count, frame, damaged)
                count += 1
            promised = _promise(container, stream)
        if count < promised - max(2, 0.05 * promised):
            raise VideoError(
                f"{path}: is cut off: its header promises {promised} frames, {count} can be "
                "decoded; fetch the file again"
            )
        if count == total or not count:
            return sampler.result(count)[0]
        total = count


def decode_sequences(
    path: Path,
    ranges: Sequence[tuple[int, int | None]],
    frames: int,
    size: tuple[int, int],
) -> list[Decoded]:
    """Decode sequences of a file, each of them on its own good or bad.

    ranges: (start, stop) in frames of the file, 0-based, half-open, which one pass serves; or
    (0, None), all of it. A sequence is sampled by `sample_frames` and squashed to `size`, (H, W),
    not cropped, as in the paper. It is bad where the file cannot be read, ends too early (for the
    range; the whole file, for what its header promises) or is damaged within it. What is wrong with
    a file is a reason, never an exception; ValueError is for other ranges to the end.
    """
    path = Path(path)
    if all(stop is not None for _, stop in ranges):
        return _decode_ranges(path, list(ranges), frames, size)
    if set(ranges) != {(0, None)}:
        raise ValueError(f"ranges are {list(ranges)}: only the whole file, (0, None), has no stop")
    try:
        whole = _decode_whole(path, frames, size)
    except VideoError as error:
        whole = Decoded(None, 0, str(error))
    return [whole for _ in ranges]


def read_clip(
    path: Path, frames: int, size: tuple[int, int], start: int = 0, stop: int | None = None
) -> np.ndarray:
    """Return a sequence's sampled frames, (frames, H, W, 3) uint8 RGB, the whole file by default.

    As `decode_sequences` has it, but raises `VideoError` where the sequence is bad.
    """
    (sequence,) = decode_sequences(path, [(start, stop)], frames, size)
    if sequence.reason:
        raise VideoError(sequence.reason)
    return sequence.frames

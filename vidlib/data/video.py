"""Read video files frame by frame, and write VP9 and MPEG-4 that is the same byte for byte.

A file is decoded from its beginning, without seeking, so that frame numbers are exact. A frame that
the decoder patches up (`is_corrupt`) counts as damaged. A file counts as cut off if it ends more
than two frames, and more than a twentieth, before its header says: some headers are not exact. VP9
and raw pictures have no checksums, so a flipped bit inside a frame can go unnoticed.
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

from vidlib import check

# Forced by suffix, so that a playlist that is named .webm, for example, is not followed.
FORMATS = {".webm": "webm", ".avi": "avi"}
NO_VIDEOS = ("tty",)  # text, which FFmpeg would render as pictures
MOST_PIXELS = 4096 * 4096
MOST_SECONDS = 60  # to decode one file: a damaged one may seem endless


class VideoError(ValueError):
    """A video file that cannot be read; the message names the file, the reason and the remedy."""


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
    >>> video_geometry(path)
    Geometry(height=32, width=48, turns=0)
    """
    options = {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b": "0"}
    _encode(path, frames, fps, "webm", "libvpx-vp9", **options)


def write_avi(path: Path, frames: np.ndarray, fps: int = 25) -> None:
    """Encode frames, (T, H, W, 3) uint8 RGB with even H and W, as MPEG-4 in an avi file.

    The same frames give the same bytes.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "clip.avi")
    >>> write_avi(path, np.zeros((8, 32, 48, 3), np.uint8))
    >>> promised_frames(path)
    8
    """
    quantiser = str(3 * 118)  # 3 of 1 to 31, in FFmpeg's lambda units
    _encode(path, frames, fps, "avi", "mpeg4", flags="+bitexact+qscale", global_quality=quantiser)


def sample_frames(total: int, wanted: int) -> np.ndarray:
    """Return `wanted` frame numbers spread evenly over `total` frames, both ends included.

    int64, non-decreasing; frames repeat if total < wanted (Sec. 4.1 of the paper: sequences are
    "sub-sampled to cover the entire sequence").

    >>> sample_frames(9, 5)
    array([0, 2, 4, 6, 8])
    """
    check.count("total", total)
    check.count("wanted", wanted)
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
                size = f"{stream.width} by {stream.height}"
                raise VideoError(f"{path}: claims pictures of {size}; fetch the file again")
            stream.codec_context.thread_count = 1  # several processes share the cores
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
    """Return the number of frames that a file's header gives, 0 if it gives none.

    Raises `VideoError` if the file cannot be opened. Nothing is decoded.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "clip.webm")
    >>> write_webm(path, np.zeros((8, 32, 48, 3), np.uint8))
    >>> promised_frames(path)
    8
    """
    with _opened(Path(path)) as (container, stream):
        return _promise(container, stream)


class Geometry(NamedTuple):
    """Size and rotation of a video's pictures.

    height, width: upright, in pixels. turns: quarter turns anticlockwise, 0 to 3, that make a
    decoded picture upright: phones store pictures as the sensor sees them, with a rotation.
    """

    height: int
    width: int
    turns: int


def video_geometry(path: Path) -> Geometry:
    """Return size and rotation of a video's pictures; two of them are decoded.

    Raises `VideoError` if the file cannot be opened or decoded, or is a still picture.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "clip.webm")
    >>> write_webm(path, np.zeros((8, 32, 48, 3), np.uint8))
    >>> video_geometry(path)
    Geometry(height=32, width=48, turns=0)
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
    return av.video.reformatter.VideoReformatter()  # shared: it is slow to set up


class Decoded(NamedTuple):
    """A sequence of a file: its sampled frames, or why it is bad.

    frames: (T, H, W, 3) uint8 RGB, None if it is bad. length: of the sequence, in frames of the
    file, 0 if unknown. reason: the file, what is wrong with it and the remedy; "" if it is good.
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
        self.places = defaultdict(list)  # by frame number: clips and positions that it fills
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
                threads=1,  # after a fork it would wait for threads that are gone
            )
            for k, position in self.places[number]:
                self.clips[k][position] = picture.to_ndarray()

    def result(self, count: int) -> list[Decoded]:
        """Return the sequences, once all `count` frames of the file were taken."""
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
    """Yield the frames of some packets, each with whether it is damaged."""
    deadline = time.monotonic() + MOST_SECONDS
    damaged = False
    for packet in packets:
        for frame in packet.decode():
            # Damage spreads to the frames that are predicted from one, up to a key frame.
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
    except VideoError as error:  # sequences before it may be good
        sampler.reasons = [
            reason or (str(error) if count < stop else "")
            for reason, (_, stop) in zip(sampler.reasons, ranges, strict=True)
        ]
    return sampler.result(count)


def _decode_whole(path: Path, frames: int, size) -> Decoded:
    total = None
    while True:
        with _opened(path) as (container, stream):
            packets = list(container.demux(stream))  # compressed: small
            if total is None:  # one per frame, in almost all files
                total = sum(1 for packet in packets if packet.size)
            sampler, count = _Sampler(path, [(0, max(1, total))], frames, size), 0
            for frame, damaged in _frames(path, packets):
                sampler.take(count, frame, damaged)
                count += 1
            promised = _promise(container, stream)
        if count < promised - max(2, 0.05 * promised):
            raise VideoError(
                f"{path}: is cut off: promises {promised} frames, has {count}; fetch the file again"
            )
        if count == total or not count:
            return sampler.result(count)[0]
        total = count


def decode_sequences(
    path: str | Path,
    ranges: Sequence[tuple[int, int | None]],
    frames: int,
    size: tuple[int, int],
) -> list[Decoded]:
    """Decode sequences of a file in one pass; each is good or bad by itself.

    ranges: (start, stop) in frames of the file, 0-based, half-open; or (0, None), the whole file. A
    sequence is sampled by `sample_frames` and resized to `size`, (H, W), without cropping, as in
    the paper. It is bad if the file cannot be read, ends before the range does (or, the whole file,
    before its header says) or is damaged in the range. A problem with the file is a `reason`, never
    an exception. Raises ValueError for other ranges without a stop.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "clip.webm")
    >>> write_webm(path, np.zeros((8, 32, 48, 3), np.uint8))
    >>> [(one.frames.shape, one.length) for one in decode_sequences(path, [(2, 8)], 4, (16, 16))]
    [((4, 16, 16, 3), 6)]
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
    path: str | Path, frames: int, size: tuple[int, int], start: int = 0, stop: int | None = None
) -> np.ndarray:
    """Return the sampled frames of a sequence, by default the file: (frames, H, W, 3) uint8 RGB.

    As `decode_sequences`, but raises `VideoError` if the sequence is bad.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "clip.webm")
    >>> write_webm(path, np.zeros((8, 32, 48, 3), np.uint8))
    >>> read_clip(path, 4, (16, 16)).shape
    (4, 16, 16, 3)
    """
    (sequence,) = decode_sequences(path, [(start, stop)], frames, size)
    if sequence.frames is None:
        raise VideoError(sequence.reason)
    return sequence.frames

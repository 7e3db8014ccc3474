"""Read the frames of video files as a player shows them.

A file is read twice: first its packets, which say when each frame is shown, then its frames. A
frame that the decoder patches up (`is_corrupt`) counts as damaged. A file counts as cut off if it
ends more than two frames, and more than a twentieth, before its header says: some headers are not
exact. VP9 and raw pictures have no checksums, so a flipped bit inside a frame can go unnoticed.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from vidlib.data.picture import Geometry, geometry_of, picture_of
from vidlib.data.sampling import sample_times

# Forced by suffix, so that a playlist that is named .webm, for example, is not followed.
FORMATS = {".webm": "webm", ".avi": "avi"}
NO_VIDEOS = ("tty",)  # text, which FFmpeg would render as pictures
NO_TIMES = ("mpeg", "mpegvideo", "h264", "hevc")  # few time stamps, or none
NO_HEADER = ("mpegts", *NO_TIMES)  # files may be cut anywhere, and their duration is a guess
MOST_SIDE = 8192  # pixels
MOST_SECONDS = 60  # to decode one file of a data set: a damaged one may seem endless
AHEAD = 250  # frames that are decoded rather than skipped by seeking


class VideoError(ValueError):
    """A video file that cannot be read; the message names the file, the reason and the remedy."""


@contextmanager
def _opened(path: Path) -> Iterator[tuple]:
    """Open a file for decoding by one thread; yield its container and its best video stream."""
    form = FORMATS.get(path.suffix.lower())
    try:
        if not path.is_file():
            raise VideoError(f"{path}: no such video; check the path or fetch the data set again")
        if not path.stat().st_size:
            raise VideoError(f"{path}: is empty; fetch the file again")
        # An absolute path: 10:20.mp4 alone would be an address.
        with av.open(str(path.absolute()), format=form, metadata_errors="replace") as container:
            stream = container.streams.best("video")
            if stream is None or container.format.name in NO_VIDEOS:
                raise VideoError(f"{path}: holds no video stream; replace the file")
            if stream.frames == 1:  # a thumbnail that is not marked as one
                stream = max(container.streams.video, key=lambda other: other.frames)
            assert isinstance(stream, av.VideoStream)
            if stream.codec_context is None:
                raise VideoError(f"{path}: no decoder knows its codec; replace the file")
            sides = (stream.width, stream.height)
            if min(sides) < 1 or max(sides) > MOST_SIDE:
                size = f"claims pictures of {stream.width} by {stream.height}"
                raise VideoError(f"{path}: {size}, not 1 to {MOST_SIDE}; convert or fetch it again")
            stream.codec_context.thread_count = 1  # several processes share the cores
            yield container, stream
    except (av.FFmpegError, OSError, MemoryError) as error:
        raise VideoError(f"{path}: cannot be decoded ({error}); fetch the file again") from error


def _promised_seconds(container, stream) -> float:
    """Return for how long a file's header says that there are pictures, 0.0 if it does not say."""
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)  # counts skipped frames, too
    if container.format.name in NO_HEADER:  # FFmpeg guesses
        return 0.0
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / av.time_base
    return 0.0


def promised_frames(path: Path) -> int:
    """Return how many frames a file's header says it has, 0 if it does not say.

    Raises `VideoError` if the file cannot be opened. Nothing is decoded.

    >>> import tempfile
    >>> from vidlib.data import write_webm
    >>> path = Path(tempfile.mkdtemp(), "clip.webm")
    >>> write_webm(path, np.zeros((8, 32, 48, 3), np.uint8))
    >>> promised_frames(path)
    8
    """
    with _opened(Path(path)) as (container, stream):
        seconds = _promised_seconds(container, stream)
        return round(seconds * float(stream.average_rate or 0)) or stream.frames


class Timeline(NamedTuple):
    """The frames of a file that a player shows, in order.

    times: (N,) float64, when each is first shown, in seconds. stamps: the time stamp of each. keys:
    numbers of the frames at which decoding can start. tail: for how long the last one is shown, in
    seconds. errors: what FFmpeg says against the packets of a Matroska file, "" if nothing.
    """

    times: np.ndarray
    stamps: list[int]
    keys: np.ndarray
    tail: float
    errors: str


def _timeline(container, stream) -> Timeline:
    """Read all packets of a stream; frames that an edit list hides do not count."""
    shown: dict[int, int] = {}  # durations by time stamp
    keys = set()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as logs:
            for packet in container.demux(stream):
                stamp = packet.dts if packet.pts is None else packet.pts
                if packet.size and not packet.is_discard:
                    stamp = len(shown) if stamp is None else stamp
                    shown[stamp] = packet.duration or 0
                    if packet.is_keyframe:
                        keys.add(stamp)
    finally:
        av.logging.set_level(None)
    stamps, unit = sorted(shown), float(stream.time_base)
    errors = [text.strip() for _, part, text in logs if part == "matroska,webm"]
    return Timeline(
        np.array(stamps, float) * unit,
        stamps,
        np.flatnonzero([stamp in keys for stamp in stamps]),
        shown[stamps[-1]] * unit if stamps else 0.0,
        errors[0] if errors else "",
    )


def video_geometry(path: str | Path) -> Geometry:
    """Return how the pictures of a video are shown; two of them are decoded.

    Raises `VideoError` if the file cannot be opened or decoded, or is a still picture.

    >>> import tempfile
    >>> from vidlib.data import write_webm
    >>> path = Path(tempfile.mkdtemp(), "clip.webm")
    >>> write_webm(path, np.zeros((8, 32, 48, 3), np.uint8))
    >>> video_geometry(path)[:2]
    (32, 48)
    """
    path = Path(path)
    with _opened(path) as (container, stream):
        first_two = islice(_frames(path, container, stream, math.inf), 2)
        found = [geometry_of(frame, stream) for frame, _ in first_two]
    if len(found) < 2:
        raise VideoError(f"{path}: holds {len(found)} frames, so is no video; give another")
    return found[0]


def _frames(path: Path, container, stream, limit: float) -> Iterator[tuple[av.VideoFrame, bool]]:
    """Yield the frames of a stream from where it stands, each with whether it is damaged.

    A file without a header may be cut anywhere: what comes before its first key frame is not shown,
    nor the damaged end of its last frame.
    """
    deadline, bare = time.monotonic() + limit, container.format.name in NO_HEADER
    damaged, begun, held = False, not bare, None
    for packet in container.demux(stream):
        for frame in packet.decode():
            # Damage spreads to the frames that are predicted from one, up to a key frame.
            damaged = frame.is_corrupt or (damaged and not frame.key_frame)
            begun = begun or (frame.key_frame and not damaged)
            if held is not None:
                yield held
            held = (frame, damaged) if begun else None
        if time.monotonic() > deadline:
            raise VideoError(f"{path}: takes over {limit:g} s to decode; replace the file")
    if held is not None and not (bare and held[1]):
        yield held


class Decoded(NamedTuple):
    """A sequence of a file: its sampled frames, or why it is bad.

    frames: (T, H, W, 3) uint8 RGB, None if it is bad. length: of the sequence, in frames of the
    file, 0 if unknown. reason: the file, what is wrong with it and the remedy; "" if it is good.
    """

    frames: np.ndarray | None
    length: int
    reason: str


class _Sampler:
    """Collects the sampled frames of some sequences while their file is decoded.

    times: when each frame of the file is first shown, (N,).
    """

    def __init__(self, path: Path, ranges, times: np.ndarray, frames: int, size: tuple[int, int]):
        self.path, self.size = path, size
        self.stops = [math.inf if stop is None else stop for _, stop in ranges]
        self.ranges = [
            (start, max(start + 1, len(times)) if stop is None else stop) for start, stop in ranges
        ]
        self.clips = [np.empty((frames, *size, 3), np.uint8) for _ in ranges]
        self.reasons = [""] * len(ranges)
        self.wanted = defaultdict(list)  # by frame number: clips and positions that it fills
        for k, (start, stop) in enumerate(self.ranges):
            if start < stop <= len(times):
                for position, number in enumerate(sample_times(times[start:stop], frames)):
                    self.wanted[start + int(number)].append((k, position))

    def refuse(self, k: int, reason: str) -> None:
        """Note what is wrong with a sequence, unless something else is."""
        self.reasons[k] = self.reasons[k] or f"{self.path}: {reason}"

    def take(self, number: int, frame: av.VideoFrame, damaged: bool, stream) -> None:
        for k, (start, stop) in enumerate(self.ranges):
            if damaged and start <= number < stop:
                self.refuse(k, f"frame {number} is damaged; fetch the file again")
        if number in self.wanted:
            picture = picture_of(frame, self.size, geometry_of(frame, stream))
            for k, position in self.wanted.pop(number):
                self.clips[k][position] = picture

    def result(self) -> list[Decoded]:
        found = zip(self.clips, self.reasons, self.ranges, strict=True)
        return [
            Decoded(None if reason else clip, max(0, stop - start), reason)
            for clip, reason, (start, stop) in found
        ]


def _decode(sampler: _Sampler, limit: float) -> np.ndarray:
    """Take the frames of a file from its beginning; return when each was shown, in seconds."""
    times: list[float] = []
    try:
        with _opened(sampler.path) as (container, stream):
            for frame, damaged in _frames(sampler.path, container, stream, limit):
                sampler.take(len(times), frame, damaged, stream)
                times.append(len(times) if frame.time is None else frame.time)
                if len(times) == max(sampler.stops):
                    break
    except VideoError as error:  # sequences before it may be good
        for k, stop in enumerate(sampler.stops):
            if len(times) < stop:
                sampler.reasons[k] = sampler.reasons[k] or str(error)
    return np.array(times, float)


def _decode_some(sampler: _Sampler, timeline: Timeline) -> None:
    """Take the wanted frames of a file by their time stamps, seeking where the next is far ahead.

    Where time stamps are of no use, some frames are still wanted afterwards.
    """
    numbers = {stamp: number for number, stamp in enumerate(timeline.stamps)}
    position, key = -1, 0
    with _opened(sampler.path) as (container, stream):
        name, by_dts = container.format.name, stream.codec_context.has_b_frames
        if name in NO_TIMES or (name == "avi" and by_dts):  # stamps in the order of decoding
            return
        frames = _frames(sampler.path, container, stream, math.inf)
        for number in sorted(sampler.wanted):
            before = timeline.keys[timeline.keys <= number]
            if len(before) and before[-1] > position + AHEAD:
                key = before[-1]
                container.seek(timeline.stamps[key], stream=stream)
                frames = _frames(sampler.path, container, stream, math.inf)
            for frame, damaged in frames:
                position = numbers.get(frame.pts or 0, position)
                if position >= key:  # some before a key frame need what was skipped
                    sampler.take(position, frame, damaged, stream)
                if position >= number:
                    break


def decode_sequences(
    path: str | Path,
    ranges: Sequence[tuple[int, int | None]],
    frames: int,
    size: tuple[int, int],
    *,
    seek: bool = False,
) -> list[Decoded]:
    """Decode sequences of a file, each of them good or bad by itself.

    ranges: (start, stop) in frames of the file as shown, 0-based, half-open; stop None is the end.
    A sequence is sampled by `sample_times` and resized to `size`, (H, W), without cropping, as in
    the paper. It is bad if the file cannot be read, ends before the range does (or, for a range to
    the end, before its header says) or is damaged in the range. A problem with the file is a
    `reason`, never an exception. The file is decoded from its beginning, within `MOST_SECONDS`, so
    that frame numbers are exact in any file. seek: skip what lies between the sampled frames where
    time stamps allow it, and take as long as it takes: for long films.

    >>> import tempfile
    >>> from vidlib.data import write_webm
    >>> path = Path(tempfile.mkdtemp(), "clip.webm")
    >>> write_webm(path, np.zeros((8, 32, 48, 3), np.uint8))
    >>> [(one.frames.shape, one.length) for one in decode_sequences(path, [(2, 8)], 4, (16, 16))]
    [((4, 16, 16, 3), 6)]
    """
    path, limit = Path(path), math.inf if seek else MOST_SECONDS
    try:
        with _opened(path) as (container, stream):
            timeline = _timeline(container, stream)
            promised, rate = _promised_seconds(container, stream), float(stream.average_rate or 0)
    except VideoError as error:
        return [Decoded(None, 0, str(error)) for _ in ranges]
    times, sampler = timeline.times, _Sampler(path, ranges, timeline.times, frames, size)
    if seek:
        with suppress(VideoError):  # some files refuse to
            _decode_some(sampler, timeline)
    if sampler.wanted or not seek:
        sampler = _Sampler(path, ranges, times, frames, size)
        times = _decode(sampler, limit)
        if len(times) not in (0, min(max(sampler.stops), len(timeline.times))):
            # Packets are not always frames: once more, by the frames that were there.
            sampler = _Sampler(path, ranges, times, frames, size)
            _decode(sampler, limit)
    count = len(times)
    shown = times[-1] - times[0] + max(timeline.tail, 1 / (rate or np.inf)) if count else 0.0
    for k, (start, stop) in enumerate(ranges):
        if stop is None and shown < min(0.95 * promised, promised - 2 / (rate or 1)):
            told = f"is cut off: promises {promised * rate:.0f} frames, has {count}"
            sampler.refuse(k, f"{told}; fetch the file again")
        if stop is None and timeline.errors:
            sampler.refuse(k, f"is damaged ({timeline.errors}); fetch the file again")
        start, stop = sampler.ranges[k]
        if not start < stop <= count:
            few = f"holds {count} frames, too few for frames {start} to {stop}"
            sampler.refuse(k, f"{few}; ask for fewer or fetch the file again")
    return sampler.result()


def read_clip(
    path: str | Path,
    frames: int,
    size: tuple[int, int],
    start: int = 0,
    stop: int | None = None,
    *,
    seek: bool = False,
) -> np.ndarray:
    """Return the sampled frames of a sequence, by default the file: (frames, H, W, 3) uint8 RGB.

    As `decode_sequences`, but raises `VideoError` if the sequence is bad.

    >>> import tempfile
    >>> from vidlib.data import write_webm
    >>> path = Path(tempfile.mkdtemp(), "clip.webm")
    >>> write_webm(path, np.zeros((8, 32, 48, 3), np.uint8))
    >>> read_clip(path, 4, (16, 16)).shape
    (4, 16, 16, 3)
    """
    (sequence,) = decode_sequences(path, [(start, stop)], frames, size, seek=seek)
    if sequence.frames is None:
        raise VideoError(sequence.reason)
    return sequence.frames

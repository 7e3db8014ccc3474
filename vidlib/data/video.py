"""Read the frames of video files as a player shows them.

A file is read twice: first its packets, which say when each frame is shown, then its frames. A
frame that the decoder patches up (`is_corrupt`) counts as damaged. A file counts as cut off if it
ends more than two frames, and more than a twentieth, before its header says: some headers are not
exact. VP9 and raw pictures have no checksums, so a flipped bit inside a frame can go unnoticed.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from vidlib.data.picture import Geometry, geometry_of, picture_of
from vidlib.data.sampling import sample_times

# Forced by suffix, so that a playlist that is named .webm, for example, is not followed.
FORMATS = {".webm": "webm", ".avi": "avi"}
NO_VIDEOS = ("tty",)  # text, which FFmpeg would render as pictures
MOST_PIXELS = 4096 * 4096
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
            if stream.codec_context is None:
                raise VideoError(f"{path}: no decoder knows its codec; replace the file")
            if not 0 < stream.width * stream.height <= MOST_PIXELS:
                raise VideoError(
                    f"{path}: claims pictures of {stream.width} by {stream.height}, more than "
                    f"{MOST_PIXELS:,} pixels or none; make it smaller, or fetch the file again"
                )
            stream.codec_context.thread_count = 1  # cores are shared out among processes
            yield container, stream
    except (av.FFmpegError, OSError, MemoryError) as error:
        raise VideoError(f"{path}: cannot be decoded ({error}); fetch the file again") from error


def _promised_seconds(container, stream) -> float:
    """Return how long a file's header says that its pictures are shown, 0.0 if it does not say."""
    if container.format.name == "mpegts":  # no header: FFmpeg guesses
        return 0.0
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / av.time_base
    return 0.0


def promised_frames(path: Path) -> int:
    """Return how many frames a file's header says it has, 0 if it does not say.

    Raises `VideoError` if the file cannot be opened. Nothing is decoded.
    """
    with _opened(Path(path)) as (container, stream):
        seconds = _promised_seconds(container, stream)
        return round(seconds * float(stream.average_rate or 0)) or stream.frames


class Timeline(NamedTuple):
    """The frames of a file that a player shows, in order.

    times: (N,) float64, when each is first shown, in seconds. stamps: by a frame's time stamp, its
    number. keys: numbers of the frames at which decoding can start.
    """

    times: np.ndarray
    stamps: dict[int, int]
    keys: np.ndarray

    @classmethod
    def of(cls, stamps: list[int], keys: set[int], unit: float) -> "Timeline":
        """Make one of time stamps, in any order, in units of so many seconds."""
        stamps = sorted(set(stamps))
        numbers = {stamp: number for number, stamp in enumerate(stamps)}
        times = np.array(stamps, float) * unit
        return cls(times, numbers, np.array(sorted(numbers[s] for s in keys), int))


def _timeline(container, stream) -> Timeline:
    """Read all packets of a stream; frames that an edit list hides do not count."""
    stamps, keys = [], set()
    for packet in container.demux(stream):
        stamp = packet.dts if packet.pts is None else packet.pts
        if packet.size and not packet.is_discard:
            stamps.append(len(stamps) if stamp is None else stamp)
            if packet.is_keyframe:
                keys.add(stamps[-1])
    return Timeline.of(stamps, keys, float(stream.time_base))


def video_geometry(path: Path) -> Geometry:
    """Return how the pictures of a video are shown; two of them are decoded.

    Raises `VideoError` if the file is no video: cannot be opened or decoded, or is a still picture.
    """
    path = Path(path)
    with _opened(path) as (container, stream):
        found = []
        for frame, _ in _frames(path, container, stream, MOST_SECONDS):
            found.append(geometry_of(frame, stream))
            if len(found) == 2:
                return found[0]
    raise VideoError(f"{path}: holds {len(found)} frames, so is no video; give another")


def _frames(path: Path, container, stream, limit: float) -> Iterator[tuple[av.VideoFrame, bool]]:
    """Yield the frames of a stream from where it stands, each with whether damage shows in it.

    A transport stream may be cut anywhere: there what comes before the first key frame, and the
    damaged end of the last frame, are not shown.
    """
    deadline = time.monotonic() + limit
    cut_anywhere = container.format.name == "mpegts"
    damaged, begun, held = False, not cut_anywhere, None
    for packet in container.demux(stream):
        for frame in packet.decode():
            # Frames inherit the damage of those they are predicted from, up to a key frame.
            damaged = frame.is_corrupt or (damaged and not frame.key_frame)
            begun = begun or (frame.key_frame and not damaged)
            if begun and held is not None:
                yield held
            held = (frame, damaged) if begun else None
        if time.monotonic() > deadline:
            raise VideoError(f"{path}: takes over {limit:g} s to decode; cut or shorten it")
    if held is not None and not (cut_anywhere and held[1]):
        yield held


class Decoded(NamedTuple):
    """A sequence of a file: its sampled frames, or why there are none.

    frames: (T, H, W, 3) uint8 RGB, or None. length: of the sequence, in frames of the file, 0 if
    unknown. reason: what is wrong with which file, and the remedy; "" if nothing is.
    """

    frames: np.ndarray | None
    length: int
    reason: str


class _Sampler:
    """Collects the sampled frames of some sequences while their file is decoded.

    times: when each frame of the file is first shown, (N,).
    """

    def __init__(self, path: Path, ranges, times: np.ndarray, frames: int, size: tuple[int, int]):
        self.path, self.size, self.to_end = path, size, [stop is None for _, stop in ranges]
        self.ranges = [(start, len(times) if stop is None else stop) for start, stop in ranges]
        self.last = max(stop for _, stop in self.ranges)
        self.clips = [np.zeros((frames, *size, 3), np.uint8) for _ in ranges]
        self.reasons = [""] * len(ranges)
        self.wanted = defaultdict(list)  # of each frame number: which clips it goes to, and where
        for k, (start, stop) in enumerate(self.ranges):
            if start < stop <= len(times):
                for position, number in enumerate(sample_times(times[start:stop], frames)):
                    self.wanted[start + int(number)].append((k, position))

    def refuse(self, k: int, reason: str) -> None:
        """Note what is wrong with a sequence, unless something else is."""
        self.reasons[k] = self.reasons[k] or reason

    def take(self, number: int, frame: av.VideoFrame, damaged: bool, stream) -> None:
        """Take the frame of this number if it is wanted."""
        for k, (start, stop) in enumerate(self.ranges):
            if damaged and start <= number < stop:
                self.refuse(k, f"{self.path}: frame {number} is damaged; fetch the file again")
        if number in self.wanted:
            picture = picture_of(frame, self.size, geometry_of(frame, stream))
            for k, position in self.wanted.pop(number):
                self.clips[k][position] = picture

    def result(self) -> list[Decoded]:
        """Return the sequences."""
        return [
            Decoded(None if reason else clip, max(0, stop - start), reason)
            for clip, reason, (start, stop) in zip(
                self.clips, self.reasons, self.ranges, strict=True
            )
        ]


def _decode(sampler: _Sampler, timeline: Timeline, limit: float, seek: bool) -> np.ndarray:
    """Give a sampler the frames of its file; return when each was shown, in seconds.

    With `seek`, frames far from any that is wanted are skipped, and no times are returned for them.
    """
    times = []
    try:
        with _opened(sampler.path) as (container, stream):
            frames = _frames(sampler.path, container, stream, limit)
            if seek and container.format.name != "avi":  # whose time stamps are in coding order
                _skip(sampler, timeline, container, stream, frames, limit)
                return timeline.times
            for number, (frame, damaged) in enumerate(frames):
                times.append(number if frame.time is None else frame.time)
                sampler.take(number, frame, damaged, stream)
                if number + 1 == sampler.last and not any(sampler.to_end):
                    break
    except VideoError as error:  # what came before may be whole
        for k, (_, stop) in enumerate(sampler.ranges):
            if len(times) < stop:
                sampler.refuse(k, str(error))
    return np.array(times, float)


def _skip(sampler: _Sampler, timeline: Timeline, container, stream, frames, limit: float) -> None:
    """Take the wanted frames one after the other, seeking where the next is far ahead."""
    stamps, position, sought = list(timeline.stamps), -1, False
    for number in sorted(sampler.wanted):
        keys = timeline.keys[timeline.keys <= number]
        if len(keys) and keys[-1] > position + AHEAD:
            container.seek(stamps[keys[-1]], stream=stream)
            frames, sought = _frames(sampler.path, container, stream, limit), True
        for frame, damaged in frames:
            position = timeline.stamps.get(frame.pts, len(stamps)) if sought else position + 1
            sampler.take(position, frame, damaged, stream)
            if position >= number:
                break


def decode_sequences(
    path: Path,
    ranges: Sequence[tuple[int, int | None]],
    frames: int,
    size: tuple[int, int],
    *,
    limit: float = MOST_SECONDS,
    seek: bool = False,
) -> list[Decoded]:
    """Decode sequences of a file, each of them on its own good or bad.

    ranges: (start, stop) in frames of the file as shown, 0-based, half-open; stop None is the end.
    A sequence is sampled by `sample_times` and squashed to `size`, (H, W), not cropped, as in the
    paper. It is bad if the file cannot be read, ends too early (for the range; one to the end, for
    the duration that the header promises) or is damaged within it. limit: seconds that decoding may
    take. seek: whether to skip what lies between sampled frames, for long films; else the file is
    decoded from its beginning, so that frame numbers are exact in any file. What is wrong with a
    file is a reason, never an exception.
    """
    path = Path(path)
    try:
        with _opened(path) as (container, stream):
            timeline = _timeline(container, stream)
            promised, rate = _promised_seconds(container, stream), float(stream.average_rate or 0)
    except VideoError as error:
        return [Decoded(None, 0, str(error)) for _ in ranges]
    sampler = _Sampler(path, ranges, timeline.times, frames, size)
    times = _decode(sampler, timeline, limit, seek)
    if seek and sampler.wanted:  # its time stamps are of no use
        return decode_sequences(path, ranges, frames, size, limit=limit)
    if any(sampler.to_end) and len(times) not in (0, len(timeline.times)):
        # Packets are not always frames: once more, by the frames that were there.
        sampler = _Sampler(path, ranges, times, frames, size)
        times = _decode(sampler, timeline, limit, False)
    count = len(times)
    shown = (times[-1] - times[0]) * count / max(1, count - 1) if count else 0.0
    for k, (start, stop) in enumerate(sampler.ranges):
        if sampler.to_end[k] and shown < min(0.95 * promised, promised - 2 / (rate or 1)):
            told = f"its header promises {promised * rate:.0f} frames, {count} can be decoded"
            sampler.refuse(k, f"{path}: is cut off: {told}; fetch the file again")
        if not start < stop <= count:
            few = f"holds {count} frames, too few for frames {start} to {stop}"
            sampler.refuse(k, f"{path}: {few}; fetch the file again")
    return sampler.result()


def read_clip(
    path: Path,
    frames: int,
    size: tuple[int, int],
    start: int = 0,
    stop: int | None = None,
    **options,
) -> np.ndarray:
    """Return a sequence's sampled frames, (frames, H, W, 3) uint8 RGB, the whole file by default.

    As `decode_sequences` has it, with its options, but raises `VideoError` if the sequence is bad.
    """
    (sequence,) = decode_sequences(path, [(start, stop)], frames, size, **options)
    if sequence.frames is None:
        raise VideoError(sequence.reason)
    return sequence.frames

"""Clips for networks: from a memory-mapped array, or decoded from their files when used."""

import functools
import math
import mmap
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from pebble import ProcessExpired
from torch.utils.data import BatchSampler

from vidlib.data.index import DataWarning, places_of
from vidlib.data.processes import in_turn
from vidlib.data.video import MOST_SECONDS, VideoError, read_clip


def to_network(frames: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Turn frames (..., T, H, W, 3) uint8 RGB into clips (..., 3, T, H, W) float32 in [-1, 1].

    A tensor's clips are on its device.

    >>> clips = to_network(np.zeros((16, 64, 64, 3), np.uint8))
    >>> clips.shape, clips.min().item()
    (torch.Size([3, 16, 64, 64]), -1.0)
    """
    if not isinstance(frames, torch.Tensor):
        frames = torch.tensor(np.asarray(frames))  # a copy: a memory map may be read-only
    clips = frames.movedim(-1, -4)
    return clips.to(torch.float32).div_(127.5).sub_(1.0).contiguous()


class Frames:
    """The frames of some clips, each read from an array on disk, or decoded, when it is used.

    `frames[i]` is clip i, (T, H, W, 3) uint8; `numpy.asarray(frames)` all of them, (N, T, H, W, 3).
    """

    def __init__(
        self,
        read: Callable[[int], np.ndarray],
        rows: np.ndarray,
        shape: tuple[int, ...],
        decoded: bool = False,
    ):
        """read: returns the clip of a row, of this shape. rows: the rows of the clips, in order.

        decoded: whether `read` decodes a file.
        """
        self.read, self.rows, self.decoded = read, rows, decoded
        self.shape = (len(rows), *shape)

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.rows)

    def __getitem__(self, i: int) -> np.ndarray:
        """Return clip i; raise `VideoError` if its file cannot be decoded."""
        return self.read(int(self.rows[i]))

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """Return all clips in memory."""
        return np.stack([self[i] for i in range(len(self))]).astype(dtype or np.uint8, copy=False)

    def take(self, positions: np.ndarray) -> "Frames":
        """Return the clips at these positions, without reading them."""
        return Frames(self.read, self.rows[positions], self.shape[1:], self.decoded)


class Clips:
    """Clips of an index: item i is (clip (3, T, H, W) in [-1, 1], output).

    index: a row per clip, as a reader returns it. frames: of the same clips. classes: official
    numbers in increasing order; a network's output k is for classes[k].
    """

    def __init__(self, index: pd.DataFrame, frames: Frames, classes: list[int]):
        self.index = index
        self.frames = frames
        self.classes = classes
        self.outputs = np.searchsorted(classes, index["label"].to_numpy(int))
        self.names = index.drop_duplicates("label").set_index("label")["label_name"].to_dict()

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.index)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        """Return clip i and its class as a network's output number."""
        return to_network(self.frames[i]), int(self.outputs[i])

    def subset(self, rows: np.ndarray) -> "Clips":
        """Return the clips at these positions, in this order."""
        index = self.index.iloc[rows].reset_index(drop=True)
        chosen = Clips(index, self.frames.take(rows), self.classes)
        chosen.names = self.names
        return chosen

    def split(self, name: str) -> "Clips":
        """Return the clips of one split."""
        return self.subset(np.flatnonzero(self.index["split"] == name))

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all clips at once, (N, 3, T, H, W) in [-1, 1], and their outputs, (N,) int64."""
        return to_network(np.asarray(self.frames)), torch.from_numpy(self.outputs).long()


def load_clips(folder: Path) -> Clips:
    """Return the good clips of a folder that `prepare_clips` wrote; each is read when it is used.

    Raises FileNotFoundError if the folder has no prepared clips.

    >>> load_clips("no/such/folder")
    Traceback (most recent call last):
    FileNotFoundError: no/such/folder has no prepared clips: run the prepare stage first
    """
    folder = Path(folder)
    if not (folder / "index.parquet").is_file() or (folder / "decoding.parquet").exists():
        raise FileNotFoundError(f"{folder} has no prepared clips: run the prepare stage first")
    index = pd.read_parquet(folder / "index.parquet")
    frames, size = index.attrs["frames"], tuple(index.attrs["size"])
    decoded = not (folder / "frames.npy").is_file()
    rows = index["row"].to_numpy()
    read: Callable[[int], np.ndarray]
    if decoded:
        # A dict: a lookup in a table would take as long as decoding a frame.
        places = dict(zip(rows.tolist(), places_of(index), strict=True))
        read = functools.partial(_read_row, places, frames, size)
    else:
        read = np.load(folder / "frames.npy", mmap_mode="r").__getitem__
    classes = sorted(index["label"].unique().tolist())
    return Clips(index, Frames(read, rows, (frames, *size, 3), decoded), classes)


def _read_row(places: dict[int, tuple], frames: int, size: tuple[int, int], row: int) -> np.ndarray:
    path, start, stop = places[row]
    return read_clip(path, frames, size, start, stop)


Found = tuple[list[int], list[str]]  # positions of the clips that were read; why others were not


class Batch(NamedTuple):
    """A batch of clips as frames, which `to_network` converts on the device that uses them.

    frames: (B, T, H, W, 3) uint8. outputs: (B,) int64. positions: (B,) int64, in the clips that
    were given. lost: for each clip that could not be read, why.
    """

    frames: torch.Tensor
    outputs: torch.Tensor
    positions: torch.Tensor
    lost: list[str]


def _read(clips: Clips, batch: list[int], frames: np.ndarray) -> Found:
    """Fill an array, (B, T, H, W, 3), with the clips at these positions that can be read."""
    positions: list[int] = []
    lost = []
    for i in batch:
        try:
            frames[len(positions)] = clips.frames[i]
            positions.append(i)
        except VideoError as error:
            lost.append(str(error))
        except Exception as error:  # its kind may not get through a pipe
            reason = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"clip {i} cannot be read ({reason})") from error
    return positions, lost


class Batches:
    """`Batch`es of clips, as `batch_loader` has them; each call of `iter` reads them anew."""

    def __init__(self, clips: Clips, batches: list[list[int]], workers: int):
        """batches: the positions of each batch's clips. workers: processes that read ahead."""
        self.clips, self.batches, self.workers = clips, batches, workers

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches in order; RuntimeError where one cannot be read, for any reason."""
        ahead = self.workers and hasattr(os, "fork")
        for frames, (positions, lost) in self._read_ahead() if ahead else self._read_now():
            good = torch.tensor(positions, dtype=torch.long)
            outputs = torch.from_numpy(self.clips.outputs).long()[good]
            yield Batch(torch.from_numpy(frames[: len(positions)]), outputs, good, lost)

    def _read_now(self) -> Iterator[tuple[np.ndarray, Found]]:
        """Yield the frames of each batch and what was found."""
        for batch in self.batches:
            frames = np.empty((len(batch), *self.clips.frames.shape[1:]), np.uint8)
            yield frames, _read(self.clips, batch, frames)

    def _read_ahead(self) -> Iterator[tuple[np.ndarray, Found]]:
        """Yield the same from other processes."""
        ahead, most = 2 * self.workers, max(map(len, self.batches), default=0)
        # Memory that forked processes share; not /dev/shm, which is small in containers.
        shape = (ahead + 1, most, *self.clips.frames.shape[1:])
        slots = np.frombuffer(mmap.mmap(-1, math.prod(shape) or 1), np.uint8)
        slots = slots[: math.prod(shape)].reshape(shape)
        jobs = ((k % len(slots), batch) for k, batch in enumerate(self.batches))
        pool = {"context": get_context("fork"), "timeout": 2 * MOST_SECONDS * (1 + most)}
        pool |= {"initializer": _SHARED.update, "initargs": [{"clips": self.clips, "slots": slots}]}
        found = in_turn(self.workers, _read_there, jobs, ahead=ahead, **pool)
        with closing(found):
            for (slot, _), future in found:
                try:
                    here = future.result()
                except (ProcessExpired, TimeoutError) as error:
                    remedy = "see that memory suffices, or take smaller batches or fewer workers"
                    raise RuntimeError(f"a process that reads ended ({error}): {remedy}") from error
                yield slots[slot].copy(), here


_SHARED: dict[str, Any] = {}  # in a process that reads ahead: the clips, and where they go


def _read_there(job: tuple[int, list[int]]) -> Found:
    slot, batch = job
    return _read(_SHARED["clips"], batch, _SHARED["slots"][slot])


def batch_loader(
    clips: Clips,
    batch_size: int,
    *,
    order: Iterable[int] | None = None,
    drop_last: bool = False,
    workers: int | None = None,
    share: tuple[int, int] = (0, 1),
) -> Batches:
    """Return an iterable of `Batch`es; each call of `iter` starts an epoch.

    order: positions of the clips in the order wanted (default: all, as they are). A clip that
    cannot be read is left out of its batch, which may be empty then. workers: processes that read
    ahead; by default one per core if clips are decoded, else none. share: (i, n) takes every n-th
    clip of each batch, from the i-th on, so that n processes share each batch; shares of a short
    batch may be empty.

    >>> index = pd.DataFrame({"label": [3, 7, 7], "label_name": ["walk", "run", "run"]})
    >>> frames = Frames(np.zeros((3, 4, 8, 8, 3), np.uint8).__getitem__, np.arange(3), (4, 8, 8, 3))
    >>> [batch.outputs.tolist() for batch in batch_loader(Clips(index, frames, [3, 7]), 2)]
    [[0, 1], [1]]
    """
    if workers is None:
        workers = (os.cpu_count() or 1) if clips.frames.decoded else 0
    first, step = share
    positions = range(len(clips)) if order is None else order
    batches = BatchSampler(positions, batch_size, drop_last)
    return Batches(clips, [batch[first::step] for batch in batches], workers)


def stream_clips(clips: Clips, batch_size: int, **options) -> Iterator[Batch]:
    """Yield the batches of `batch_loader`, with its options, that are not empty.

    At the end a `DataWarning` counts the clips that could not be read.

    >>> index = pd.DataFrame({"label": [3, 7], "label_name": ["walk", "run"]})
    >>> frames = Frames(np.zeros((2, 4, 8, 8, 3), np.uint8).__getitem__, np.arange(2), (4, 8, 8, 3))
    >>> [batch.frames.shape for batch in stream_clips(Clips(index, frames, [3, 7]), 2)]
    [torch.Size([2, 4, 8, 8, 3])]
    """
    lost = []
    for batch in batch_loader(clips, batch_size, **options):
        lost += batch.lost
        if len(batch.frames):
            yield batch
    if lost:
        message = f"{len(lost)} clips could not be read, first: {lost[0]}"
        warnings.warn(message, DataWarning, stacklevel=2)

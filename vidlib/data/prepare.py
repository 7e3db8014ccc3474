"""Decode a whole set once, in several processes, even if files crash or hang some of them."""

import functools
import hashlib
import math
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
from pebble import ProcessExpired
from tqdm import tqdm

from vidlib.data.index import places_of
from vidlib.data.processes import in_turn
from vidlib.data.video import MOST_SECONDS, decode_sequences
from vidlib.files import aside, sweep, sync, write_table

AHEAD = 512  # files given to the processes: each takes some kilobytes here
EVERY = 1.0  # seconds between notes of which clips are on the disk
COLUMNS = ["row", "length", "reason"]


def _decode_file(
    job: tuple[str, list], *, frames: int, size: tuple[int, int], place: tuple[Path, int] | None
) -> list[tuple[int, int, str]]:
    """Decode the clips of one file; return row, length and reason of each.

    place: an npy file and the offset of its data; good clips are written to their rows.
    """
    path, clips = job
    rows, ranges = zip(*clips, strict=True)
    signal.alarm(2 * MOST_SECONDS)  # ends a decoder that hangs, even if its parent was killed
    decoded = decode_sequences(path, ranges, frames, size)
    signal.alarm(0)
    if place:
        array, offset = place
        with array.open("r+b") as file:  # not mapped: that costs a fault per page
            for row, clip in zip(rows, decoded, strict=True):
                if clip.frames is not None:
                    file.seek(offset + row * clip.frames.nbytes)
                    file.write(clip.frames.data)
    return [(row, clip.length, clip.reason) for row, clip in zip(rows, decoded, strict=True)]


def _decode_files(jobs: list, work: Callable, processes: int) -> Iterator[list]:
    """Yield the result of `work` for each job; jobs whose process ended are tried again, last."""
    odd = []
    with closing(in_turn(processes, work, jobs, ahead=AHEAD)) as results:
        for job, future in results:
            try:
                yield future.result()
            except ProcessExpired:
                odd.append(job)
    # Alone: the machine may have been short of memory or time.
    for (path, clips), future in in_turn(1, work, odd, ahead=0):
        try:
            yield future.result()
        except ProcessExpired as error:
            hangs = error.exitcode == -signal.SIGALRM
            what = "hangs its decoder" if hangs else f"ends its decoder ({error.exitcode})"
            yield [(row, 0, f"{path}: {what}; replace the file") for row, _ in clips]


def _jobs(index: pd.DataFrame, done) -> list[tuple[str, list]]:
    """Return each file's path and its clips that are not done, (row, (start, stop))."""
    files = defaultdict(list)
    for row, (path, *frames) in enumerate(places_of(index)):
        if row not in done:
            files[path].append((row, frames))
    return list(files.items())


def space_for(path: Path) -> int:
    """Return the largest size in bytes that a file can have: what is free, and what it has."""
    there = path.stat().st_blocks * 512 if path.exists() else 0
    return shutil.disk_usage(path.parent).free + there


def prepare_clips(
    index: pd.DataFrame,
    folder: Path,
    *,
    frames: int,
    size: tuple[int, int],
    processes: int,
    cache: bool = True,
) -> None:
    """Decode every clip of an index once, for `load_clips`.

    Writes index.parquet (the good clips, with their `row` and their `length` in frames of the
    file), quarantine.parquet (the others, with the reason) and, with `cache`, frames.npy (a row per
    clip of the index: (frames, H, W, 3) uint8). After a kill or a power cut at any time the next
    call resumes; about a second of work is lost, and clips that failed are tried again. A file that
    hangs or crashes its decoder twice counts as failed. Raises ValueError if no clip of a split is
    good, or the disk is too small.

    >>> import tempfile
    >>> from vidlib.data.encoding import write_webm
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_webm(folder / "1.webm", np.zeros((8, 32, 32, 3), np.uint8))
    >>> row = {"clip_id": "1", "path": str(folder / "1.webm"), "start": 0, "stop": None}
    >>> index = pd.DataFrame([row | {"split": "train", "label": 0, "label_name": "nothing"}])
    >>> prepare_clips(index, folder / "clips", frames=4, size=(16, 16), processes=1)
    >>> np.load(folder / "clips/frames.npy").shape
    (1, 4, 16, 16, 3)
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    array = folder / "frames.npy"
    identity = index[["clip_id", "start", "stop"]].to_json(orient="values")
    task = hashlib.sha256(f"{identity} {frames} {size} {cache}".encode()).hexdigest()
    shape = (len(index), frames, *size, 3)
    if cache and (needed := math.prod(shape)) > (space := space_for(array)):
        sizes = f"need {needed / 1e9:.1f} GB, and {folder} has room for {space / 1e9:.1f} GB"
        raise ValueError(f"the prepared clips {sizes}: make room, or lower size or frames")
    notes = folder / "decoding.parquet"  # of the good clips, whose frames are on the disk
    known = pd.read_parquet(notes) if notes.is_file() else pd.DataFrame()
    if known.attrs.get("task") != task or (cache and not array.is_file()):
        notes.unlink(missing_ok=True)
        sync(folder)  # they must be gone before there is another array
        array.unlink(missing_ok=True)
        if cache:
            with aside(array) as part:
                np.lib.format.open_memmap(part, "w+", np.uint8, shape).flush()
        known = pd.DataFrame(columns=COLUMNS)
    found = list(known.itertuples(index=False, name=None))

    def note() -> None:
        good = pd.DataFrame([clip for clip in found if not clip[2]], columns=COLUMNS)
        good.attrs["task"] = task
        if cache:
            sync(array)
        write_table(notes, good)

    note()
    noted = time.monotonic()
    jobs = _jobs(index, set(known["row"]))
    place = (array, np.load(array, mmap_mode="r").offset) if cache else None
    work = functools.partial(_decode_file, frames=frames, size=size, place=place)
    with tqdm(total=len(index), initial=len(found), desc="decode", unit="clip") as bar:
        for clips in _decode_files(jobs, work, processes):
            found += clips
            bar.update(len(clips))
            if time.monotonic() - noted >= EVERY:
                note()
                noted = time.monotonic()
    note()
    known = pd.DataFrame(found, columns=COLUMNS).sort_values("row", ignore_index=True)
    index = index.reset_index(drop=True).join(known)
    for split, reasons in index.groupby("split")["reason"]:
        if reasons.all():
            first = reasons.iloc[0]
            raise ValueError(f"no clip of the {split} split can be decoded, first: {first}")
    bad = index["reason"] != ""
    if bad.any():
        first = index.loc[bad, "reason"].iloc[0]
        print(f"{bad.sum()} of {len(index)} clips are left out, first: {first}", flush=True)
    write_table(folder / "quarantine.parquet", index[bad].drop(columns="row"))
    # The result must not depend on where the videos are, unless they are decoded again.
    unused = ["path", "reason"] if cache else ["reason"]
    prepared = index[~bad].drop(columns=unused).reset_index(drop=True)
    prepared.attrs = {"frames": frames, "size": list(size)}
    write_table(folder / "index.parquet", prepared)
    notes.unlink()

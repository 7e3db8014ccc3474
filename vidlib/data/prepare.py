"""Decode a whole set once, by several processes, whatever its files do to them."""

import functools
import hashlib
import math
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from pebble import ProcessExpired, ProcessPool
from tqdm import tqdm

from vidlib.data.video import MOST_SECONDS, decode_sequences
from vidlib.files import aside, sweep, sync, write_table, write_text

JOBS = 4096  # given to the pool at a time: each costs the parent some kilobytes
EVERY = 1.0  # seconds from one time that frames are forced to the disk to the next


def _decode_file(
    job: tuple[str, list], *, frames: int, size: tuple[int, int], place: tuple[Path, int] | None
) -> list[tuple[int, int, str]]:
    """Decode the clips of one file; return row, length and reason of each.

    place: an npy file and where in it the data begins; good clips are written to their rows.
    """
    path, clips = job
    signal.alarm(2 * MOST_SECONDS)  # ends a decoder that hangs, even where its parent was killed
    decoded = decode_sequences(path, [(start, stop) for _, start, stop in clips], frames, size)
    signal.alarm(0)
    rows = [row for row, _, _ in clips]
    if place:
        array, offset = place
        with array.open("r+b") as file:  # written, not mapped: that would cost a fault per page
            for row, clip in zip(rows, decoded, strict=True):
                if not clip.reason:
                    file.seek(offset + row * clip.frames.nbytes)
                    file.write(clip.frames)
    return [(row, clip.length, clip.reason) for row, clip in zip(rows, decoded, strict=True)]


def _decode_files(jobs: list, work: Callable, processes: int) -> Iterator[list]:
    """Yield what `work` says of each job, whatever becomes of its process; of odd ones, last."""
    odd = []
    with ProcessPool(processes) as pool:
        try:
            for at in range(0, len(jobs), JOBS):
                results = pool.map(work, jobs[at : at + JOBS]).result()
                for job in jobs[at : at + JOBS]:
                    try:
                        yield next(results)
                    except ProcessExpired:
                        odd.append(job)
        except BaseException:
            pool.stop()  # or it would finish all that is left
            raise
    # Once more, alone: it may have been the machine that was short of memory or of time.
    for path, clips in odd:
        with ProcessPool(1) as pool:
            try:
                yield pool.schedule(work, [(path, clips)]).result()
            except ProcessExpired as error:
                hangs = error.exitcode == -signal.SIGALRM
                what = "hangs its decoder" if hangs else f"ends its decoder ({error.exitcode})"
                yield [(row, 0, f"{path}: {what}; replace the file") for row, *_ in clips]


def _jobs(index: pd.DataFrame, done) -> list[tuple[str, list]]:
    """Return per file its path and its clips, (row, start, stop), without those that are done."""
    files: dict[str, list] = {}
    clips = zip(index["path"], index["start"], index["stop"], strict=True)
    for row, (path, start, stop) in enumerate(clips):
        if row not in done:
            stop = None if pd.isna(stop) else int(stop)
            files.setdefault(path, []).append((row, int(start), stop))
    return list(files.items())


def _read_log(log: Path, made_of: str) -> dict[int, tuple[int, str]] | None:
    """Return length and reason of the rows that a log has; None for a log of something else."""
    if not log.is_file():
        return None
    text = log.read_text(encoding="utf-8", errors="replace")
    header, *lines = text.split("\n")[:-1] or [""]  # without half a line at its end
    if header != made_of:
        return None
    rows = filter(None, (re.fullmatch(r"(\d+)\t(\d+)\t(.*)", line) for line in lines))
    return {int(row): (int(length), reason) for row, length, reason in map(re.Match.groups, rows)}


def _line(row: int, length: int, reason: str) -> str:
    return f"{row}\t{length}\t{' '.join(reason.split())}\n"


def _write_log(log: Path, made_of: str, told: dict[int, tuple[int, str]]) -> None:
    lines = (_line(row, length, reason) for row, (length, reason) in told.items())
    write_text(log, "".join([f"{made_of}\n", *lines]))


class _Log:
    """A log that tells of clips once their frames are on the disk: a little later, many at once.

    array: the file of the frames, None where none are kept.
    """

    def __init__(self, path: Path, array: Path | None):
        self.path, self.array, self.waiting, self.last = path, array, [], time.monotonic()

    def add(self, line: str) -> None:
        self.waiting.append(line)
        if time.monotonic() - self.last >= EVERY:
            self.write()

    def write(self) -> None:
        # Forgotten if the disk fails now: asked once more, it may say that all is well.
        lines, self.waiting = self.waiting, []
        if not lines:
            return
        if self.array:
            sync(self.array)
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(lines)
        sync(self.path)
        self.last = time.monotonic()


def space_for(path: Path) -> int:
    """Return how many bytes a file may have: those free on its disk, and those it has already."""
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
    """Decode every clip of an index once, for `load_clips`; keep the frames, or that they are good.

    Writes frames.npy (a row per clip of the index: (frames, H, W, 3) uint8) unless not `cache`,
    index.parquet (clips that are good, with their `row` and their `length` in frames of the file)
    and quarantine.parquet (the others, with the reason). After a kill or a power cut at any moment
    the next call goes on, about a second of work being lost; clips that failed are tried again. A
    file that hangs or ends its decoder twice is one that failed. Raises ValueError where no clip of
    a split is good, or the disk is too small.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    array, log = folder / "frames.npy", folder / "decoding.txt"
    identity = index[["clip_id", "start", "stop"]].to_json(orient="values")
    made_of = hashlib.sha256(f"{identity} {frames} {size} {cache}".encode()).hexdigest()
    shape = (len(index), frames, *size, 3)
    told = _read_log(log, made_of)
    if cache and math.prod(shape) > space_for(array):
        raise ValueError(
            f"the prepared clips need {math.prod(shape) / 1e9:.1f} GB, and {folder} has room for "
            f"{space_for(array) / 1e9:.1f} GB: make room, or lower size or frames"
        )
    if told is None or (cache and not array.is_file()):
        log.unlink(missing_ok=True)
        sync(folder)  # before there is another array: it tells of the old one
        array.unlink(missing_ok=True)
        if cache:
            with aside(array) as part:
                np.lib.format.open_memmap(part, "w+", np.uint8, shape).flush()
        told = {}
    told = {row: (length, reason) for row, (length, reason) in told.items() if not reason}
    _write_log(log, made_of, told)  # anew: half a line at its end would grow together with the next
    jobs = _jobs(index, told)
    place = (array, np.load(array, mmap_mode="r").offset) if cache else None
    work = functools.partial(_decode_file, frames=frames, size=size, place=place)
    bar = tqdm(total=len(index), initial=len(told), desc="decode", unit="clip")
    done = _Log(log, array if cache else None)
    try:
        for clips in _decode_files(jobs, work, processes):
            for row, length, reason in clips:
                told[row] = length, reason
                done.add(_line(row, length, reason))
                bar.update()
    finally:
        bar.close()
        done.write()
    lengths, reasons = zip(*(told[row] for row in range(len(index))), strict=True)
    index = index.assign(row=range(len(index)), length=lengths, reason=reasons)
    bad = index["reason"] != ""
    for split, there in index.groupby("split"):
        if (there["reason"] != "").all():
            raise ValueError(
                f"no clip of the {split} split can be decoded, first: {there['reason'].iloc[0]}"
            )
    if bad.any():
        first = index.loc[bad, "reason"].iloc[0]
        print(f"{bad.sum()} of {len(index)} clips are left out, first: {first}", flush=True)
    # Prepared clips are the same wherever the videos lie; those to be decoded anew are not.
    paths = ["path"] if cache else []
    write_table(folder / "quarantine.parquet", index[bad].drop(columns="row"))
    good = index[~bad].drop(columns=[*paths, "reason"]).reset_index(drop=True)
    good.attrs = {"frames": frames, "size": list(size)}
    write_table(folder / "index.parquet", good)
    log.unlink()

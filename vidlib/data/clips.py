"""Prepared clips: the sampled, resized frames of a whole set in one memory-mapped array."""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from vidlib.data.video import VideoError, read_clip


def to_network(frames: np.ndarray) -> torch.Tensor:
    """Turn frames (..., T, H, W, 3) uint8 RGB into clips (..., 3, T, H, W) float32 in [-1, 1]."""
    clips = torch.tensor(np.asarray(frames)).movedim(-1, -4)
    return clips.to(torch.float32).div_(127.5).sub_(1.0).contiguous()


class Clips(Dataset):
    """Clips of an index that were prepared: item i is (clip (3, T, H, W) in [-1, 1], output).

    index: a row per clip, as read. frames: (N, T, H, W, 3) uint8. classes: official numbers in
    increasing order; a network's output k stands for classes[k].
    """

    def __init__(self, index: pd.DataFrame, frames: np.ndarray, classes: list[int]):
        self.index = index
        self.frames = frames
        self.classes = classes
        self.outputs = np.searchsorted(classes, index["label"].to_numpy())
        self.names = index.drop_duplicates("label").set_index("label")["label_name"].to_dict()

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.index)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        """Return clip i and its class as a network's output number."""
        return to_network(self.frames[i]), int(self.outputs[i])

    def subset(self, rows: np.ndarray) -> "Clips":
        """Return the clips at these positions, in this order."""
        chosen = Clips(
            self.index.iloc[rows].reset_index(drop=True), self.frames[rows], self.classes
        )
        chosen.names = self.names
        return chosen

    def split(self, name: str) -> "Clips":
        """Return the clips of one split."""
        return self.subset(np.flatnonzero(self.index["split"] == name))

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all clips at once, (N, 3, T, H, W) in [-1, 1], and their outputs, (N,) int64."""
        return to_network(self.frames), torch.from_numpy(self.outputs).long()


def _prepare_clip(job: tuple[int, str, int, int | None], *, frames, size, array: Path) -> str:
    """Decode one clip into its row of the array; return why it could not be, or ''."""
    row, path, start, stop = job
    try:
        clip = read_clip(path, frames, size, start, stop)
    except VideoError as error:
        return str(error)
    np.load(array, mmap_mode="r+")[row] = clip
    return ""


def prepare_clips(
    index: pd.DataFrame, folder: Path, *, frames: int, size: tuple[int, int], processes: int
) -> None:
    """Sample, resize and store the clips of an index under a folder, for `load_clips`.

    Writes frames.npy (N, frames, H, W, 3) uint8, index.parquet (without the paths: it is the same
    wherever the videos lie), and quarantine.parquet: clips that could not be decoded, with the
    reason; they are in neither of the others. Goes on where a killed
    call was. Raises ValueError where no clip of some split can be decoded.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    array, done_file = folder / "decoding.npy", folder / "decoding.txt"
    shape = (len(index), frames, *size, 3)
    if not done_file.exists():
        np.lib.format.open_memmap(array, "w+", np.uint8, shape).flush()
        done_file.touch()
    lines = [line.split("\t", 1) for line in done_file.read_text().splitlines() if "\t" in line]
    # Those that failed are tried again: the file may have been mended.
    reasons = {int(row): reason for row, reason in lines if not reason}
    jobs = [
        (row, path, int(start), None if pd.isna(stop) else int(stop))
        for row, (path, start, stop) in enumerate(
            index[["path", "start", "stop"]].itertuples(index=False)
        )
        if row not in reasons
    ]
    work = partial(_prepare_clip, frames=frames, size=size, array=array)
    bar = tqdm(total=len(index), initial=len(reasons), desc="decode", unit="clip")
    with ProcessPoolExecutor(processes) as pool, done_file.open("a") as log, bar:
        for (row, *_), reason in zip(jobs, pool.map(work, jobs, chunksize=8), strict=True):
            reasons[row] = reason
            log.write(f"{row}\t{reason}\n")
            log.flush()
            bar.update()
    reason = pd.Series(reasons).sort_index().to_numpy()
    good = reason == ""
    for split in index["split"].unique():
        here = (index["split"] == split).to_numpy()
        if not good[here].any():
            raise ValueError(
                f"no clip of the {split} split could be decoded, first: {reason[here][0]}"
            )
    if not good.all():
        print(f"{(~good).sum()} of {len(index)} clips cannot be decoded and are left out")
    index[~good].assign(reason=reason[~good]).to_parquet(folder / "quarantine.parquet")
    index[good].drop(columns="path").reset_index(drop=True).to_parquet(folder / "index.parquet")
    done_file.unlink()  # first: without it a killed call starts anew, and finds nothing amiss
    if good.all():
        os.replace(array, folder / "frames.npy")
    else:
        np.save(folder / "frames.npy", np.load(array, mmap_mode="r")[good])
        array.unlink()


def load_clips(folder: Path, classes: list[int] | None = None) -> Clips:
    """Return what `prepare_clips` wrote; frames stay on disk until they are used.

    classes: the official numbers that the networks tell apart (default: those that occur).
    """
    folder = Path(folder)
    if not (folder / "frames.npy").is_file():
        raise FileNotFoundError(f"{folder} holds no prepared clips; run the prepare stage first")
    index = pd.read_parquet(folder / "index.parquet")
    frames = np.load(folder / "frames.npy", mmap_mode="r")
    return Clips(index, frames, classes or sorted(index["label"].unique().tolist()))

"""Read the data set; sample and resize its clips, or only check them if it is very large."""

import math
import os
from pathlib import Path

import pandas as pd

from vidlib.data.prepare import prepare_clips, space_for
from vidlib.files import write_table
from vidlib.named import function_of

LARGEST_CACHE = 64 * 2**30  # bytes; more, or more than fits on the disk, is streamed


def run(p, inputs, folder: Path, *, reader: str) -> None:
    """Write what `load_clips` reads, and the problems of the files.

    reader: the function "module:name" that reads the layout of the set.
    """
    index = function_of(reader)(inputs["files"])
    problems = pd.DataFrame(index.attrs["problems"], columns=["problem", "count", "first"])
    write_table(folder / "problems.parquet", problems)
    # A test split has no labels.
    index = index[index["label"].notna()].reset_index(drop=True).astype({"label": int})
    needed = len(index) * p.frames * math.prod(p.size) * 3
    cache = needed <= min(LARGEST_CACHE, space_for(folder / "frames.npy"))
    prepare_clips(
        index, folder, frames=p.frames, size=p.size, processes=os.cpu_count() or 1, cache=cache
    )

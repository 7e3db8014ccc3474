"""Test whether classifiers that cannot use the order of frames tell mirrored classes apart."""

import shutil
from pathlib import Path

from vidlib.compare.leakage import gate
from vidlib.data.clips import load_clips
from vidlib.files import write_table


def run(p, inputs, folder: Path) -> None:
    """Write pairs.parquet."""
    clips = load_clips(inputs["prepare"])
    settings = {"epochs": p.gate_epochs, "batch_size": p.gate_batch_size, "lr": p.gate_lr}
    splits = clips.split("train"), clips.split("validation")
    table = gate(*splits, folder / "training", seed=p.train_seed, **settings)
    write_table(folder / "pairs.parquet", table)
    shutil.rmtree(folder / "training")

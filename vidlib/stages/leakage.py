"""Test whether classifiers that cannot use the order of frames tell mirrored classes apart."""

import shutil
from pathlib import Path

from vidlib.compare.leakage import gate
from vidlib.data.clips import load_clips
from vidlib.files import write_table
from vidlib.training import Recipe


def run(p, inputs, folder: Path) -> None:
    """Write pairs.parquet."""
    clips = load_clips(inputs["prepare"])
    recipe = Recipe(p.gate_epochs, p.gate_batch_size, p.gate_lr, p.train_seed, weight_decay=0.01)
    table = gate(clips.split("train"), clips.split("validation"), folder / "training", recipe)
    write_table(folder / "pairs.parquet", table)
    shutil.rmtree(folder / "training")

"""Ask classifiers that cannot use the order of frames to tell mirrored classes apart."""

import shutil
from pathlib import Path

from vidlib.compare.leakage import gate
from vidlib.data.clips import load_clips
from vidlib.files import write_table


def run(p, inputs, folder: Path) -> None:
    """Write pairs.parquet."""
    clips = load_clips(inputs["prepare"])
    table = gate(
        clips.split("train"),
        clips.split("validation"),
        folder / "training",
        epochs=p.gate_epochs,
        batch_size=p.gate_batch_size,
        lr=p.gate_lr,
        seed=p.train_seed,
    )
    write_table(folder / "pairs.parquet", table)
    shutil.rmtree(folder / "training")

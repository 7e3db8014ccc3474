"""Train a small network on planted cues; record its answers when they are removed and moved."""

import shutil
from pathlib import Path

import torch

from vidlib.compare.reliance import intervention_table, turned_and_mirrored
from vidlib.data.clips import load_clips
from vidlib.files import write_table
from vidlib.models.framewise import FrameGRU
from vidlib.training import Recipe, fit


def run(p, inputs, folder: Path) -> None:
    """Write interventions.parquet."""
    clips = load_clips(inputs["prepare"])
    recipe = Recipe(p.cue_epochs, p.gate_batch_size, p.gate_lr, p.train_seed, weight_decay=0.01)
    torch.manual_seed(p.train_seed)
    network = FrameGRU(len(clips.classes), width=8, shuffled=False)
    train = turned_and_mirrored(clips.split("train"))
    fit(network, train, clips.split("validation"), folder / "training", recipe)
    table = intervention_table(network.eval(), inputs["files"], clips.split("validation"))
    write_table(folder / "interventions.parquet", table)
    shutil.rmtree(folder / "training")

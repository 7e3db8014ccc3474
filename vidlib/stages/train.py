"""Train one network or control; save its weights and learning curves."""

from dataclasses import fields
from pathlib import Path

import pandas as pd
import torch

from vidlib.data.clips import load_clips
from vidlib.files import write_table
from vidlib.models.store import build_network, save_network
from vidlib.named import function_of
from vidlib.training import Recipe, fit


def run(p, inputs, folder: Path, *, family: str, builder: str, start: str = "") -> None:
    """Write what `load_network` reads, and history.parquet.

    family, builder, start: as `vidlib.variants.Variant` has them.
    """
    clips = load_clips(inputs["prepare"])
    arguments = function_of(builder)(p, len(clips.classes))
    values = vars(p)
    settings = {
        field.name: values[name]
        for field in fields(Recipe)
        for name in (field.name, f"{family}_{field.name}")
        if name in values
    }
    recipe = Recipe(**settings, seed=p.train_seed)
    torch.manual_seed(p.train_seed)
    network = function_of(start)(**arguments) if start else build_network(family, arguments)
    network.train()
    splits = clips.split("train"), clips.split("validation")
    history = fit(network, *splits, folder, recipe, together=True)
    save_network(network, folder, family, arguments)
    write_table(folder / "history.parquet", pd.DataFrame(history))
    (folder / "last.ckpt").unlink(missing_ok=True)

"""Train a small network on planted cues; record its answers when they are removed and moved."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from vidlib.compare.intervals import exact_interval
from vidlib.data.clips import Clips, Frames, load_clips, to_network
from vidlib.explain.scores import score_clips
from vidlib.files import write_table
from vidlib.models.framewise import FrameGRU
from vidlib.rendered.cues import INTERVENTIONS, redraw
from vidlib.training import Recipe, fit


def turned_and_mirrored(clips: Clips) -> Clips:
    """Return clips of square frames, in memory, in all eight ways to turn and mirror them.

    For sets in which neither place nor direction matters, to train on few clips.
    """
    frames = np.asarray(clips.frames)
    turned = [np.rot90(frames, k, axes=(2, 3)) for k in range(4)]
    every = np.concatenate([*turned, *(one[:, :, :, ::-1] for one in turned)])
    index = pd.concat(8 * [clips.index], ignore_index=True)
    rows = np.arange(len(every))
    return Clips(index, Frames(every.__getitem__, rows, every.shape[1:]), clips.classes)


def intervention_table(network: torch.nn.Module, root: Path, clips: Clips) -> pd.DataFrame:
    """Return whether a network's answers follow the markers of a cue set: a row per intervention.

    network: maps clips (B, 3, T, H, W) to logits (B, K). root: folder of the rendered set. clips:
    some of it. Columns: intervention ("nothing", "removed", "moved"), answer (which one counts:
    "its class", or "the new class" of moved markers), clips, right (how many get that answer),
    share, low and high (exact binomial 95 % interval of the share), chance.
    """
    ids = clips.index["clip_id"].tolist()
    _, frames, height, width, _ = clips.frames.shape
    rows = []
    for what in INTERVENTIONS:
        shown, now = redraw(root, ids, what, frames=frames, size=(height, width))
        guesses = score_clips(network, to_network(shown)).argmax(1).numpy()
        labels = now if what == "moved" else clips.index["label"].to_numpy(int)
        right = int((np.array(clips.classes)[guesses] == labels).sum())
        ends = exact_interval(right, len(ids))
        answer = "the new class" if what == "moved" else "its class"
        chance = 1 / len(clips.classes)
        rows.append((what, answer, len(ids), right, right / len(ids), *ends, chance))
    columns = ["intervention", "answer", "clips", "right", "share", "low", "high", "chance"]
    return pd.DataFrame(rows, columns=columns)


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

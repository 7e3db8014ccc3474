"""What a network relies on, by intervention: planted markers are removed or moved."""

from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from vidlib.compare.intervals import exact_interval
from vidlib.data.clips import Clips, Frames, to_network
from vidlib.explain.scores import score_clips
from vidlib.rendered.cues import INTERVENTIONS, redraw


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


def intervention_table(network: nn.Module, root: Path, clips: Clips) -> pd.DataFrame:
    """Return whether a network's answers follow the markers of a cue set: a row per intervention.

    network: maps clips (B, 3, T, H, W) to logits (B, K). root: folder of the rendered set. clips:
    some of it. Columns: intervention ("nothing", "removed", "moved"), answer (which one counts:
    "its class", or "the new class" of moved markers), clips, right (how many get that answer),
    share, low and high (exact binomial 95 % interval of the share), chance.
    """
    ids = clips.index["clip_id"].tolist()
    _, frames, *size, _ = clips.frames.shape
    rows = []
    for what in INTERVENTIONS:
        shown, now = redraw(root, ids, what, frames=frames, size=(size[0], size[1]))
        guesses = score_clips(network, to_network(shown)).argmax(1).numpy()
        labels = now if what == "moved" else clips.index["label"].to_numpy(int)
        right = int((np.array(clips.classes)[guesses] == labels).sum())
        ends = exact_interval(right, len(ids))
        answer = "the new class" if what == "moved" else "its class"
        chance = 1 / len(clips.classes)
        rows.append((what, answer, len(ids), right, right / len(ids), *ends, chance))
    columns = ["intervention", "answer", "clips", "right", "share", "low", "high", "chance"]
    return pd.DataFrame(rows, columns=columns)

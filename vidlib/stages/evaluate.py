"""Score the validation clips forwards, reversed and with fewer distinct frames; probe features."""

from pathlib import Path

import numpy as np
import torch

from vidlib.compare import accuracy
from vidlib.compare.arrow import arrow_of_time, arrow_table
from vidlib.compare.clips import over_batches
from vidlib.compare.distinct import distinct_counts, distinct_table, held_frames
from vidlib.data.clips import load_clips
from vidlib.explain.scores import score_clips
from vidlib.files import write_arrays, write_table
from vidlib.models.store import best_device, load_network


def run(p, inputs, folder: Path, *, network: str) -> None:
    """Write the tables of a network's accuracy, and its scores."""
    clips = load_clips(inputs["prepare"])
    validation = clips.split("validation")
    net = load_network(inputs[f"train-{network}"]).to(best_device())
    length = validation.frames.shape[1]
    orders: dict[str | int, np.ndarray] = {"reversed": length - 1 - np.arange(length)}
    orders |= {kept: held_frames(length, kept) for kept in distinct_counts(length)}
    found, positions = over_batches(
        validation,
        lambda x: torch.stack([score_clips(net, x[:, :, o]) for o in orders.values()], dim=1),
    )
    of_order = dict(zip(orders, found.unbind(1), strict=True))
    validation = validation.subset(positions)
    outputs = torch.from_numpy(validation.outputs).long()
    scores = {"forward": of_order[length], "reversed": of_order.pop("reversed")}
    guesses = accuracy.guess_table(scores, outputs, clips.classes)
    guesses.insert(0, "clip_id", validation.index["clip_id"])
    held = guesses[["label"]].copy()
    for kept, of_kept in of_order.items():
        held[kept] = np.array(clips.classes)[of_kept.argmax(1).numpy()]
    probed = arrow_of_time(net, clips.split("train"), validation, seed=p.train_seed)
    tables = {
        "summary": accuracy.summary(guesses, seed=p.data_seed),
        "reversal_drops": accuracy.reversal_drops(guesses, seed=p.data_seed),
        "per_class": accuracy.per_class(scores, outputs, clips.classes, clips.names),
        "class_drops": accuracy.class_drops(guesses, clips.names, seed=p.data_seed),
        "distinct": distinct_table(held, seed=p.data_seed),
        "arrow_clips": probed,
        "arrow": arrow_table(probed),
        "guesses": guesses,
    }
    for name, table in tables.items():
        write_table(folder / f"{name}.parquet", table)
    write_arrays(folder / "scores.npz", **{d: s.numpy() for d, s in scores.items()})

"""Freeze, of the clips of `search`, what other attributions point at, as long as the mask."""

import functools
from pathlib import Path

import numpy as np
import pandas as pd

from vidlib.compare.against_truth import removes_class
from vidlib.explain import attribution
from vidlib.explain.perturb import freeze, perturb
from vidlib.explain.scores import score_clips
from vidlib.files import write_table
from vidlib.models.store import best_device, load_network
from vidlib.named import function_of
from vidlib.rendered.truth import Truth
from vidlib.stages.chosen import explained_clips, masks_by


def run(p, inputs, folder: Path, *, network: str, observer: str = "") -> None:
    """Write rivals.parquet; observer: as for `vidlib.stages.explain`."""
    with np.load(inputs[f"search-{network}"] / "landscapes.npz") as arrays:
        positions = arrays["clips"]
    chosen = explained_clips(p, inputs["prepare"]).subset(positions)
    net = load_network(inputs[f"train-{network}"]).to(best_device())
    x, _ = chosen.batch()
    scores = score_clips(net, x)
    guess = scores.argmax(1, keepdim=True)
    others = {
        "occlusion": attribution.occlusion,
        "integrated gradients": functools.partial(attribution.integrated_gradients, steps=32),
        "random masks": functools.partial(attribution.random_masks, masks=64, seed=p.data_seed),
        "best crop": functools.partial(attribution.discriminative_crop, shortest=x.shape[2] // 4),
    }
    shown = []  # how many clips in each pass through the network
    net.register_forward_pre_hook(lambda _, args: shown.append(len(args[0])))
    learned = masks_by(p, net, x).mask > 0.5
    masks, passes = {"temporal mask": learned.to(x)}, {"temporal mask": sum(shown) / len(x)}
    for name, attribute in others.items():
        print(f"{name} of {len(x)} clips", flush=True)
        shown.clear()
        masks[name] = attribution.window_of(attribute(net, x), learned.sum(1))
        passes[name] = sum(shown) / len(x)
    truth, judge = (Truth(inputs["files"]), function_of(observer)) if observer else (None, None)
    rows = []
    for name, of_way in masks.items():
        frozen = score_clips(net, perturb(x, freeze(of_way))).gather(1, guess)
        row = {
            "clip_id": chosen.index["clip_id"],
            "method": name,
            "length": of_way.sum(1).int().numpy(),
            "drop": (scores.gather(1, guess) - frozen)[:, 0].numpy(),
            "passes": passes[name],
        }
        if truth:
            row["removes"] = [
                removes_class(truth.scene(clip_id), label, one.numpy(), judge)
                for clip_id, label, one in zip(
                    chosen.index["clip_id"], chosen.index["label"], of_way, strict=True
                )
            ]
        rows.append(pd.DataFrame(row))
    write_table(folder / "rivals.parquet", pd.concat(rows, ignore_index=True))

"""Freeze the windows that other attributions choose, as long as the masks of the same clips."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from vidlib.compare.against_truth import removes_class
from vidlib.explain import attribution
from vidlib.explain.perturb import freeze, perturb
from vidlib.explain.scores import score_clips
from vidlib.files import write_table
from vidlib.models.store import best_device, load_network
from vidlib.named import function_of
from vidlib.rendered.truth import Truth
from vidlib.stages.chosen import explained_clips, masks_by


def run(p, inputs, folder: Path, *, network: str, observer: str = "", original: str = "") -> None:
    """Write rivals.parquet; observer as in `vidlib.stages.explain`."""
    with np.load(inputs[f"search-{network}"] / "landscapes.npz") as arrays:
        positions = arrays["clips"]
    chosen = explained_clips(p, inputs["prepare"], original).subset(positions)
    net: Any = load_network(inputs[f"train-{network}"]).to(best_device())
    x, _ = chosen.batch()
    scores = score_clips(net, x)
    guess = scores.argmax(1, keepdim=True)
    others: dict[str, Callable[..., torch.Tensor]] = {
        "occlusion": attribution.occlusion,
        "integrated gradients": functools.partial(attribution.integrated_gradients, steps=32),
        "random masks": functools.partial(attribution.random_masks, masks=64, seed=p.data_seed),
        "best crop": functools.partial(attribution.discriminative_crop, shortest=x.shape[2] // 4),
    }
    shown: list[int] = []  # clips in each pass through the network; no pass may be saved here
    net.shares_work = False
    net.register_forward_pre_hook(lambda _, args: shown.append(len(args[0])))
    learned = masks_by(p, net, x).mask > 0.5
    masks, passes = {"temporal mask": learned.to(x)}, {"temporal mask": sum(shown) / len(x)}
    for name, attribute in others.items():
        print(f"{name} of {len(x)} clips", flush=True)
        shown.clear()
        masks[name] = attribution.window_of(attribute(net, x), learned.sum(1))
        passes[name] = sum(shown) / len(x)
    clips = list(zip(chosen.index["clip_id"], chosen.index["label"], strict=True))
    tables = []
    for name, mask in masks.items():
        frozen = score_clips(net, perturb(x, freeze(mask))).gather(1, guess)
        table = pd.DataFrame({"clip_id": chosen.index["clip_id"], "method": name})
        table["length"] = mask.sum(1).int().numpy()
        table["drop"] = (scores.gather(1, guess) - frozen)[:, 0].numpy()
        table["passes"] = passes[name]
        if observer:
            truth, judge = Truth(inputs["files"]), function_of(observer)
            table["removes"] = [
                removes_class(truth.scene(clip_id), label, one, judge)
                for (clip_id, label), one in zip(clips, mask.numpy(), strict=True)
            ]
        tables.append(table)
    write_table(folder / "rivals.parquet", pd.concat(tables, ignore_index=True))

"""Score every window of some explained clips; compare learned masks with the best of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vidlib.distributed import rank
from vidlib.explain.masks import find_masks, learn_masks, search_masks
from vidlib.explain.perturb import PERTURBATIONS, REORDERINGS
from vidlib.files import write_arrays, write_table
from vidlib.models.store import best_device, load_network
from vidlib.stages.chosen import explained_clips, in_parts

# The ways to learn a mask that are compared with the best window.
LEARNED: dict[str, dict[str, Any]] = {
    "paper, rate 0.001": {"procedure": "paper", "lr": 0.001},
    "paper, rate 0.2": {"procedure": "paper", "lr": 0.2},
    "corrected": {"procedure": "corrected", "lr": 0.2},
}


def run(p, inputs, folder: Path, *, network: str, original: str = "") -> None:
    """Write landscapes.npz and gaps.parquet.

    The clips are spread evenly over the explained ones; the array `clips` has their positions.
    """
    explained = explained_clips(p, inputs["prepare"], original)
    positions = np.linspace(0, len(explained) - 1, min(p.searched_clips, len(explained)))
    positions = np.unique(positions.round().astype(int))
    net = load_network(inputs[f"train-{network}"]).to(best_device())
    shared = {"l1": p.mask_l1, "tv": p.mask_tv, "progress": rank() == 0}

    def make(rows: np.ndarray) -> dict[str, np.ndarray]:
        x, _ = explained.subset(positions[rows]).batch()
        searched = {
            name: search_masks(net, x, perturbation=PERTURBATIONS[name], **shared)
            for name in REORDERINGS
        }
        found = {"best window": searched["freeze"], "found": find_masks(net, x, **shared)}
        for name, options in LEARNED.items():
            found[name] = learn_masks(net, x, iterations=p.mask_iterations, **shared, **options)
        return {
            **{f"{name}, landscape": np.asarray(one.landscape) for name, one in searched.items()},
            **{f"{name}, loss": one.loss.numpy() for name, one in found.items()},
            **{f"{name}, mask": one.mask.numpy() for name, one in found.items()},
        }

    made = in_parts(folder, len(positions), make)
    landscapes = {name: made[f"{name}, landscape"] for name in REORDERINGS}
    write_arrays(folder / "landscapes.npz", clips=positions, **landscapes)
    rows = []
    for name in ("best window", *LEARNED, "found"):
        loss, mask = made[f"{name}, loss"], made[f"{name}, mask"]
        row = {"clip_id": explained.index["clip_id"].to_numpy()[positions], "masks": name}
        row |= {"loss": loss, "above_best": loss - made["best window, loss"]}
        rows.append(pd.DataFrame({**row, "length": (mask > 0.5).sum(1)}))
    write_table(folder / "gaps.parquet", pd.concat(rows, ignore_index=True))

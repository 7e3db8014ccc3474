"""What several stages share: the clips to explain, their masks, and work in parts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from vidlib.data.clips import Clips, load_clips
from vidlib.explain.masks import TemporalMasks, find_masks, learn_masks
from vidlib.files import write_arrays


def chosen_clips(p, index: pd.DataFrame) -> np.ndarray:
    """Return the rows of the clips to explain: some of each class, drawn by the data seed."""
    rng = np.random.default_rng(p.data_seed)
    rows = []
    for label in sorted(index["label"].unique()):
        mine = np.flatnonzero(index["label"] == label)  # fewer if some cannot be decoded
        rows.append(rng.choice(mine, min(p.explained_clips, len(mine)), replace=False))
    return np.concatenate(rows)


def explained_clips(p, prepared: Path) -> Clips:
    """Return the clips to explain from the validation split of a folder of prepared clips."""
    validation = load_clips(prepared).split("validation")
    return validation.subset(chosen_clips(p, validation.index))


def masks_by(p, network: torch.nn.Module, x: torch.Tensor) -> TemporalMasks:
    """Return the masks of clips x, (B, C, T, H, W), by the profile's method."""
    shared = {"l1": p.mask_l1, "tv": p.mask_tv, "progress": True}
    if p.mask_method == "find":
        return find_masks(network, x, **shared)
    shared |= {"iterations": p.mask_iterations, "lr": p.mask_lr}
    return learn_masks(network, x, procedure=p.mask_method, **shared)


def in_parts(
    folder: Path, clips: int, make: Callable[[np.ndarray], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Make arrays of clips, 16 at a time, and join them; a killed run resumes at the next 16.

    clips: how many. make: maps the numbers of some clips to arrays with a row for each.
    """
    parts = []
    for number, rows in enumerate(np.split(np.arange(clips), range(16, clips, 16))):
        part = folder / f"part_{number}.npz"
        if not part.exists():
            write_arrays(part, **make(rows))
        with np.load(part) as arrays:
            parts.append(dict(arrays))
    for part in folder.glob("part_*.npz"):
        part.unlink()
    return {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}

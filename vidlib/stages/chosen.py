"""What several stages share: the clips to explain, their masks, and work in parts.

Several processes of a run share the parts among them.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from vidlib import check
from vidlib.compare.paper import SEQUENCES
from vidlib.data.clips import Clips, load_clips
from vidlib.distributed import gather, rank, world_size
from vidlib.explain.masks import TemporalMasks, find_masks, learn_masks
from vidlib.files import write_arrays

PART = 16  # clips
SEVEN = 8  # sequences of seven classes are in the paper's main text, the others in its appendix


def labels_of(classes: Iterable[int | str], names: dict[int, str]) -> list[int]:
    """Return the numbers of classes, in order; of all for none.

    classes: numbers or names; "seven" for those of the paper's main text, "eleven" for those of all
    its figures. names: of the classes that there are, by number. Raises ValueError for any other.

    >>> labels_of(["walking", 0], {0: "boxing", 4: "running", 5: "walking"})
    [0, 5]
    """
    shown = SEQUENCES.query("dataset == 'something'")["label_name"]
    several = {"seven": shown[:SEVEN].unique().tolist(), "eleven": shown.unique().tolist()}
    numbers = {name: number for number, name in names.items()}
    wanted = [name for one in classes for name in several.get(str(one), [one])]
    for name in wanted:
        check.one_of("explained_classes", name, (*several, *names, *numbers))
    return sorted({numbers.get(name, name) for name in wanted} or names)


def chosen_clips(p, index: pd.DataFrame, names: dict[int, str], original: str = "") -> np.ndarray:
    """Return the rows of the clips to explain: some of each class, drawn by the data seed.

    names: of all classes, by number. original: of an original data set, "something" or "kth"; the
    clips that the paper shows of it come first.
    """
    rng = np.random.default_rng(p.data_seed)
    theirs = SEQUENCES.loc[SEQUENCES["dataset"] == original, "clip_id"]
    rows = []
    for label in labels_of(p.explained_classes, names):
        mine = np.flatnonzero(index["label"] == label)  # fewer if some cannot be decoded
        drawn = rng.choice(mine, min(p.explained_clips, len(mine)), replace=False)
        if original:
            first = mine[index["clip_id"].iloc[mine].isin(theirs)]
            drawn = np.concatenate([first, drawn[~np.isin(drawn, first)]])[: len(drawn)]
        rows.append(drawn)
    return np.concatenate(rows)


def explained_clips(p, prepared: Path, original: str = "") -> Clips:
    """Return the clips to explain from the validation split of a folder of prepared clips."""
    validation = load_clips(prepared).split("validation")
    return validation.subset(chosen_clips(p, validation.index, validation.names, original))


def masks_by(p, network: torch.nn.Module, x: torch.Tensor) -> TemporalMasks:
    """Return the masks of clips x, (B, C, T, H, W), by the profile's method."""
    shared = {"l1": p.mask_l1, "tv": p.mask_tv, "progress": rank() == 0}
    if p.mask_method == "find":
        return find_masks(network, x, **shared)
    shared |= {"iterations": p.mask_iterations, "lr": p.mask_lr}
    return learn_masks(network, x, procedure=p.mask_method, **shared)


class Shared(Exception):
    """Raised in all processes of a run but the first once their parts of the work are made."""


def in_parts(
    folder: Path, clips: int, make: Callable[[np.ndarray], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Make arrays of clips, `PART` at a time, and join them; a killed run resumes at the next part.

    clips: how many. make: maps the numbers of some clips to arrays with a row for each. The
    processes of a run take turns, so that each part is made by one, and the same whoever makes it.
    The first joins them; in the others, `Shared` is raised.
    """
    parts = [folder / f"part_{number}.npz" for number in range(-(-clips // PART))]
    for number in range(rank(), len(parts), world_size()):
        if not parts[number].exists():
            write_arrays(parts[number], **make(np.arange(clips)[PART * number :][:PART]))
    gather(None)
    if rank() > 0:
        raise Shared
    made = []
    for part in parts:
        with np.load(part) as arrays:
            made.append(dict(arrays))
        part.unlink()
    return {name: np.concatenate([one[name] for one in made]) for name in made[0]}

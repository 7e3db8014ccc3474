"""Clips one batch at a time, and the same clips in two tables."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vidlib.data.clips import Clips, stream_clips, to_network


def over_batches(
    clips: Clips, of_batch: Callable[[Tensor], Tensor], size: int = 64
) -> tuple[Tensor, np.ndarray]:
    """Return the values of a function for some clips, (N, ...), and their positions, (N,) int64.

    of_batch: maps network input (B, 3, T, H, W) to values (B, ...). Clips that cannot be read are
    left out.

    >>> from vidlib.data.clips import Frames
    >>> frames = np.zeros((3, 4, 8, 8, 3), np.uint8)
    >>> index = pd.DataFrame({"label": [1, 2, 1], "label_name": list("aba")})
    >>> clips = Clips(index, Frames(frames.__getitem__, np.arange(3), frames.shape[1:]), [1, 2])
    >>> over_batches(clips, lambda x: x.mean((1, 2, 3, 4)), size=2)
    (tensor([-1., -1., -1.]), array([0, 1, 2]))
    """
    batches = stream_clips(clips, size)
    found = [(of_batch(to_network(one.frames)), one.positions) for one in batches]
    values, positions = map(torch.cat, zip(*found, strict=True))
    return values, positions.numpy()


def same_clips(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return the second table's rows in the order of the first's clips, by column clip_id.

    Raises ValueError if their clips differ.

    >>> one, two = (pd.DataFrame({"clip_id": list(ids)}) for ids in ("ab", "ba"))
    >>> same_clips(one, two)["clip_id"].tolist()
    ['a', 'b']
    """
    if set(first["clip_id"]) != set(second["clip_id"]):
        raise ValueError("the tables are of different clips: use the same ones for both networks")
    return second.set_index("clip_id").loc[first["clip_id"]].reset_index()

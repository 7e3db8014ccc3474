"""What ideal observers share: the orders that they are asked about, and how rules are joined."""

from collections.abc import Mapping

import numpy as np

from vidlib.rendered.scene import Scene

NOTHING = -1  # what an observer says where it sees none of the classes


def checked_orders(scene: Scene, orders: np.ndarray | None) -> np.ndarray:
    """Return orders of a scene's frames as (N, T') int64; by default one, the frames as they are.

    Raises ValueError for another shape or type, and for frames that the scene does not have.
    """
    if orders is None:
        return np.arange(len(scene))[None]
    orders = np.asarray(orders)
    if orders.ndim != 2 or 0 in orders.shape or not np.issubdtype(orders.dtype, np.integer):
        raise ValueError(
            f"orders has shape {orders.shape} and type {orders.dtype}: give whole numbers (N, T), "
            "the frames that are shown in each of N orders"
        )
    if orders.min() < 0 or orders.max() >= len(scene):
        raise ValueError(
            f"orders runs from {orders.min()} to {orders.max()}: the scene has frames 0 to "
            f"{len(scene) - 1}"
        )
    return orders


def verdicts(proved: Mapping[int, np.ndarray]) -> np.ndarray:
    """Return the label whose rule is true in each of N orders, (N,) int64, else `NOTHING`.

    proved: (N,) bool by label. No two may be true at once: ValueError where they are.
    """
    labels, rules = list(proved), np.stack(list(proved.values()))
    if (rules.sum(0) > 1).any():
        both = [labels[k] for k in np.flatnonzero(rules[:, (rules.sum(0) > 1).argmax()])]
        raise ValueError(f"the rules of classes {both} are true of one and the same clip")
    return np.where(rules.any(0), np.array(labels)[rules.argmax(0)], NOTHING)

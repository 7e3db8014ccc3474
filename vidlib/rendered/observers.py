"""What ideal observers share: checks of frame orders, and the combination of rules."""

from collections.abc import Mapping

import numpy as np

from vidlib import check
from vidlib.rendered.scene import Scene

NOTHING = -1  # an observer's answer when it sees none of the classes


def checked_orders(scene: Scene, orders: np.ndarray | None) -> np.ndarray:
    """Return orders of a scene's frames as (N, T') int; by default one, the frames as they are.

    Raises ValueError for another shape or type, and for frames that the scene does not have.
    """
    if orders is None:
        return np.arange(len(scene))[None]
    orders = np.asarray(orders)
    good = orders.ndim == 2 and 0 not in orders.shape and np.issubdtype(orders.dtype, np.integer)
    check.shape("orders", orders, "whole numbers (N, T), the frames shown in N orders", good)
    if orders.min() < 0 or orders.max() >= len(scene):
        found = f"orders runs from {orders.min()} to {orders.max()}"
        raise ValueError(f"{found}: the scene has frames 0 to {len(scene) - 1}")
    return orders


def verdicts(proved: Mapping[int, np.ndarray]) -> np.ndarray:
    """Return the label whose rule is true in each of N orders, (N,) int64, else `NOTHING`.

    proved: (N,) bool by label. Raises ValueError if two are true at once.

    >>> verdicts({43: np.array([True, False]), 45: np.array([False, False])}).tolist()
    [43, -1]
    """
    labels, rules = list(proved), np.stack(list(proved.values()))
    if (rules.sum(0) > 1).any():
        both = [labels[k] for k in np.flatnonzero(rules[:, (rules.sum(0) > 1).argmax()])]
        raise ValueError(f"the rules of classes {both} are true of one and the same clip")
    return np.where(rules.any(0), np.array(labels)[rules.argmax(0)], NOTHING)

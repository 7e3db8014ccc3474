"""The I3D with as many parameters as the C-LSTM, so that only the way they use time differs."""

import torch

from vidlib.models import clstm_variants, i3d_variants
from vidlib.models.store import build_network


def parameters(family: str, arguments: dict) -> int:
    """Return how many parameters a network of a family has.

    >>> parameters("i3d", {"num_classes": 400})
    12697264
    """
    with torch.device("meta"):
        return sum(one.numel() for one in build_network(family, arguments).parameters())


def narrow_i3d(p, classes: int) -> dict:
    """Return the arguments of the I3D whose number of parameters is about the C-LSTM's.

    Raises ValueError if the width would not be between 1/128 and twice the published one.
    """
    wanted = parameters("clstm", clstm_variants.own(p, classes))
    arguments = i3d_variants.own(p, classes)

    def count(width: float) -> int:
        return parameters("i3d", {**arguments, "width": width})

    low, high = 1 / 128, 2.0
    if not count(low) <= wanted <= count(high):
        found = f"no I3D of width {low:.4f} to {high} has the C-LSTM's {wanted:,} parameters"
        raise ValueError(f"{found}: change clstm_hidden")
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if count(middle) > wanted else (middle, high)
    return {**arguments, "width": round(low, 4)}

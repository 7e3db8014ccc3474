"""The study's two networks, and the controls beside them: how a profile builds each.

The published pair differs in more than its way with time: capacity, head, geometry of its maps. A
control changes one thing and what follows from it, which most often includes the number of
parameters (`parameters` tells), so that a finding can be pinned on it. All are trained by the same
loop, on the same clips, with the epochs and learning rate of their family.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from vidlib.models.store import build_network

I3D_FIELDS = ("i3d_width", "i3d_dropout", "i3d_strides", "i3d_temporal_strides")
CLSTM_FIELDS = ("frames", "size", "clstm_hidden", "clstm_strides", "clstm_dropout")


def i3d_arguments(p, classes: int) -> dict:
    """Return how a profile's I3D is built."""
    return {
        "num_classes": classes,
        "width": p.i3d_width,
        "dropout": p.i3d_dropout,
        "spatial_strides": p.i3d_strides,
        "temporal_strides": p.i3d_temporal_strides,
    }


def clstm_arguments(p, classes: int) -> dict:
    """Return how a profile's C-LSTM is built."""
    return {
        "num_classes": classes,
        "frames": p.frames,
        "size": p.size,
        "layers": len(p.clstm_strides),
        "hidden": p.clstm_hidden,
        "stride": p.clstm_strides,
        "dropout": p.clstm_dropout,
    }


def causal_i3d(p, classes: int) -> dict:
    """Return how the I3D is built that never looks ahead."""
    return {**i3d_arguments(p, classes), "causal": True}


def sequence_i3d(p, classes: int) -> dict:
    """Return how the I3D is built that has the C-LSTM's head."""
    return {
        **i3d_arguments(p, classes),
        "head": "sequence",
        "frames": p.frames,
        "size": p.size,
    }


def parameters(name: str, arguments: dict) -> int:
    """Return how many parameters a network has."""
    with torch.device("meta"):
        return sum(one.numel() for one in build_network(name, arguments).parameters())


def narrow_i3d(p, classes: int) -> dict:
    """Return how the I3D is built whose parameters are as many as the C-LSTM's, or nearly.

    Raises ValueError where none between 1/128 and twice the published width has so many.
    """
    wanted = parameters("clstm", clstm_arguments(p, classes))
    arguments = i3d_arguments(p, classes)

    def count(width: float) -> int:
        return parameters("i3d", {**arguments, "width": width})

    low, high = 1 / 128, 2.0
    if not count(low) <= wanted <= count(high):
        raise ValueError(
            f"no I3D between the widths {low:.4f} and {high} has the {wanted:,} parameters of the "
            "C-LSTM: change clstm_hidden"
        )
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if count(middle) > wanted else (middle, high)
    return {**arguments, "width": round(low, 4)}


def average_clstm(p, classes: int) -> dict:
    """Return how the C-LSTM is built that has the I3D's head."""
    return {**clstm_arguments(p, classes), "head": "average"}


def bidirectional_clstm(p, classes: int) -> dict:
    """Return how the C-LSTM is built that also reads from the end."""
    return {**clstm_arguments(p, classes), "bidirectional": True}


def deeper_clstm(p, classes: int, layers: int) -> dict:
    """Return how the C-LSTM with more layers is built.

    Layers are added at stride 1; where their pooling would leave no pixel, earlier strides are
    lowered to 1, the last first. Raises ValueError where the profile's own has as many layers.
    """
    if layers <= len(p.clstm_strides):
        raise ValueError(
            f"the profile's own C-LSTM has {len(p.clstm_strides)} layers: one with {layers} is no "
            "deeper (clstm_strides has a number for each)"
        )
    strides = [*p.clstm_strides, *[1] * (layers - len(p.clstm_strides))]

    def pixels() -> int:
        size = min(p.size)
        for stride in strides:
            size = -(-size // stride) // 2
        return size

    while not pixels() and max(strides) > 1:
        last = max(k for k, stride in enumerate(strides) if stride > 1)
        strides[last] = 1
    return {**clstm_arguments(p, classes), "layers": layers, "stride": tuple(strides)}


def four_layers(p, classes: int) -> dict:
    """Return how the C-LSTM with four layers is built."""
    return deeper_clstm(p, classes, 4)


def five_layers(p, classes: int) -> dict:
    """Return how the C-LSTM with five layers is built."""
    return deeper_clstm(p, classes, 5)


def kinetics_i3d(p, classes: int) -> dict:
    """Return how the I3D is built that starts from Kinetics weights, which have width 1.

    Strides and head are those of the study, not of the weights' own network.
    """
    return {**i3d_arguments(p, classes), "width": 1.0, "head": "average"}


def from_kinetics(arguments: dict) -> torch.nn.Module:
    """Return an I3D with Kinetics weights and a new last layer, ready to be trained."""
    from vidlib.models.kinetics import load_kinetics_i3d

    return load_kinetics_i3d(**arguments).train()


@dataclass(frozen=True)
class Variant:
    """A network of the study, or a control.

    family: "i3d" or "clstm". arguments: of a profile and a number of classes, how it is built.
    fields: those of the profile that this takes. helpers: functions that it calls. differs: in what
    it differs from its family's network, "" where it is that. start: what makes it of its
    arguments, where that is not random numbers. compared: other families whose networks it is
    measured by.
    """

    family: str
    arguments: Callable[..., dict]
    fields: tuple[str, ...]
    helpers: tuple[Callable, ...] = ()
    differs: str = ""
    start: Callable[[dict], torch.nn.Module] | None = None
    compared: tuple[str, ...] = ()

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules of the networks that it is made of or measured by."""
        return tuple(f"vidlib.models.{family}" for family in (self.family, *self.compared))


VARIANTS = {
    "i3d": Variant("i3d", i3d_arguments, I3D_FIELDS),
    "clstm": Variant("clstm", clstm_arguments, CLSTM_FIELDS),
    "i3d-causal": Variant("i3d", causal_i3d, I3D_FIELDS, (i3d_arguments,), "never looks ahead"),
    "i3d-narrow": Variant(
        "i3d",
        narrow_i3d,
        (*I3D_FIELDS, *CLSTM_FIELDS),
        (i3d_arguments, clstm_arguments, parameters),
        "has as many parameters as the C-LSTM",
        compared=("clstm",),
    ),
    "i3d-sequence": Variant(
        "i3d",
        sequence_i3d,
        (*I3D_FIELDS, "frames", "size"),
        (i3d_arguments,),
        "has the C-LSTM's head",
    ),
    "i3d-kinetics": Variant(
        "i3d",
        kinetics_i3d,
        I3D_FIELDS,
        (i3d_arguments, from_kinetics),
        "starts from Kinetics weights, at their width",
        from_kinetics,
    ),
    "clstm-average": Variant(
        "clstm", average_clstm, CLSTM_FIELDS, (clstm_arguments,), "has I3D's head"
    ),
    "clstm-bidirectional": Variant(
        "clstm", bidirectional_clstm, CLSTM_FIELDS, (clstm_arguments,), "reads from both ends"
    ),
    "clstm-4": Variant(
        "clstm",
        four_layers,
        CLSTM_FIELDS,
        (clstm_arguments, deeper_clstm),
        "has four layers",
    ),
    "clstm-5": Variant(
        "clstm",
        five_layers,
        CLSTM_FIELDS,
        (clstm_arguments, deeper_clstm),
        "has five layers",
    ),
}
STUDIED = tuple(name for name, one in VARIANTS.items() if not one.differs)

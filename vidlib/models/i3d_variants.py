"""How a profile builds I3D, and the controls that are I3D but for one thing.

Each function takes a profile `p` and the number of classes and returns the keyword arguments of
`vidlib.models.I3D`.
"""


def own(p, classes: int) -> dict:
    """Return how a profile's I3D is built."""
    return {
        "num_classes": classes,
        "width": p.i3d_width,
        "dropout": p.i3d_dropout,
        "spatial_strides": p.i3d_strides,
        "temporal_strides": p.i3d_temporal_strides,
    }


def causal(p, classes: int) -> dict:
    """Return how the I3D is built that never looks ahead."""
    return {**own(p, classes), "causal": True}


def sequence(p, classes: int) -> dict:
    """Return how the I3D is built that has the C-LSTM's head."""
    return {**own(p, classes), "head": "sequence", "frames": p.frames, "size": p.size}


def kinetics(p, classes: int) -> dict:
    """Return how the I3D is built that starts from Kinetics weights, which have width 1.

    Strides and head are those of the study, not of the weights' own network.
    """
    return {**own(p, classes), "width": 1.0, "head": "average"}

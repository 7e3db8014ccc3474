"""How a profile builds I3D, and its controls, which differ from it in one thing.

Each function takes a profile `p` and the number of classes and returns the keyword arguments of
`vidlib.models.I3D`.
"""


def own(p, classes: int) -> dict:
    """Return the arguments of a profile's I3D."""
    return {
        "num_classes": classes,
        "width": p.i3d_width,
        "dropout": p.i3d_dropout,
        "spatial_strides": p.i3d_strides,
        "temporal_strides": p.i3d_temporal_strides,
        "bn_momentum": p.i3d_bn_momentum,
        "input_range": p.input_range,
    }


def causal(p, classes: int) -> dict:
    """Return the arguments of the I3D that never looks ahead."""
    return {**own(p, classes), "causal": True}


def sequence(p, classes: int) -> dict:
    """Return the arguments of the I3D with the C-LSTM's head."""
    return {**own(p, classes), "head": "sequence", "frames": p.frames, "size": p.size}


def kinetics(p, classes: int) -> dict:
    """Return the arguments of the I3D that starts from Kinetics weights, which have width 1.

    Strides and head are the study's, not those that the weights were trained with.
    """
    same = {"width": 1.0, "head": "average", "input_range": "-1 to 1"}
    return {**own(p, classes), **same}

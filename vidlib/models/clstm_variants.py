"""How a profile builds the C-LSTM, and its controls, which differ from it in one thing.

Each function takes a profile `p` and the number of classes and returns the keyword arguments of
`vidlib.models.CLSTM`.
"""

from vidlib.models.clstm import pixels_left


def own(p, classes: int) -> dict:
    """Return the arguments of a profile's C-LSTM."""
    return {
        "num_classes": classes,
        "frames": p.frames,
        "size": p.size,
        "layers": len(p.clstm_strides),
        "hidden": p.clstm_hidden,
        "stride": p.clstm_strides,
        "dropout": p.clstm_dropout,
        "shared_norm": p.clstm_shared_norm,
        "head": p.clstm_head,
        "input_range": p.input_range,
    }


def average(p, classes: int) -> dict:
    """Return the arguments of the C-LSTM with the I3D's head."""
    return {**own(p, classes), "head": "average"}


def bidirectional(p, classes: int) -> dict:
    """Return the arguments of the C-LSTM that also reads from the end."""
    return {**own(p, classes), "bidirectional": True}


def deeper(p, classes: int, layers: int) -> dict:
    """Return the arguments of the C-LSTM with more layers.

    Layers are added at stride 1; if their pooling would leave no pixel, earlier strides are lowered
    to 1, the last first. Raises ValueError if the profile's own has as many layers.
    """
    if layers <= len(p.clstm_strides):
        raise ValueError(f"clstm_strides is {p.clstm_strides}: give fewer than {layers} numbers")
    strides = [*p.clstm_strides, *[1] * (layers - len(p.clstm_strides))]
    while not pixels_left(min(p.size), strides) and max(strides) > 1:
        last = max(k for k, stride in enumerate(strides) if stride > 1)
        strides[last] = 1
    return {**own(p, classes), "layers": layers, "stride": tuple(strides)}


def four_layers(p, classes: int) -> dict:
    """Return the arguments of the C-LSTM with four layers."""
    return deeper(p, classes, 4)


def five_layers(p, classes: int) -> dict:
    """Return the arguments of the C-LSTM with five layers."""
    return deeper(p, classes, 5)

"""Sizes and costs of networks, and which frames their activations depend on."""

import copy
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def _tensor(output: Tensor | tuple) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def temporal_reach(network: Any, clips: Tensor, layer: nn.Module | None = None) -> np.ndarray:
    """Return which input frames each time step of a layer depends on, (T', T) bool.

    clips: (B, 3, T, H, W), random: a step depends on a frame if some gradient is not zero. layer:
    by default the network's `gradcam_layer`; it is called once and returns (B, K, T', H', W'), or
    once per time step and returns (B, K, H', W') or a tuple that begins with it.

    >>> layer = nn.Conv3d(3, 2, kernel_size=(3, 1, 1), padding=(1, 0, 0))
    >>> temporal_reach(nn.Sequential(layer), torch.rand(1, 3, 4, 2, 2), layer).astype(int)
    array([[1, 1, 0, 0],
           [1, 1, 1, 0],
           [0, 1, 1, 1],
           [0, 0, 1, 1]])
    """
    layer = network.gradcam_layer if layer is None else layer
    names = {module: name for name, module in network.named_modules()}
    network = copy.deepcopy(network).eval()  # in training, BatchNorm mixes frames and remembers
    outputs: list[Tensor] = []
    layer = network.get_submodule(names[layer])
    layer.register_forward_hook(lambda _m, _i, output: outputs.append(_tensor(output)))
    clips = clips.detach().requires_grad_()
    with torch.enable_grad():
        network(clips)
    steps = list(outputs[0].unbind(2)) if outputs[0].ndim == 5 else outputs
    rows = []
    for step in steps:
        (gradient,) = torch.autograd.grad(step.square().sum(), clips, retain_graph=True)
        rows.append((gradient != 0).any(0).any(0).flatten(1).any(1).cpu().numpy())
    return np.stack(rows)


def layer_costs(network: nn.Module, clip: Tensor) -> pd.DataFrame:
    """Return the output shapes and costs of a network's parts for one clip, (1, 3, T, H, W).

    Parts are its children and the members of its lists of layers. Columns: layer, output (shape,
    without the first dimension, which is the batch, or batch and frames if the network flattens
    them; of one call, if the part is called once per frame), parameters, and gflop (10^9
    floating-point operations of convolutions and linear maps in a forward pass; a multiplication
    and an addition are two).

    >>> layer_costs(nn.Sequential(nn.Conv3d(3, 2, 1)), torch.rand(1, 3, 4, 8, 8))["output"][0]
    (2, 4, 8, 8)
    """
    network = copy.deepcopy(network).eval()
    parts: dict[str, nn.Module] = {}
    for name, module in network.named_children():
        members = module.named_children() if isinstance(module, nn.ModuleList) else ()
        if not isinstance(module, (nn.Dropout, nn.Identity, nn.Flatten)):
            parts |= {f"{name}.{k}": member for k, member in members} or {name: module}
    shapes: dict[str, tuple] = {}

    def record(name: str, _module, _inputs, output) -> None:
        shapes[name] = tuple(_tensor(output).shape[1:])

    for name, module in parts.items():
        module.register_forward_hook(partial(record, name))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(clip)
    flops = {name: sum(by.values()) for name, by in counter.get_flop_counts().items()}
    kind = type(network).__name__
    return pd.DataFrame(
        {
            "layer": name,
            "output": shapes[name],
            "parameters": sum(p.numel() for p in parts[name].parameters()),
            "gflop": flops.get(f"{kind}.{name}", 0) / 1e9,
        }
        for name in shapes
    )

"""What networks are made of: sizes, costs, and which frames their activations depend on."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@contextmanager
def _evaluated(network: nn.Module) -> Iterator[None]:
    """Put a network into eval mode and back: BatchNorm in training mixes frames, and remembers."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def temporal_reach(network: nn.Module, clips: Tensor, layer: nn.Module | None = None) -> np.ndarray:
    """Return which input frames each time step of a layer depends on, (T', T) bool.

    clips: (B, 3, T, H, W), random ones: a dependency counts where some gradient is not zero. layer:
    by default the network's `gradcam_layer`; called once and returning (B, K, T', H', W'), or once
    per time step, returning (B, K, H', W') or a tuple that begins with it.
    """
    layer = network.gradcam_layer if layer is None else layer
    outputs = []
    handle = layer.register_forward_hook(
        lambda _m, _i, output: outputs.append(output if isinstance(output, Tensor) else output[0])
    )
    clips = clips.detach().requires_grad_()
    try:
        with torch.enable_grad(), _evaluated(network):
            network(clips)
    finally:
        handle.remove()
    steps = list(outputs[0].unbind(2)) if outputs[0].ndim == 5 else outputs
    rows = []
    for step in steps:
        (gradient,) = torch.autograd.grad(step.square().sum(), clips, retain_graph=True)
        rows.append((gradient != 0).any(0).any(0).flatten(1).any(1).cpu().numpy())
    return np.stack(rows)


def layer_costs(network: nn.Module, clip: Tensor) -> pd.DataFrame:
    """Return what a network's parts give and cost for one clip, (1, 3, T, H, W).

    Parts are its children and, of lists of layers, their members. Columns: layer, output (shape,
    without the first dimension: the batch or, where a network lays them together, batch and
    frames; of a part called once per frame, that of one call), parameters, and gflop (10^9
    floating-point operations of convolutions and linear maps in a forward pass; a multiplication
    and an addition are two).
    """
    shapes, hooks = {}, []
    parts = {}
    for name, module in network.named_children():
        members = module.named_children() if isinstance(module, nn.ModuleList) else ()
        if not isinstance(module, (nn.Dropout, nn.Identity, nn.Flatten)):
            parts |= {f"{name}.{k}": member for k, member in members} or {name: module}

    def record(name):
        def hook(_module, _inputs, output):
            shapes[name] = tuple((output if isinstance(output, Tensor) else output[0]).shape[1:])

        return hook

    for name, module in parts.items():
        hooks.append(module.register_forward_hook(record(name)))
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), _evaluated(network), counter:
            network(clip)
    finally:
        for hook in hooks:
            hook.remove()
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

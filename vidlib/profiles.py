"""Profiles: every setting of the study in one typed, frozen record; any field can be overridden.

The record's defaults are the profile `quick`; `tables/profiles.yaml` has the others.
"""

import ast
import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from vidlib import check
from vidlib.named import read_table

# Numbers with their bounds, as `vidlib.check.number` takes them.
Count = Annotated[int, {"least": 1}]
Counts = tuple[int, ...]
Classes = tuple[int | str, ...]
Seed = Annotated[int, {"least": 0, "below": 2**32}]
Rate = Annotated[float, {"above": 0}]
Weight = Annotated[float, {"least": 0}]
Share = Annotated[float, {"least": 0, "below": 1}]
Optimizer = Literal["adamw", "adam", "sgd"]
Schedule = Literal["one-cycle", "plateau", "constant"]
Checkpoint = Literal["last", "least loss", "best accuracy"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Profile:
    """The settings of one size of the study, for one of the paper's data sets.

    The defaults are those of `quick` on sets like Something-something.
    """

    render_size: Annotated[int, {"least": 32}] = 112  # pixels a side of rendered videos
    train_clips: Count = 84  # of each class
    validation_clips: Count = 20  # of each class
    frames: Annotated[int, {"least": 4}] = 16  # that a network sees of a clip
    size: Counts = (56, 56)  # height and width that it sees, in pixels
    input_range: Literal["-1 to 1", "0 to 255"] = "-1 to 1"  # of the pixels, as its layers get them
    i3d_width: Rate = 0.25  # 1 is the published network
    i3d_strides: Counts = (2, 2, 2, 1, 1)  # in space: first convolution, four max-pools
    i3d_temporal_strides: Counts = (1, 2, 1)  # in time: first convolution, two max-pools
    i3d_dropout: Share = 0.5  # before the last layer
    i3d_bn_momentum: Share = 0.1  # the weight of the newest batch in BatchNorm's statistics
    i3d_epochs: Count = 6  # passes over the training clips
    i3d_lr: Rate = 1e-3  # the highest of its schedule
    i3d_optimizer: Optimizer = "adamw"  # or adam, sgd
    i3d_schedule: Schedule = "one-cycle"  # or plateau, constant
    i3d_weight_decay: Weight = 0.01  # of the optimizer
    i3d_checkpoint: Checkpoint = "last"  # the epoch whose weights are kept
    clstm_hidden: Count = 16  # units of each layer
    clstm_strides: Counts = (2, 1, 1)  # of each layer's input convolution
    clstm_dropout: Share = 0.0  # between layers
    clstm_shared_norm: bool = False  # one BatchNorm for all layers
    clstm_head: Literal["sequence", "last"] = "sequence"  # the steps that the last layer sees
    clstm_epochs: Count = 5  # passes over the training clips
    clstm_lr: Rate = 2e-3  # the highest of its schedule
    clstm_optimizer: Optimizer = "adamw"  # or adam, sgd
    clstm_schedule: Schedule = "one-cycle"  # or plateau, constant
    clstm_weight_decay: Weight = 0.01  # of the optimizer
    clstm_checkpoint: Checkpoint = "last"  # the epoch whose weights are kept
    batch_size: Count = 8  # clips to a step, of all processes together
    precision: Precision = "auto"  # of passes in training; auto: bfloat16 where that is faster
    momentum: Share = 0.2  # of sgd
    explained_clips: Count = 3  # of each class, that masks and maps are made of
    explained_classes: Classes = ()  # numbers, names, "seven" or "eleven" (the paper's); none: all
    mask_l1: Weight = 0.01  # weight of a mask's length in Eq. 1
    mask_tv: Weight = 0.02  # weight of its total variation
    mask_method: Literal["find", "corrected", "paper"] = "find"  # the last two: `learn_masks`
    mask_iterations: Annotated[int, {"least": 0}] = 60  # of `learn_masks`
    mask_lr: Rate = 0.2  # of `learn_masks`
    searched_clips: Count = 4  # of all classes together, whose every window is scored
    gate_epochs: Count = 7  # of the small networks that look for leaks
    gate_batch_size: Count = 16  # of these and of those that learn planted cues
    gate_lr: Rate = 4e-3  # likewise
    cue_epochs: Count = 5  # of the small networks that learn planted cues
    data_seed: Seed = 0  # draws what is rendered and which clips are explained
    train_seed: Seed = 0  # draws a network's weights, the order of its clips and dropout


def _checked(name: str, kind: Any, value: Any) -> Any:
    """Return the value as its field's type; raise ValueError where it is invalid."""
    if get_origin(kind) is Literal:
        check.one_of(name, value, get_args(kind))
        return value
    if kind is bool:
        check.one_of(name, str(value), ("True", "False"))
        return str(value) == "True"
    if get_origin(kind) is Annotated:
        number, bounds = get_args(kind)
        if number is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        check.number(name, value, whole=number is int, **bounds)
        return number(value)
    if isinstance(value, str):  # from a command line
        with contextlib.suppress(ValueError, SyntaxError):
            value = ast.literal_eval(value)
    values = value if isinstance(value, list | tuple) else (value,)
    if kind == Classes:
        if not all(isinstance(v, str) or (type(v) is int and v >= 0) for v in values):
            raise ValueError(f"{name} is {value!r}: give numbers or names of classes")
        return tuple(values)
    if not all(type(v) is int and v > 0 for v in values):
        raise ValueError(f"{name} is {value!r}: give a list of whole numbers of at least 1")
    return tuple(values)


def _changed(profile: Profile, values: Mapping[str, object]) -> Profile:
    """Return a profile with some fields changed, all names and values checked."""
    kinds, checked = {f.name: f.type for f in fields(Profile)}, {}
    for field, value in values.items():
        check.one_of("parameter name", field, kinds)
        checked[field] = _checked(field, kinds[field], value)
    if len(size := checked.get("size", ())) == 1:
        checked["size"] = 2 * size
    changed = replace(profile, **checked)
    if len(changed.size) != 2:
        raise ValueError(f"size is {changed.size}: give height and width, or one number for both")
    if changed.render_size % 2:
        raise ValueError(f"render_size is {changed.render_size}: give an even number of pixels")
    return changed


def _read_profiles() -> dict[str, dict[str, Profile]]:
    """Return all profiles by name and by the paper's data set that they are for."""
    table = read_table("profiles.yaml")
    periodic, found = table.pop("kth"), {"quick": {"something": Profile()}}
    for name, settings in table.items():
        like, kth = settings.pop("like", "quick"), settings.pop("kth")
        something = _changed(found[like]["something"], settings)
        found[name] = {"something": something, "kth": _changed(something, {**periodic, **kth})}
    return {name: found[name] for name in table}


PROFILES = _read_profiles()


def resolve_profile(
    name: str, overrides: Mapping[str, object] | None = None, original: str = "something"
) -> Profile:
    """Return the profile of that name with some of its fields overridden, all values checked.

    original: which of the paper's data sets it is for, "something" or "kth". A size that is one
    number is that of a square. Raises ValueError, naming what is allowed, for an unknown profile or
    field and for an invalid value. The precision "auto" becomes that of
    `best_precision`.

    >>> resolve_profile("quick", {"size": 40}).size
    (40, 40)
    """
    check.one_of("profile", name, PROFILES)
    profile = _changed(PROFILES[name][original], overrides or {})
    if profile.precision == "auto":
        profile = replace(profile, precision=best_precision())
    return profile


def has_gpu() -> bool:
    """Return whether this machine has an NVIDIA GPU, without loading PyTorch.

    >>> has_gpu() in (True, False)
    True
    """
    return Path("/dev/nvidiactl").exists()


def best_precision() -> Literal["bfloat16", "float32"]:
    """Return "bfloat16" where training is faster with it, else "float32".

    It is on a GPU, and on a processor with AMX or AVX-512 instructions for it
    (`benchmarks/training.py`), which Linux tells. The environment variable VIDLIB_PRECISION goes
    before both: who drives a run of many jobs sets it, so that all of them train alike.

    >>> best_precision() in ("bfloat16", "float32")
    True
    """
    told = Path("/proc/cpuinfo")
    able = set(told.read_text("utf-8").split()) if told.exists() else set()
    half = {"amx_bf16", "avx512_bf16"} & able or has_gpu()
    found = os.environ.get("VIDLIB_PRECISION") or ("bfloat16" if half else "float32")
    check.one_of("VIDLIB_PRECISION", found, ("bfloat16", "float32"))
    return "bfloat16" if found == "bfloat16" else "float32"


def overridden(name: str, profile: Profile, original: str = "something") -> dict[str, object]:
    """Return the fields in which a profile differs from the one it is called after.

    >>> overridden("quick", resolve_profile("quick", {"frames": 8}))
    {'frames': 8}
    """
    base = asdict(resolve_profile(name, None, original))
    return {field: value for field, value in asdict(profile).items() if value != base[field]}

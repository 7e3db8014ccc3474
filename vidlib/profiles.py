"""Profiles: every setting of the study in one typed, frozen record; any field can be overridden."""

import ast
import contextlib
import difflib
import math
import types
from dataclasses import asdict, dataclass, fields, replace


@dataclass(frozen=True)
class Profile:
    """The settings of one size of the study, for one of the paper's data sets.

    The defaults are those of `quick` on sets like Something-something.
    """

    render_size: int = 112  # pixels a side of rendered videos
    train_clips: int = 84  # of each class
    validation_clips: int = 20  # of each class
    frames: int = 16  # that a network sees of a clip
    size: tuple[int, ...] = (56, 56)  # height and width that it sees, in pixels
    i3d_width: float = 0.25  # 1 is the published network
    i3d_strides: tuple[int, ...] = (2, 2, 2, 1, 1)  # in space: first convolution, four max-pools
    i3d_temporal_strides: tuple[int, ...] = (1, 2, 1)  # in time: first convolution, two max-pools
    i3d_dropout: float = 0.5
    i3d_epochs: int = 6
    i3d_lr: float = 1e-3  # the highest of its schedule
    i3d_optimizer: str = "adamw"  # or adam, sgd
    i3d_schedule: str = "one-cycle"  # or plateau, constant
    i3d_weight_decay: float = 0.01
    clstm_hidden: int = 16  # units of each layer
    clstm_strides: tuple[int, ...] = (2, 1, 1)  # of each layer's input convolution
    clstm_dropout: float = 0.0
    clstm_epochs: int = 5
    clstm_lr: float = 2e-3  # the highest of its schedule
    clstm_optimizer: str = "adamw"  # or adam, sgd
    clstm_schedule: str = "one-cycle"  # or plateau, constant
    clstm_weight_decay: float = 0.01
    batch_size: int = 8  # clips to a step, of all processes together
    momentum: float = 0.2  # of sgd
    explained_clips: int = 3  # of each class, that masks and maps are made of
    mask_l1: float = 0.01  # weight of a mask's length in Eq. 1
    mask_tv: float = 0.02  # weight of its total variation
    mask_method: str = "find"  # or a procedure of `learn_masks`: corrected, paper
    mask_iterations: int = 60  # of such a procedure
    mask_lr: float = 0.2  # of such a procedure
    searched_clips: int = 4  # of all classes together, whose every window is scored
    gate_epochs: int = 7  # of the small networks that look for leaks
    gate_batch_size: int = 16  # of these and of those that learn planted cues
    gate_lr: float = 4e-3  # likewise
    cue_epochs: int = 5  # of the small networks that learn planted cues
    data_seed: int = 0  # draws what is rendered and which clips are explained
    train_seed: int = 0  # draws a network's weights, the order of its clips and dropout


QUICK = Profile()
# Hardly trained, but so that every network's answer depends on its clip.
SMOKE = replace(
    QUICK,
    render_size=64,
    train_clips=2,
    validation_clips=2,
    size=(32, 32),
    i3d_width=0.1,
    i3d_strides=(2, 2, 1, 1, 1),
    i3d_epochs=8,
    i3d_lr=0.01,
    clstm_hidden=4,
    clstm_epochs=4,
    clstm_lr=0.02,
    batch_size=2,
    explained_clips=1,
    searched_clips=2,
    mask_method="corrected",  # the best mask of networks that know so little would be none
    mask_iterations=8,
    gate_epochs=1,
    gate_batch_size=8,
    cue_epochs=1,
)
FULL = replace(
    QUICK,
    render_size=224,
    train_clips=200,
    validation_clips=50,
    size=(224, 224),
    i3d_width=1.0,
    i3d_strides=(2, 2, 2, 2, 2),
    i3d_epochs=13,
    clstm_hidden=32,
    clstm_strides=(2, 2, 2),
    clstm_epochs=30,
    batch_size=16,
    explained_clips=20,
    searched_clips=64,
    mask_iterations=300,
)
# The paper's Tables 3 and 4; learning rates and schedules, which they lack, as in its code.
PAPER = replace(
    FULL,
    i3d_lr=8e-3,
    i3d_optimizer="adam",
    i3d_schedule="plateau",
    i3d_weight_decay=0.0,
    clstm_epochs=105,
    clstm_lr=1e-3,
    clstm_optimizer="sgd",
    clstm_schedule="constant",
    clstm_weight_decay=0.0,
    validation_clips=150,
    explained_clips=150,
    mask_method="paper",
    mask_lr=1e-3,
)
# What differs for KTH's periodic actions: more frames, oblong pictures, two layers, the temporal
# strides as they were.
KTH = {
    "frames": 32,
    "i3d_temporal_strides": (2, 2, 2),
    "i3d_dropout": 0.7,
    "clstm_dropout": 0.5,
    "mask_l1": 0.02,
    "mask_tv": 0.04,
}
KTH_LARGE = {"size": (120, 160), "clstm_strides": (2, 2), "i3d_epochs": 30}
PROFILES = {
    "smoke": {
        "something": SMOKE,
        "kth": replace(SMOKE, **KTH, size=(36, 48), clstm_strides=(2, 1), searched_clips=1),
    },
    "quick": {
        "something": QUICK,
        "kth": replace(
            QUICK,
            **KTH,
            size=(60, 80),
            train_clips=80,
            validation_clips=36,
            i3d_epochs=5,
            clstm_strides=(4, 1),
            clstm_epochs=5,
            searched_clips=1,
        ),
    },
    "full": {"something": FULL, "kth": replace(FULL, **KTH, **KTH_LARGE, clstm_epochs=21)},
    "paper": {
        "something": PAPER,
        "kth": replace(
            PAPER,
            **KTH,
            **KTH_LARGE,
            validation_clips=144,
            explained_clips=144,
            i3d_weight_decay=5e-5,
            clstm_epochs=21,
            clstm_weight_decay=1e-4,
        ),
    },
}

_AT_LEAST_ZERO = {
    "i3d_weight_decay",
    "clstm_weight_decay",
    "momentum",
    "mask_l1",
    "mask_tv",
    "mask_iterations",
    "data_seed",
    "train_seed",
    "i3d_dropout",
    "clstm_dropout",
}
_BELOW_ONE = ("i3d_dropout", "clstm_dropout", "momentum")
_OPTIMIZERS, _SCHEDULES = ("adamw", "adam", "sgd"), ("one-cycle", "plateau", "constant")
_WORDS = {
    "mask_method": ("find", "corrected", "paper"),
    "i3d_optimizer": _OPTIMIZERS,
    "clstm_optimizer": _OPTIMIZERS,
    "i3d_schedule": _SCHEDULES,
    "clstm_schedule": _SCHEDULES,
}


def unknown(kind: str, name: str, allowed) -> str:
    """Return one sentence about a name that is not allowed, with the nearest that is."""
    near = difflib.get_close_matches(str(name), list(allowed), n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown {kind} {name!r}{hint}; allowed: {', '.join(allowed)}"


def _check_field(name: str, kind, value):
    """Return the value as its field's type; raise ValueError where it cannot be that."""
    if kind is str:
        if value not in _WORDS[name]:
            raise ValueError(unknown(name, value, _WORDS[name]))
        return value
    if isinstance(kind, types.GenericAlias):  # tuple[int, ...]; a string from a command line
        if isinstance(value, str):
            with contextlib.suppress(ValueError, SyntaxError):
                value = ast.literal_eval(value)
        if isinstance(value, int) and not isinstance(value, bool):
            value = (value,)
        if not isinstance(value, list | tuple) or not all(type(v) is int and v > 0 for v in value):
            raise ValueError(f"{name} is {value!r}: give a list of whole numbers of at least 1")
        return tuple(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}: give a finite number")
    if not number or (kind is int and value != int(value)):
        raise ValueError(f"{name} is {value!r}: give a {'whole ' if kind is int else ''}number")
    if not value >= 0 or (value == 0 and name not in _AT_LEAST_ZERO):
        zero = "at least 0" if name in _AT_LEAST_ZERO else "above 0"
        raise ValueError(f"{name} is {value!r}: it must be {zero}")
    return kind(value)


def resolve_profile(
    name: str, overrides: dict[str, object] | None = None, original: str = "something"
) -> Profile:
    """Return the profile of that name with some of its fields overridden, all values checked.

    original: which of the paper's data sets it is for, "something" or "kth". A size that is one
    number is that of a square. Raises ValueError naming what is allowed for an unknown profile or
    field, and for a value of the wrong kind, out of range, or at odds with another.
    """
    if name not in PROFILES:
        raise ValueError(unknown("profile", name, PROFILES))
    kinds = {f.name: f.type for f in fields(Profile)}
    checked = {}
    for field, value in (overrides or {}).items():
        if field not in kinds:
            raise ValueError(unknown("parameter", field, kinds))
        checked[field] = _check_field(field, kinds[field], value)
    if len(size := checked.get("size", ())) == 1:
        checked["size"] = 2 * size
    profile = replace(PROFILES[name][original], **checked)
    if len(profile.size) != 2:
        raise ValueError(f"size is {profile.size}: give height and width, or one number for both")
    if profile.render_size % 2 or profile.render_size < 32:
        raise ValueError(
            f"render_size is {profile.render_size}: give an even number of pixels, at least 32"
        )
    for field in ("data_seed", "train_seed"):
        if (seed := getattr(profile, field)) >= 2**32:
            raise ValueError(f"{field} is {seed}: it must be below {2**32}")
    if profile.frames < 4:
        raise ValueError(f"frames is {profile.frames}: give at least 4")
    for field in _BELOW_ONE:
        if (value := getattr(profile, field)) >= 1:
            raise ValueError(f"{field} is {value}: it must be below 1")
    return profile


def overridden(name: str, profile: Profile, original: str = "something") -> dict[str, object]:
    """Return the fields in which a profile differs from the one it is called after."""
    base = asdict(PROFILES[name][original])
    return {field: value for field, value in asdict(profile).items() if value != base[field]}

"""Profiles: every setting of the study in one typed, frozen record; any field can be overridden."""

import ast
import contextlib
import difflib
import math
import types
from dataclasses import asdict, dataclass, fields, replace


@dataclass(frozen=True)
class Profile:
    """The settings of one size of the study.

    Clips are counted per class. Sizes are in pixels of a square picture. The strides of I3D are the
    spatial ones of its first convolution and its four max-pools, those of the C-LSTM its input
    convolutions'. mask_l1 and mask_tv are the weights of Eq. 1. The gate's are those of the small
    networks that look for leaks, and, with epochs of their own, of those that learn planted cues.
    """

    render_size: int = 112
    train_clips: int = 100
    validation_clips: int = 20
    frames: int = 16
    size: int = 56
    i3d_width: float = 0.25
    i3d_strides: tuple[int, ...] = (2, 2, 2, 1, 1)
    i3d_dropout: float = 0.5
    i3d_epochs: int = 6
    i3d_lr: float = 1e-3
    clstm_hidden: int = 16
    clstm_strides: tuple[int, ...] = (2, 1, 1)
    clstm_epochs: int = 5
    clstm_lr: float = 2e-3
    batch_size: int = 8
    weight_decay: float = 0.01
    explained_clips: int = 3
    mask_l1: float = 0.01
    mask_tv: float = 0.02
    mask_iterations: int = 60
    mask_lr: float = 0.2
    gate_epochs: int = 7
    gate_batch_size: int = 16
    gate_lr: float = 4e-3
    cue_epochs: int = 5
    seed: int = 0


QUICK = Profile()
PROFILES = {
    "smoke": replace(
        QUICK,
        render_size=64,
        train_clips=2,
        validation_clips=2,
        size=32,
        # Hardly trained, but so that every network's answer depends on its clip.
        i3d_width=0.1,
        i3d_strides=(2, 2, 1, 1, 1),
        i3d_epochs=8,
        i3d_lr=0.01,
        clstm_hidden=4,
        clstm_epochs=4,
        clstm_lr=0.02,
        batch_size=2,
        explained_clips=1,
        mask_iterations=8,
        gate_epochs=1,
        gate_batch_size=8,
        cue_epochs=1,
    ),
    "quick": QUICK,
    "full": replace(
        QUICK,
        render_size=224,
        train_clips=200,
        validation_clips=50,
        size=224,
        i3d_width=1.0,
        i3d_strides=(2, 2, 2, 2, 2),
        i3d_epochs=13,
        clstm_hidden=32,
        clstm_strides=(2, 2, 2),
        clstm_epochs=30,
        batch_size=16,
        explained_clips=20,
        mask_iterations=300,
    ),
}

_AT_LEAST_ZERO = {"weight_decay", "mask_l1", "mask_tv", "mask_iterations", "seed", "i3d_dropout"}


def unknown(kind: str, name: str, allowed) -> str:
    """Return one sentence about a name that is not allowed, with the nearest that is."""
    near = difflib.get_close_matches(str(name), list(allowed), n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown {kind} {name!r}{hint}; allowed: {', '.join(allowed)}"


def _check_field(name: str, kind, value):
    """Return the value as its field's type; raise ValueError where it cannot be that."""
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


def resolve_profile(name: str, overrides: dict[str, object] | None = None) -> Profile:
    """Return the profile of that name with some of its fields overridden, all values checked.

    Raises ValueError naming what is allowed for an unknown profile or field, and for a value of the
    wrong kind, out of range, or at odds with another.
    """
    if name not in PROFILES:
        raise ValueError(unknown("profile", name, PROFILES))
    kinds = {f.name: f.type for f in fields(Profile)}
    checked = {}
    for field, value in (overrides or {}).items():
        if field not in kinds:
            raise ValueError(unknown("parameter", field, kinds))
        checked[field] = _check_field(field, kinds[field], value)
    profile = replace(PROFILES[name], **checked)
    if profile.render_size % 2 or profile.render_size < 32:
        raise ValueError(
            f"render_size is {profile.render_size}: give an even number of pixels, at least 32"
        )
    if profile.seed >= 2**32:
        raise ValueError(f"seed is {profile.seed}: it must be below {2**32}")
    if profile.frames < 4:
        raise ValueError(f"frames is {profile.frames}: give at least 4")
    if profile.i3d_dropout >= 1:
        raise ValueError(f"i3d_dropout is {profile.i3d_dropout}: it must be below 1")
    if profile.explained_clips > profile.validation_clips:
        raise ValueError(
            f"explained_clips is {profile.explained_clips}, but there are only "
            f"{profile.validation_clips} validation clips of a class: explain fewer"
        )
    return profile


def overridden(name: str, profile: Profile) -> dict[str, object]:
    """Return the fields in which a profile differs from the one it is called after."""
    base = asdict(PROFILES[name])
    return {field: value for field, value in asdict(profile).items() if value != base[field]}

"""Checks of what callers pass: each raises ValueError that names the thing and the remedy."""

import difflib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

MOST_NAMED = 40  # allowed values that a message lists


def unknown(name: str, value: object, allowed: Iterable[object]) -> str:
    """Return one sentence about a value that is not among those allowed, with the nearest that is.

    >>> unknown("profile", "quik", ["smoke", "quick"])
    "profile is 'quik' (did you mean 'quick'?): give one of smoke, quick"
    """
    names = list(map(str, allowed))
    near = difflib.get_close_matches(str(value), names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    more = ", ..." if len(names) > MOST_NAMED else ""
    return f"{name} is {value!r}{hint}: give one of {', '.join(names[:MOST_NAMED])}{more}"


def one_of(name: str, value: object, allowed: Iterable[object]) -> None:
    """Refuse a value that is not among those allowed.

    >>> one_of("score", "softmax", ("softmax", "logit"))
    """
    if value not in (allowed := list(allowed)):
        raise ValueError(unknown(name, value, allowed))


def number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
    whole: bool = False,
) -> None:
    """Refuse what is no finite number, or no whole one, or out of bounds.

    above and below exclude their ends, least and most include them.

    >>> number("dropout", 0.5, least=0, below=1)
    >>> number("lr", 0, above=0)
    Traceback (most recent call last):
    ValueError: lr is 0: give a number above 0
    """
    kinds = (int, np.integer) if whole else (int, float, np.number)
    good = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    if good:
        good = (above is None or value > above) and (least is None or value >= least)
        good = good and (below is None or value < below) and (most is None or value <= most)
    if not good:
        bounds = {"above": above, "at least": least, "below": below, "at most": most}
        asked = " and ".join(f"{words} {end}" for words, end in bounds.items() if end is not None)
        kind = "whole number" if whole else "number"
        raise ValueError(f"{name} is {value!r}: give a {kind} {asked}".rstrip())


def count(name: str, value: object, least: int = 1, most: int | None = None) -> None:
    """Refuse what is no whole number from `least` to `most`.

    >>> count("frames", 16)
    >>> count("step", 17, most=16)
    Traceback (most recent call last):
    ValueError: step is 17: give a whole number at least 1 and at most 16
    """
    number(name, value, least=least, most=most, whole=True)


def counts(name: str, values: Any, length: int) -> None:
    """Refuse what is not `length` whole numbers of at least 1.

    >>> counts("size", (64, 64), 2)
    >>> counts("size", 64, 2)
    Traceback (most recent call last):
    ValueError: size is 64: give 2 whole numbers of at least 1
    """
    good = isinstance(values, tuple | list) and len(values) == length
    good = good and all(isinstance(v, int | np.integer) and v >= 1 for v in values)
    if not good or any(isinstance(v, bool) for v in values):
        raise ValueError(f"{name} is {values!r}: give {length} whole numbers of at least 1")


def unit(name: str, values: Any) -> None:
    """Refuse an array or tensor with values outside [0, 1]; NaN lies outside.

    >>> unit("mask", np.array([0.0, 1.0]))
    """
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"{name} has values outside [0, 1]: scale or clip them first")


def shape(name: str, array: Any, wanted: str, good: bool) -> None:
    """Refuse an array or tensor whose shape or type is not good.

    wanted: what to give, in words.

    >>> shape("clips", np.zeros((2, 3)), "floating-point clips (B, C, T, H, W)", False)
    Traceback (most recent call last):
    ValueError: clips has shape (2, 3) and type float64: give floating-point clips (B, C, T, H, W)
    """
    if not good:
        found = tuple(getattr(array, "shape", ())), getattr(array, "dtype", type(array).__name__)
        raise ValueError(f"{name} has shape {found[0]} and type {found[1]}: give {wanted}")


def filled(name: str, value: Any, wanted: str) -> None:
    """Refuse blank text and collections without items.

    wanted: what to give, in words.

    >>> filled("rows", [], "at least one row")
    Traceback (most recent call last):
    ValueError: rows is empty: give at least one row
    """
    if not (value.strip() if isinstance(value, str) else len(value)):
        raise ValueError(f"{name} is empty: give {wanted}")

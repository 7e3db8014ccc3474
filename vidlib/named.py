"""Functions named as "module:name": a table of them imports none of them."""

import importlib
from collections.abc import Callable


def module_of(function: str) -> str:
    """Return the module of a function named as "module:name".

    >>> module_of("vidlib.data.kth:read_kth")
    'vidlib.data.kth'
    """
    return function.partition(":")[0]


def function_of(function: str) -> Callable:
    """Return the function named as "module:name"; its module is imported.

    >>> function_of("math:sqrt")(9.0)
    3.0
    """
    return getattr(importlib.import_module(module_of(function)), function.partition(":")[2])

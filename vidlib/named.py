"""Tables, and functions named in them as "module:name": reading a table imports none of them."""

import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

TABLES = Path(__file__).parent / "tables"


def read_table(name: str) -> dict[str, Any]:
    """Return a YAML table of the folder `tables`, lists as tuples.

    >>> read_table("datasets.yaml")["kth-mini"]["most"]
    (256, 144)
    """

    def frozen(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: frozen(inner) for key, inner in value.items()}
        return tuple(value) if isinstance(value, list) else value

    return frozen(yaml.safe_load((TABLES / name).read_text(encoding="utf-8")))


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
    return pkgutil.resolve_name(function)

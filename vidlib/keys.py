"""Which code a result depends on, as hashes that comments, layout and docstrings do not change."""

import ast
import hashlib
import inspect
import os
import textwrap
from collections.abc import Callable
from pathlib import Path


def code_hash(functions: list[Callable]) -> str:
    """Return one hash of what the source of these functions means."""
    return _hash("".join(_meaning(_source(function)) for function in functions))


def _meaning(source: str) -> str:
    """Return code as its syntax tree, without comments, layout and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0] = ast.Pass()
    return ast.dump(tree)


def _imports(source: str) -> set[str]:
    """Return the vidlib modules that code imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vidlib":
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.split(".")[0] == "vidlib"}
    return found


def _module_file(module: str, package: Path) -> Path | None:
    path = package.parent.joinpath(*module.split("."))
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    initial = path / "__init__.py"
    return initial if initial.is_file() and module != "vidlib" else None


def module_hashes(
    functions: list[Callable], modules: tuple[str, ...], package: Path
) -> dict[str, str]:
    """Return a hash per vidlib module that functions depend on, through imports at any depth.

    modules: names of some that they use without importing them. package: the folder of vidlib. The
    __init__ of a package whose submodule is imported does not count: those hold re-exports alone.
    """
    todo = set(modules).union(*(_imports(_source(function)) for function in functions))
    hashes: dict[str, str] = {}
    while todo:
        module = todo.pop()
        path = _module_file(module, package)
        if path is None or module in hashes:
            continue
        source = path.read_text(encoding="utf-8")
        hashes[module] = _hash(_meaning(source))
        todo |= _imports(source)
    return dict(sorted(hashes.items()))


def folder_hash(folder: Path) -> str:
    """Return one hash of the names and contents of all files under a folder."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def folder_state(folder: Path) -> str:
    """Return one hash of a folder's place and its files' names, sizes and dates; links count.

    Files of a download that is under way or locked (.part, .lock) do not count.
    """
    lines = []
    for place, _, names in os.walk(folder.resolve(), followlinks=True):
        for name in names:
            if not name.endswith((".part", ".lock")):
                path = os.path.join(place, name)
                stat = os.stat(path) if os.path.exists(path) else os.lstat(path)
                lines.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _source(function: Callable) -> str:
    return textwrap.dedent(inspect.getsource(function))

"""Which results are current: each carries the key of everything it was made from.

A key is the SHA-256 of what a result depends on: its code, its settings, the versions of libraries,
and the keys of the results that it reads. A result is current if its key is the one computed now;
otherwise it is made again. Stages, pages and the book follow this one rule, and so do notebooks,
the command line and Snakemake.

Code counts by module: a result's entry modules and every module of vidlib that they import, at any
depth. Comments, layout and docstrings do not count. A file in the folders `web` and `tables` beside
a module counts if the module names it. A package's `__init__` holds re-exports only and does not
count: a name imported from a package stands for the module that defines it.
"""

import ast
import functools
import hashlib
import json
import os
from collections.abc import Collection, Iterable
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
RECORDED = ("torch", "lightning", "numpy", "pandas", "av", "opencv-python-headless", "scikit-learn")


class Code:
    """The code of vidlib, read once: a hash of each module, and what it imports.

    root: the folder that holds the folder vidlib.
    """

    def __init__(self, root: Path = ROOT):
        self.root = Path(root)
        self._read: dict[str, tuple[dict[str, str], set[str]]] = {}

    def closure(self, entries: Iterable[str]) -> dict[str, str]:
        """Return a hash of each module and script that these modules depend on.

        entries: names of modules. Code outside vidlib counts by its version, not here.

        >>> list(Code().closure(["vidlib.datasets"]))
        ['vidlib.check', 'vidlib.datasets', 'vidlib.named', 'vidlib/tables/datasets.yaml']
        """
        hashes: dict[str, str] = {}
        todo, seen = set(entries), set()
        while todo:
            module = todo.pop()
            seen.add(module)
            if module not in self._read:
                self._read[module] = self._module(module)
            own, imported = self._read[module]
            hashes |= own
            todo |= imported - seen
        return dict(sorted(hashes.items()))

    def of_text(self, source: str) -> dict[str, str]:
        """Return the hashes of all that some code imports of vidlib, such as a page's cells."""
        return self.closure(self._imports(ast.parse(source)))

    def of_script(self, script: str) -> dict[str, str]:
        """Return the hashes of a script, a path from the root, and of all that it imports."""
        tree = _meaning(self.root / script)
        return {script: sha256(ast.dump(tree)), **self.closure(self._imports(tree))}

    def files(self, modules: Iterable[str]) -> list[Path]:
        """Return the files that hashes of `closure` are of."""
        return [self._file(name) or self.root / name for name in modules]

    def _file(self, module: str) -> Path | None:
        path = self.root.joinpath(*module.split(".")).with_suffix(".py")
        return path if path.is_file() else None

    def _module(self, module: str) -> tuple[dict[str, str], set[str]]:
        """Return the hashes of a module and of the files beside it, and the modules it imports."""
        path = self._file(module)
        if path is None:  # a whole package stands for all that it exports
            return {}, set(self._exported(module).values())
        tree = _meaning(path)
        hashes = {module: sha256(ast.dump(tree))}
        for file in _named_files(tree, path.parent):
            hashes[str(file.relative_to(self.root))] = _file_hash(file)
        return hashes, self._imports(tree)

    def _exported(self, package: str) -> dict[str, str]:
        """Return by name the module that each re-export of a package comes from."""
        path = self.root.joinpath(*package.split("."), "__init__.py")
        there = package != "vidlib" and path.is_file()
        tree = ast.parse(path.read_text(encoding="utf-8") if there else "")
        return {
            one.name: inner if self._file(inner := f"{node.module}.{one.name}") else node.module
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and node.module
            for one in node.names
        }

    def _imports(self, tree: ast.AST) -> set[str]:
        """Return the modules of vidlib that code imports, wherever in it."""
        found: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names, exported = [a.name for a in node.names], self._exported(node.module)
                if self._file(node.module):
                    found.add(node.module)
                else:
                    found |= {exported.get(name, f"{node.module}.{name}") for name in names}
        return {module for module in found if module.split(".")[0] == "vidlib"}


def _meaning(path: Path) -> ast.Module:
    """Return the syntax tree of a file, which holds no comments and no layout, less docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Pass()
    return tree


def _named_files(tree: ast.Module, folder: Path) -> list[Path]:
    """Return the scripts and tables beside a module that its code names, such as "player.js"."""
    strings = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    there = (path for kind in ("web", "tables") for path in folder.glob(f"{kind}/*"))
    return sorted(path for path in there if path.name in strings)


def sha256(text: str) -> str:
    """Return the SHA-256 of a text as hexadecimal digits."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def key_of(ingredients: dict) -> str:
    """Return the key of a result: one hash of all that it depends on.

    ingredients: whatever JSON can hold; the order of its names does not matter.

    >>> key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1})
    True
    """
    return sha256(json.dumps(ingredients, sort_keys=True))


def differing(recorded: dict, now: dict, aside: Collection[str]) -> list[str]:
    """Return the names whose values differ between a record and now, apart from those set aside.

    >>> differing({"size": [8, 8], "seed": 0, "lr": 1}, {"size": (8, 8), "seed": 1}, ["seed"])
    ['lr']
    """
    now = json.loads(json.dumps(now))  # as a record holds them: lists for tuples
    names = sorted((recorded.keys() | now.keys()) - set(aside))
    return [name for name in names if recorded.get(name) != now.get(name)]


@functools.cache
def versions(names: tuple[str, ...] = RECORDED) -> dict[str, str]:
    """Return the installed versions of libraries that results depend on."""
    return {name: version(name) for name in names}


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_hash(folder: Path) -> str:
    """Return one hash of the names and contents of all files under a folder, or of one file."""
    inside = (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    files = [folder] if folder.is_file() else inside
    lines = (f"{path.relative_to(folder)} {_file_hash(path)}" for path in sorted(files))
    return sha256("\n".join(lines))


def folder_state(folder: Path) -> str:
    """Return one hash of a folder's place and its files' names, sizes and dates, links followed.

    Files that are being fetched, locked or written (.part, .lock, .part-...) do not count.
    """
    lines = []
    for place, _, names in os.walk(folder.resolve(), followlinks=True):
        for name in names:
            if not name.endswith((".part", ".lock")) and not name.startswith(".part-"):
                path = os.path.join(place, name)
                stat = os.stat(path) if os.path.exists(path) else os.lstat(path)
                lines.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    return sha256("\n".join(sorted(lines)))

"""What readers find in the folder of a data set: its files, and problems, told in one summary."""

import os
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

COLUMNS = ("clip_id", "path", "start", "stop", "label", "label_name", "split", "group")


DEEPEST = 5  # folders below a set's own, in which its files are looked for


class DataWarning(UserWarning):
    """A data set has problems; what they affect is left out."""


class DataError(ValueError):
    """A data set has no usable clip or, with `strict`, any problem."""


def files_under(root: Path, suffixes: tuple[str, ...] = ("",)) -> dict[str, list[str]]:
    """Return where the files with these suffixes lie, by name, the nearest to root first.

    Folders may be links. What is hidden, cannot be read or lies deeper than `DEEPEST` is left out.

    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> (root / "KTH/boxing").mkdir(parents=True)
    >>> (root / "KTH/boxing/a.AVI").touch()
    >>> [os.path.relpath(path, root) for path in files_under(root, (".avi",))["a.AVI"]]
    ['KTH/boxing/a.AVI']
    """
    places, seen = [], set()
    for folder, inner, names in os.walk(root, followlinks=True):
        depth, real = len(Path(folder).relative_to(root).parts), os.path.realpath(folder)
        if depth > DEEPEST or real in seen:
            inner.clear()
            continue
        seen.add(real)
        places.append((depth, folder, sorted(names)))
        inner[:] = [name for name in inner if not name.startswith((".", "__MACOSX"))]
    found = defaultdict(list)
    for _, folder, names in sorted(places):
        for name in names:
            if name.lower().endswith(suffixes) and not name.startswith("."):
                found[name].append(os.path.join(folder, name))
    return dict(found)


def missing(what: str, root: Path, remedy: str) -> FileNotFoundError:
    """Return the error that a set's folder lacks something, with what lies there instead.

    >>> str(missing("00sequences.txt", Path("no/such/folder"), "Get it"))
    'no/such/folder lacks 00sequences.txt; no file is there. Get it.'
    """
    kinds = defaultdict(list)
    for name, paths in files_under(root).items():
        for path in paths:
            folder = os.path.relpath(os.path.dirname(path), root)
            kinds[f"{os.path.splitext(name)[1] or 'other'} files in {folder}"].append(name)
    most = sorted(kinds.items(), key=lambda kind: -len(kind[1]))[:6]
    named = [f"{len(names)} {kind} ({names[0]})" for kind, names in most]
    there = f"there are {', '.join(named)}" if named else "no file is there"
    return FileNotFoundError(f"{root} lacks {what}; {there}. {remedy}.")


def places_of(index: pd.DataFrame) -> Iterator[tuple[str, int, int | None]]:
    """Return where each clip of an index is: path, start and stop; None for the end of the file.

    >>> list(places_of(pd.DataFrame({"path": "a.avi", "start": [0, 9], "stop": [9, pd.NA]})))
    [('a.avi', 0, 9), ('a.avi', 9, None)]
    """
    stops = index["stop"].astype("Int64").to_numpy(object, na_value=None)
    return zip(index["path"], index["start"].astype(int).tolist(), stops, strict=True)


class Problems:
    """Collects problems by kind: `add` while reading, `settle` at the end."""

    def __init__(self, root: Path, remedy: str):
        """root: of the data set, for messages. remedy: what to do, one clause."""
        self.root, self.remedy = root, remedy
        self.found: dict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, what: str) -> None:
        """Add a problem; what: the place or thing that has it."""
        self.found[kind].append(what)

    def __str__(self) -> str:
        """Return the summary: the count and the first of each kind."""
        kinds = (f"{len(all_)} {kind} (first: {all_[0]})" for kind, all_ in self.found.items())
        return f"{self.root}: {'; '.join(kinds)}. {self.remedy}."

    def settle(self, rows: list[dict], strict: bool) -> pd.DataFrame:
        """Return the index of these rows, a dict each, with a table of the problems in its attrs.

        start and stop are Int64, 0-based and half-open; a missing stop means the end; label is
        Int64. Warns of problems (`DataWarning`). Raises `DataError` if there are no rows or, with
        `strict`, if there is any problem.

        >>> row = dict.fromkeys(COLUMNS) | {"clip_id": "1", "start": 0, "label": 5}
        >>> Problems(Path("set"), "Get it again").settle([row], strict=True)["label"].tolist()
        [5]
        """
        if not rows or (strict and self.found):
            what = "" if rows else "no clip is left: "
            raise DataError(f"{what}{self}" if self.found else f"{self.root}: lists no clip")
        if self.found:
            warnings.warn(str(self), DataWarning, stacklevel=3)
        index = pd.DataFrame(rows)
        index = index[[*COLUMNS, *(c for c in index.columns if c not in COLUMNS)]]
        index = index.astype({"start": "Int64", "stop": "Int64", "label": "Int64"})
        index.attrs["problems"] = [
            {"problem": kind, "count": len(all_), "first": all_[0]}
            for kind, all_ in self.found.items()
        ]
        return index

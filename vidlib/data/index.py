"""What readers find amiss in a data set: counted, told in one summary, fatal only if need be."""

import warnings
from collections import defaultdict
from pathlib import Path

import pandas as pd

COLUMNS = ("clip_id", "path", "start", "stop", "label", "label_name", "split", "group")


class DataWarning(UserWarning):
    """Something is amiss in a data set, and left out."""


class DataError(ValueError):
    """A data set of which nothing sensible is left, or, where that is asked for, any flaw."""


class Problems:
    """Collects what is amiss, by kind; `add` while reading, `settle` at the end."""

    def __init__(self, root: Path, remedy: str):
        """root: of the data set, named in messages. remedy: what to do, one clause."""
        self.root, self.remedy = root, remedy
        self.found: dict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, what: str) -> None:
        """Note one more of a kind; what: which one."""
        self.found[kind].append(what)

    def __str__(self) -> str:
        """Return the summary: how many of each kind, and which is the first."""
        kinds = (f"{len(all_)} {kind} (first: {all_[0]})" for kind, all_ in self.found.items())
        return f"{self.root}: {'; '.join(kinds)}. {self.remedy}."

    def settle(self, rows: list[dict], strict: bool) -> pd.DataFrame:
        """Return the index of these rows, a dict each, with a table of the problems in its attrs.

        start and stop are Int64, 0-based and half-open, missing stop: to the end; label is Int64.
        Warns of the problems (`DataWarning`). Raises `DataError` where there are no rows, or,
        `strict`, any problem.
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

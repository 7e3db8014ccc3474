"""Problems that readers find in a data set: counted, and reported in one summary."""

import warnings
from collections import defaultdict
from pathlib import Path

import pandas as pd

COLUMNS = ("clip_id", "path", "start", "stop", "label", "label_name", "split", "group")


class DataWarning(UserWarning):
    """A data set has problems; what they affect is left out."""


class DataError(ValueError):
    """A data set has no usable clip or, with `strict`, any problem."""


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

"""Read Something-something V2 in the layout of the original download.

The folder holds something-something-v2-labels.json (name to number), -train.json and
-validation.json (lists of objects with id, label, template, placeholders), -test.json (ids alone)
and the videos as 20bn-something-something-v2/<id>.webm.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pandas as pd

from vidlib.data.index import DataError, Problems

VIDEOS = "20bn-something-something-v2"
LABELLED = ("train", "validation")
HOW_TO_GET = (
    "Something-something V2 is licensed: ask for it at its publisher's page (Qualcomm AI "
    "datasets), then put the label files and the folder of videos, unpacked, here"
)


def list_file(part: str) -> str:
    """Return the name of the JSON file of a part of the set: labels, train, validation or test.

    >>> list_file("labels")
    'something-something-v2-labels.json'
    """
    return f"something-something-v2-{part}.json"


def _load(path: Path, kind: type):
    """Return the content of a JSON file; raise ValueError if it is not of this type."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # of disk, syntax or encoding
        raise ValueError(f"{path} is not readable JSON ({error}); fetch it again") from error
    if not isinstance(content, kind):
        raise ValueError(f"{path} does not hold a JSON {kind.__name__}; fetch it again")
    return content


def _labels(path: Path) -> dict[str, int]:
    try:
        return {name: int(number) for name, number in _load(path, dict).items()}
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {error}; it should give each label its number") from error


def read_something(root: Path, *, strict: bool = False) -> pd.DataFrame:
    """Return the index of the set under root: a row per clip, in the order of its lists.

    Columns: clip_id, path, start, stop (frames, 0-based, half-open; stop is missing: a clip is the
    whole file), label (official number; missing in the test split), label_name, split, group
    (missing: the set names no persons), text (the label with its objects filled in). Problems are
    left out: absent or unreadable lists, entries without an id or a known template, ids listed
    twice, entries without a video, videos without an entry. One `DataWarning` counts them, and
    `index.attrs["problems"]` lists them. Raises FileNotFoundError if labels, videos or all lists
    are absent, `DataError` if the labels are unreadable, no clip is left or, with `strict`, for any
    problem.

    >>> read_something("no/such/folder")
    Traceback (most recent call last):
    FileNotFoundError: missing: no/such/folder/something-something-v2-labels.json, ...
    """
    root = Path(root)
    needed = [root / list_file("labels"), *(root / list_file(split) for split in LABELLED)]
    absent = [path for path in needed if not path.is_file()]
    if not (root / VIDEOS).is_dir():
        absent.append(root / VIDEOS)
    if absent and not (set(absent) < set(needed[1:])):
        raise FileNotFoundError(f"missing: {', '.join(map(str, absent))}. {HOW_TO_GET}.")
    labels = _labels(needed[0])
    problems = Problems(root, HOW_TO_GET)
    files = {entry.name for entry in os.scandir(root / VIDEOS) if entry.name.endswith(".webm")}
    seen, rows = set(), []
    for split in (*LABELLED, "test"):
        path = root / list_file(split)
        if not path.is_file():
            if split in LABELLED:
                problems.add("absent list", path.name)
            continue
        try:
            entries = _load(path, list)
        except ValueError as error:
            problems.add("unreadable list", str(error))
            continue
        for number, entry in enumerate(entries):
            row = _row(entry, split, labels)
            if isinstance(row, str):
                problems.add(row, f"{path.name}, entry {number}: {str(entry)[:80]}")
            elif (file := f"{row['clip_id']}.webm") in seen:
                problems.add("ids listed twice", f"{row['clip_id']} in {path.name}")
            elif file in files:
                rows.append({**row, "path": str(root / VIDEOS / file)})
                seen.add(file)
            else:
                problems.add("listed videos absent", str(root / VIDEOS / file))
                seen.add(file)
    for file in sorted(files - seen):
        problems.add("videos that no list names", str(root / VIDEOS / file))
    return problems.settle(rows, strict)


def _row(entry: Any, split: str, labels: dict[str, int]) -> dict | str:
    """Return an entry's row of the index, or what is wrong with it."""
    entry = entry if isinstance(entry, dict) else {}
    number = entry.get("id")
    if not re.fullmatch(r"\w+", str(number or "")):
        return "entries without an id"
    row = {"clip_id": str(number), "start": 0, "stop": None, "split": split, "group": None}
    if split == "test":
        return {**row, "label": None, "label_name": None, "text": None}
    template = entry.get("template")
    if not isinstance(template, str):
        return "entries without a template"
    name = template.replace("[", "").replace("]", "")
    if name not in labels:
        return f"entries whose template {list_file('labels')} does not list"
    text = str(entry.get("label", "")).encode(errors="replace").decode()  # "\ud800" is valid JSON
    return {**row, "label": labels[name], "label_name": name, "text": text}

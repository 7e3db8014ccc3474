"""Read Something-something V2 in the layouts in which it is handed out and kept.

The lists are labels.json (name to number), train.json and validation.json (lists of objects with
id, label, template, placeholders) and test.json (ids alone), or have something-something-v2- before
these names. The videos are <id>.webm. All may lie anywhere in the set's folder: lists in "labels"
or "annotations", videos in "20bn-something-something-v2" or "videos", or in a folder of each part.
"""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from vidlib.data.index import DataError, Problems, files_under, missing

VIDEOS = "20bn-something-something-v2"
LABELLED = ("train", "validation")
LIST = re.compile(r"(something-something-v2-)?(labels|train|val|validation|test)\.json", re.I)
SUFFIXES = (".webm", ".mp4")  # as handed out; as often converted
HOW_TO_GET = (
    "Something-something V2 is licensed: ask for it at its publisher's page (Qualcomm AI "
    "datasets), then put the label files and the videos, unpacked, here "
    "(parts: cat 20bn-something-something-v2-?? | tar -xz)"
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


def _lists(found: dict[str, list[str]]) -> dict[str, Path]:
    """Return the list of each part that is there: those with the long name, then the nearest."""
    lists: dict[str, Path] = {}
    matches = [match for name in found if (match := LIST.fullmatch(name))]
    for match in sorted(matches, key=lambda match: not match[1]):
        part = "validation" if match[2].lower() == "val" else match[2].lower()
        lists.setdefault(part, Path(found[match[0]][0]))
    return lists


def _videos(found: dict[str, list[str]], problems: Problems) -> dict[str, str]:
    """Return the path of each video by its id, in the order of `SUFFIXES`."""
    videos: dict[str, str] = {}
    for suffix in SUFFIXES:
        for name, paths in found.items():
            if name.lower().endswith(suffix):
                first = videos.setdefault(name[: -len(suffix)], paths[0])
                for path in paths:
                    if path != first:
                        problems.add("videos in two places", path)
    return videos


def read_something(root: Path, *, strict: bool = False) -> pd.DataFrame:
    """Return the index of the set under root: a row per clip, in the order of its lists.

    Columns: clip_id, path, start, stop (frames, 0-based, half-open; stop is missing: a clip is the
    whole file), label (official number; missing in the test split), label_name, split, group
    (missing: the set names no persons), text (the label with its objects filled in). Problems are
    left out: absent or unreadable lists, entries without an id or a known template, ids listed
    twice, entries without a video, videos without an entry or in two places. One `DataWarning`
    counts them, and `index.attrs["problems"]` lists them. Raises FileNotFoundError, which says what
    lies there, if labels, videos or all lists are absent, `DataError` if the labels are unreadable,
    no clip is left or, with `strict`, for any problem.

    >>> read_something("no/such/folder")
    Traceback (most recent call last):
    FileNotFoundError: no/such/folder lacks labels.json, train.json or validation.json, videos...
    """
    root = Path(root)
    found = files_under(root, (".json", *SUFFIXES))
    problems = Problems(root, HOW_TO_GET)
    lists, videos = _lists(found), _videos(found, problems)
    needed = {
        "labels.json": "labels" in lists,
        "train.json or validation.json": {*LABELLED} & {*lists},
        "videos (.webm)": videos,
    }
    if absent := [what for what, there in needed.items() if not there]:
        raise missing(", ".join(absent), root, HOW_TO_GET)
    labels = _labels(lists["labels"])
    seen, rows = set(), []
    for split in sorted({*LABELLED} - {*lists}):
        problems.add("absent list", f"{split}.json")
    for split in (part for part in (*LABELLED, "test") if part in lists):
        path = lists[split]
        try:
            entries = _load(path, list)
        except ValueError as error:
            problems.add("unreadable list", str(error))
            continue
        for number, entry in enumerate(entries):
            row = _row(entry, split, labels)
            if isinstance(row, str):
                problems.add(row, f"{path.name}, entry {number}: {str(entry)[:80]}")
                continue
            clip_id = row["clip_id"]
            if clip_id in seen:
                problems.add("ids listed twice", f"{clip_id} in {path.name}")
            elif clip_id in videos:
                rows.append({**row, "path": videos[clip_id]})
            else:
                problems.add("listed videos absent", f"{clip_id} of {path.name}")
            seen.add(clip_id)
    for clip_id in sorted(videos.keys() - seen):
        problems.add("videos that no list names", videos[clip_id])
    return problems.settle(rows, strict)


def _row(entry: Any, split: str, labels: dict[str, int]) -> dict | str:
    """Return an entry's row of the index, or what is wrong with it."""
    entry = entry if isinstance(entry, dict) else {}
    clip_id = str(entry.get("id", ""))
    if not re.fullmatch(r"\w[\w .-]*", clip_id):
        return "entries without an id"
    row = {"clip_id": clip_id, "start": 0, "stop": None, "split": split, "group": None}
    if split == "test":
        return {**row, "label": None, "label_name": None, "text": None}
    template = entry.get("template")
    if not isinstance(template, str):
        return "entries without a template"
    name = template.replace("[", "").replace("]", "")
    if name not in labels:
        return "entries whose template labels.json does not list"
    text = str(entry.get("label", "")).encode(errors="replace").decode()  # "\ud800" is valid JSON
    return {**row, "label": labels[name], "label_name": name, "text": text}

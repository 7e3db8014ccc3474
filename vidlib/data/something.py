"""Read Something-something V2 in the layout of the original download.

The folder holds something-something-v2-labels.json (name to number), -train.json and
-validation.json (lists of objects with id, label, template, placeholders) and the videos as
20bn-something-something-v2/<id>.webm.
"""

import json
from pathlib import Path

import pandas as pd

VIDEOS = "20bn-something-something-v2"
HOW_TO_GET = (
    "Something-something V2 is licensed: ask for it at its publisher's page (Qualcomm AI "
    "datasets), then unpack the label files and the videos into this folder"
)


def list_file(part: str) -> str:
    """Return the name of the set's JSON file of a part: labels, train or validation."""
    return f"something-something-v2-{part}.json"


def _load(path: Path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable JSON ({error}); fetch it again") from error


def read_something(root: Path, splits: tuple[str, ...] = ("train", "validation")) -> pd.DataFrame:
    """Return the index of the set under root: a row per clip, in the order of its lists.

    Columns: clip_id, path, start, stop (frames, 0-based, half-open; stop is missing where the clip
    is the whole file), label (official number), label_name, split, group (missing: the set names no
    persons), text (the label with its objects filled in). Raises FileNotFoundError naming every
    file that is missing, ValueError for unreadable lists and for templates that no label matches.
    """
    root = Path(root)
    needed = [root / list_file(part) for part in ("labels", *splits)]
    missing = [str(path) for path in needed if not path.is_file()]
    if not (root / VIDEOS).is_dir():
        missing.append(str(root / VIDEOS))
    if missing:
        raise FileNotFoundError(f"missing: {', '.join(missing)}. {HOW_TO_GET}.")
    numbers = {name: int(number) for name, number in _load(needed[0]).items()}
    rows, unknown = [], []
    for split in splits:
        for entry in _load(root / list_file(split)):
            name = entry["template"].replace("[", "").replace("]", "")
            if name not in numbers:
                unknown.append(f"{entry['id']} ({name})")
                continue
            rows.append(
                {
                    "clip_id": str(entry["id"]),
                    "path": str(root / VIDEOS / f"{entry['id']}.webm"),
                    "label": numbers[name],
                    "label_name": name,
                    "split": split,
                    "text": entry["label"],
                }
            )
    if unknown:
        raise ValueError(
            f"{len(unknown)} entries have a template that {list_file('labels')} does not list, "
            f"first {unknown[0]}: take lists and labels from the same release"
        )
    absent = [row["path"] for row in rows if not Path(row["path"]).is_file()]
    if absent:
        raise FileNotFoundError(
            f"{len(absent)} of {len(rows)} listed videos are missing, first {absent[0]}. "
            f"{HOW_TO_GET}."
        )
    index = pd.DataFrame(rows)
    index.insert(2, "start", 0)
    index.insert(3, "stop", pd.array([pd.NA] * len(index), dtype="Int64"))
    index.insert(7, "group", pd.NA)
    return index

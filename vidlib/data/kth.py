"""Read KTH Actions (Schuldt, Laptev, Caputo, ICPR 2004) in the layouts in which it is kept.

00sequences.txt and the videos, personNN_<action>_dN_uncomp.avi, may lie anywhere in the set's
folder: together, or in a folder for each of the six archives. The list says which segments of a
video, mostly four, show the action, in frames counted from 1, the last included. One video is
listed as "*missing*".
"""

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from vidlib import check
from vidlib.data.index import Problems, files_under, missing
from vidlib.data.video import VideoError, promised_frames

LIST = "00sequences.txt"
HOW_TO_GET = (
    "`python -m vidlib.data.download FOLDER` fetches what is missing from a folder of KTH Actions; "
    "delete broken files first"
)
ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
SCENARIOS = ("d1", "d2", "d3", "d4")  # outdoors; with changes of scale; other clothes; indoors
# By subject. In the study a network is judged on "validation"; the paper calls that its test set.
SPLITS: dict[str, dict[str, Iterable[int]]] = {
    "paper": {"train": range(1, 17), "validation": range(17, 26)},
    "original": {
        "train": range(11, 19),
        "validation": (19, 20, 21, 23, 24, 25, 1, 4),
        "test": (22, 2, 3, 5, 6, 7, 8, 9, 10),
    },
}
_VIDEO = r"(?P<video>person(?P<subject>\d\d+)_(?P<action>[a-zA-Z]\w*?)_(?P<scenario>d\d))"
_RANGE = r"\d+\s*-\s*\d+"
_RANGES = rf"frames\s+(?P<ranges>{_RANGE}(?:\s*,\s*{_RANGE})*)\s*,?"
LINE = re.compile(rf"{_VIDEO}\s+(?:\*missing\*|{_RANGES})")


def kth_files(root: Path) -> dict[str, list[str]]:
    """Return where the list and the videos lie: by `LIST`, and by video, from near to far.

    >>> kth_files("no/such/folder")
    {}
    """
    found: dict[str, list[str]] = {}
    for name, paths in files_under(Path(root), (".avi", LIST)).items():
        key = LIST if name.lower() == LIST else name[: -len(".avi")].removesuffix("_uncomp")
        found.setdefault(key, []).extend(paths)
    return found


def entries_of(path: Path) -> list[tuple[str, re.Match | None]]:
    """Return the lines of a list, each with its match of `LINE`, None where it is no entry.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), LIST)
    >>> _ = path.write_text("person01_boxing_d1 frames 1-95\\nperson01_boxing_d2 *missing*")
    >>> [entry["ranges"] for _, entry in entries_of(path)]
    ['1-95', None]
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    return [(line, LINE.fullmatch(line.strip())) for line in text.splitlines()]


def read_own(root: Path) -> pd.DataFrame:
    """Return the index of a set of one's own in this layout, as `read_kth` does.

    Actions and people are those with videos. Actions are numbered by name; of the people, the first
    16 in 25 train.
    """
    return read_kth(root, own=True)


def read_kth(
    root: Path, *, split: str = "paper", strict: bool = False, own: bool = False
) -> pd.DataFrame:
    """Return the index of the set under root: a row per sequence, in the order of its list.

    split: "paper" (subjects 1 to 16 train, 17 to 25 are held out, as "validation") or "original"
    (that of the data set, of 8, 8 and 9 subjects: train, validation, test). Columns: clip_id (video
    and number of the sequence in it, from 1), path, start, stop (frames, 0-based, half-open), label
    (0 to 5, as in `ACTIONS`), label_name, split, group (the subject, 1 to 25), scenario (d1 to d4).
    Problems are left out: lines that cannot be read, videos that are listed twice, in two places,
    absent, not listed or that cannot be opened, and sequences beyond their video's end; a sequence
    that reaches over the end is cut there. One `DataWarning` counts them, and
    `index.attrs["problems"]` lists them. Raises ValueError for another split, FileNotFoundError,
    which says what lies there, without list or videos, `DataError` if no sequence is left or, with
    `strict`, for any problem. own: as `read_own`, with other actions and people.

    >>> read_kth("no/such/folder")
    Traceback (most recent call last):
    FileNotFoundError: no/such/folder lacks 00sequences.txt, videos (person01_boxing...
    """
    check.one_of("split", split, SPLITS)
    subjects = {subject: name for name, group in SPLITS[split].items() for subject in group}
    root = Path(root)
    files = kth_files(root)
    lists = files.pop(LIST, [])
    if not lists or not files:
        what = [LIST] * (not lists) + ["videos (person01_boxing_d1_uncomp.avi, ...)"] * (not files)
        raise missing(", ".join(what), root, HOW_TO_GET)
    problems = Problems(root, HOW_TO_GET)
    for paths in files.values():
        for path in paths[1:]:
            problems.add("videos in two places", path)
    rows, seen = [], set[str]()
    entries = entries_of(Path(lists[0]))
    actions = list(ACTIONS)
    if own:
        there = [entry for _, entry in entries if entry and entry["video"] in files]
        actions = sorted({entry["action"] for entry in there})
        people = sorted({int(entry["subject"]) for entry in there})
        many = round(len(people) * 16 / 25)
        subjects = dict.fromkeys(people, "validation") | dict.fromkeys(people[:many], "train")
    for number, (line, entry) in enumerate(entries, 1):
        known = entry and int(entry["subject"]) in subjects and entry["action"] in actions
        if not entry or not known:
            if line.strip() and (seen or re.match(_VIDEO, line.strip())):  # else: a heading
                problems.add("lines that cannot be read", f"{LIST}, line {number}: {line[:80]}")
            continue
        video, subject, action, scenario, ranges = entry.groups()
        if video in seen:
            problems.add("videos listed twice", f"{LIST}, line {number}: {video}")
            continue
        seen.add(video)
        if ranges is None:  # as the list itself says
            continue
        if video not in files:
            problems.add("listed videos absent", f"{video}_uncomp.avi")
            continue
        try:
            frames = promised_frames(Path(files[video][0]))
        except VideoError as error:
            problems.add("videos that cannot be opened", str(error))
            continue
        row = {
            "path": files[video][0],
            "label": actions.index(action),
            "label_name": action,
            "split": subjects[int(subject)],
            "group": int(subject),
            "scenario": scenario,
        }
        for k, (first, last) in enumerate(re.findall(r"(\d+)\s*-\s*(\d+)", ranges), 1):
            start, stop, clip_id = int(first) - 1, int(last), f"{video}_{k}"
            place = f"{clip_id}: frames {first} to {last} of a video of {frames or '?'}"
            if not 0 <= start < stop:
                problems.add("impossible ranges", place)
            elif frames and start >= frames:
                problems.add("sequences beyond the end", place)
            else:
                if frames and stop > frames:
                    problems.add("sequences cut at the end", place)
                    stop = frames
                rows.append({**row, "clip_id": clip_id, "start": start, "stop": stop})
    for video in sorted(files.keys() - seen):
        problems.add("videos that the list does not name", files[video][0])
    return problems.settle(rows, strict)

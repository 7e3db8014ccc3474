"""Rendered clips as files in Something-something V2's layout, written by parallel processes."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from tqdm.contrib.concurrent import process_map

from vidlib import check
from vidlib.data.encoding import write_webm
from vidlib.data.something import VIDEOS, list_file
from vidlib.files import aside, sweep, write_text
from vidlib.rendered.scene import Scene
from vidlib.rendered.truth import FOLDER, InstanceMasks, masks_file, write_masks, write_truth

SPLITS = ("train", "validation")
MOST = 100_000  # clips of a split: the next split's numbers start here

Job = tuple[str, str, int]  # a clip's id, split and label
Draw = Callable[[], tuple[np.ndarray, InstanceMasks]]  # returns frames, (T, H, W, 3) uint8 RGB
MadeClip = tuple[Scene, list[str], Draw]  # its words fill the brackets of its template, in order


def check_counts(clips_per_class: dict[str, int], most: dict[str, int]) -> None:
    """Raise ValueError unless each split of `most` has 1 to that many clips of each class.

    >>> check_counts({"train": 9}, {"train": 8})
    Traceback (most recent call last):
    ValueError: clips_per_class['train'] is 9: give a whole number at least 1 and at most 8
    """
    for split, limit in most.items():
        check.count(f"clips_per_class[{split!r}]", clips_per_class.get(split, 0), most=limit)


def make_folders(root: Path, settings: dict[str, object], videos: str = VIDEOS) -> None:
    """Make the folders of a set; remove files that an interrupted process left half-written.

    settings: everything except its number that a clip depends on. Raises ValueError if the folder
    holds clips rendered with other settings, which would not match the truth.

    >>> import tempfile
    >>> make_folders(root := Path(tempfile.mkdtemp()), {"seed": 0})
    >>> json.loads((root / "truth" / "settings.json").read_text())
    {'seed': 0}
    """
    truth, masks = Path(root) / FOLDER, masks_file(root, "").parent
    for folder in {Path(root), Path(root) / videos, truth, masks}:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
    stored = truth / "settings.json"
    if stored.is_file() and (others := json.loads(stored.read_text())) != settings:
        raise ValueError(
            f"{root} holds clips rendered with {others}, not {settings}: render into another folder"
        )
    write_text(stored, json.dumps(settings))


def numbered_jobs(labels: Iterable[int], clips_per_class: dict[str, int], seed: int) -> list[Job]:
    """Return (clip_id, split, label) of the clips to make, the classes of a split shuffled.

    Each split has its own range of numbers: more training clips do not change the validation clips.

    >>> numbered_jobs([43, 45], {"train": 1, "validation": 1}, seed=0)[2:]
    [('100001', 'validation', 45), ('100002', 'validation', 43)]
    """
    jobs = []
    for i, split in enumerate(SPLITS):
        of_split = np.repeat(sorted(labels), clips_per_class[split])
        np.random.default_rng([seed, 0, i + 1]).shuffle(of_split)
        first = 1 + i * MOST
        jobs += [(str(first + k), split, int(label)) for k, label in enumerate(of_split)]
    return jobs


def clip_rngs(seed: int, clip_id: str) -> tuple[np.random.Generator, np.random.Generator]:
    """Return a clip's random generators: one for its scene, one for its look.

    >>> scene, look = clip_rngs(0, "1")
    >>> again, _ = clip_rngs(0, "1")
    >>> (x := scene.random()) == again.random(), x == look.random()
    (True, False)
    """
    scene, look = (np.random.default_rng([seed, int(clip_id), k]) for k in (1, 2))
    return scene, look


def write_clip(root: Path, clip_id: str, draw: Draw) -> None:
    """Write a clip's masks, then its video, unless they are there."""
    video = Path(root) / VIDEOS / f"{clip_id}.webm"
    if video.exists():  # written last
        return
    frames, masks = draw()
    write_masks(root, clip_id, masks)
    with aside(video) as part:
        write_webm(part, frames)


def render_all(work: Callable, jobs: Sequence, processes: int) -> list:
    """Return the results of `work` for each job, in order, from parallel processes, with a bar."""
    return process_map(work, jobs, max_workers=processes, chunksize=4, desc="render", unit="clip")


def _render_clip(
    root: Path, make: Callable[..., MadeClip], templates: dict[int, str], seed: int, job: Job
) -> tuple[dict, Scene]:
    """Render one clip, unless its files are there; return its list entry and its scene."""
    clip_id, split, label = job
    scene, words, draw = make(label, split, *clip_rngs(seed, clip_id))
    write_clip(root, clip_id, draw)
    left, template = iter(words), templates[label]
    text = re.sub(r"\[.*?\]", lambda _: next(left), template)
    text = text[:1].lower() + text[1:]
    return {"id": clip_id, "label": text, "template": template, "placeholders": words}, scene


def render_set(
    root: Path,
    make: Callable[..., MadeClip],
    templates: dict[int, str],
    clips_per_class: dict[str, int],
    processes: int,
    *,
    seed: int,
    size: int,
    **more: str,
) -> None:
    """Render a set under root: videos, masks, lists and truth.

    make: called with label, split, the random generators of scene and look (see `clip_rngs`), and,
    as keywords, size and `more`. templates: the words of each class by label. more: what else the
    clips depend on.
    """
    if size % 2 or size < 32:  # VP9 halves the chroma
        raise ValueError(f"render_size is {size}: give an even number of pixels, at least 32")
    check_counts(clips_per_class, dict.fromkeys(SPLITS, MOST // len(templates)))
    make_folders(root, {**more, "seed": seed, "size": size})
    jobs = numbered_jobs(templates, clips_per_class, seed)
    work = partial(_render_clip, root, partial(make, size=size, **more), templates, seed)
    entries, scenes = zip(*render_all(work, jobs, processes), strict=True)
    lists: dict[str, object] = {
        name: [one for one, (_, split, _) in zip(entries, jobs, strict=True) if split == name]
        for name in SPLITS
    }
    lists["labels"] = {re.sub(r"[\[\]]", "", words): str(k) for k, words in templates.items()}
    for part, content in lists.items():
        write_text(Path(root) / list_file(part), json.dumps(content, indent=1))
    ids = [clip_id for clip_id, *_ in jobs]
    write_truth(root, list(zip(ids, scenes, strict=True)), [{"split": job[1]} for job in jobs])

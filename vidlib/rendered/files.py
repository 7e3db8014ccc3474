"""Rendered clips as files in Something-something V2's layout, made by many processes."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vidlib.data.something import VIDEOS, list_file
from vidlib.data.video import write_webm
from vidlib.rendered.truth import Masks, masks_file, write_masks

SPLITS = ("train", "validation")


def numbered_jobs(
    labels: Iterable[int], clips_per_class: dict[str, int], seed: int
) -> list[tuple[str, str, int]]:
    """Return (clip_id, split, label) of the clips to make, the classes of a split shuffled.

    Splits are numbered apart, so that more training clips leave validation as it is.
    """
    jobs, first = [], 1
    for i, split in enumerate(SPLITS):
        of_split = np.repeat(sorted(labels), clips_per_class[split])
        np.random.default_rng([seed, i]).shuffle(of_split)
        jobs += [(str(first + k), split, int(label)) for k, label in enumerate(of_split)]
        first = 100_001
    return jobs


def check_size(size: int) -> None:
    """Raise ValueError for a picture size that VP9, whose chroma is halved, cannot hold well."""
    if size % 2 or size < 32:
        raise ValueError(f"render_size is {size}: give an even number of pixels, at least 32")


def make_folders(root: Path, videos: str = VIDEOS) -> None:
    """Make the folders of a set; remove what a killed process left half-written in them."""
    for folder in (Path(root) / videos, masks_file(root, "").parent):
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("*.partial"):
            leftover.unlink()


def write_clip(root: Path, clip_id: str, draw: Callable[[], tuple[np.ndarray, Masks]]) -> None:
    """Write a clip's masks, then its video, unless they are there; `draw` is called if need be.

    draw: returns frames (T, H, W, 3) uint8 and their masks.
    """
    video = Path(root) / VIDEOS / f"{clip_id}.webm"
    if video.exists():  # the last thing that is written
        return
    frames, masks = draw()
    write_masks(root, clip_id, masks)
    partial = video.with_suffix(".partial")
    write_webm(partial, frames)
    os.replace(partial, video)


def render_all(work: Callable, jobs: Sequence, processes: int) -> list:
    """Return what `work` returns of each job, in order, by that many processes, with a bar."""
    with ProcessPoolExecutor(processes) as pool:
        results = pool.map(work, jobs, chunksize=4)
        return list(tqdm(results, total=len(jobs), desc="render", unit="clip"))


def entry(clip_id: str, template: str, placeholders: list[str]) -> dict:
    """Return a clip's entry in the set's lists, its template's gaps filled in."""
    words = template
    for noun in placeholders:
        head, _, tail = words.partition("[")
        words = head + noun + tail.partition("]")[2]
    return {
        "id": clip_id,
        "label": words[:1].lower() + words[1:],
        "template": template,
        "placeholders": placeholders,
    }


def write_lists(root: Path, entries: dict[str, list[dict]], labels: dict[str, int]) -> None:
    """Write the JSON lists of the splits, and that of the labels: name to number."""
    contents = {**entries, "labels": {name: str(number) for name, number in labels.items()}}
    for part, content in contents.items():
        text = json.dumps(content, indent=1)
        (Path(root) / list_file(part)).write_text(text, encoding="utf-8")

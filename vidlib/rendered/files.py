"""Rendered clips as files in Something-something V2's layout, made by many processes."""

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vidlib.data.something import VIDEOS, list_file
from vidlib.data.video import write_webm
from vidlib.files import aside, sweep, write_text
from vidlib.rendered.truth import FOLDER, InstanceMasks, masks_file, write_masks, write_truth

SPLITS = ("train", "validation")


MOST = 100_000  # clips of a split: those of the next are numbered from there


def check_size(size: int) -> None:
    """Raise ValueError for a picture size that VP9, whose chroma is halved, cannot hold well."""
    if size % 2 or size < 32:
        raise ValueError(f"render_size is {size}: give an even number of pixels, at least 32")


def check_counts(clips_per_class: dict[str, int], classes: int) -> None:
    """Raise ValueError unless there is a possible number of clips for each of `SPLITS`."""
    for split in SPLITS:
        clips = clips_per_class.get(split, 0)
        if not 1 <= clips * classes <= MOST:
            raise ValueError(
                f"clips_per_class asks for {clips} {split} clips of each of {classes} classes: "
                f"give at least 1, and not more than {MOST // classes}"
            )


def make_folders(root: Path, settings: dict[str, object], videos: str = VIDEOS) -> None:
    """Make the folders of a set; remove what a killed process left half-written in them.

    settings: all that a clip of this set depends on beside its number. ValueError where the folder
    holds clips rendered by others: they would not be those that the truth tells of.
    """
    truth, masks = Path(root) / FOLDER, masks_file(root, "").parent
    for folder in {Path(root), Path(root) / videos, truth, masks}:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
    told = truth / "settings.json"
    if told.is_file() and (others := json.loads(told.read_text())) != settings:
        raise ValueError(
            f"{root} holds clips rendered with {others}, not {settings}: render into another folder"
        )
    write_text(told, json.dumps(settings))


def numbered_jobs(
    labels: Iterable[int], clips_per_class: dict[str, int], seed: int
) -> list[tuple[str, str, int]]:
    """Return (clip_id, split, label) of the clips to make, the classes of a split shuffled.

    Splits are numbered apart, so that more training clips leave validation as it is.
    """
    jobs = []
    for i, split in enumerate(SPLITS):
        of_split = np.repeat(sorted(labels), clips_per_class[split])
        np.random.default_rng([seed, 0, i + 1]).shuffle(of_split)
        first = 1 + i * MOST
        jobs += [(str(first + k), split, int(label)) for k, label in enumerate(of_split)]
    return jobs


def clip_rngs(seed: int, clip_id: str) -> tuple[np.random.Generator, np.random.Generator]:
    """Return the random numbers of a clip: those of its scene, and those of its look."""
    return tuple(np.random.default_rng([seed, int(clip_id), k]) for k in (1, 2))


def write_clip(
    root: Path, clip_id: str, draw: Callable[[], tuple[np.ndarray, InstanceMasks]]
) -> None:
    """Write a clip's masks, then its video, unless they are there; `draw` is called if need be.

    draw: returns frames (T, H, W, 3) uint8 and their masks.
    """
    video = Path(root) / VIDEOS / f"{clip_id}.webm"
    if video.exists():  # the last thing that is written
        return
    frames, masks = draw()
    write_masks(root, clip_id, masks)
    with aside(video) as part:
        write_webm(part, frames)


def render_all(work: Callable, jobs: Sequence, processes: int) -> list:
    """Return what `work` returns of each job, in order, by that many processes, with a bar."""
    with ProcessPoolExecutor(processes) as pool:
        results = pool.map(work, jobs, chunksize=4)
        return list(tqdm(results, total=len(jobs), desc="render", unit="clip"))


def render_set(
    root: Path,
    work: Callable,
    labels: dict[str, int],
    *,
    clips_per_class: dict[str, int],
    settings: dict[str, object],
    processes: int,
) -> None:
    """Render a set under root: videos, masks, lists and truth.

    work: makes the clip of a job, (clip_id, split, label), and returns its list entry and its
    scene. labels: the number of each class by name. settings: what a clip depends on beside its
    number, "seed" and "size" among it.
    """
    check_size(settings["size"])
    check_counts(clips_per_class, len(labels))
    make_folders(root, settings)
    jobs = numbered_jobs(labels.values(), clips_per_class, settings["seed"])
    results = render_all(work, jobs, processes)
    entries = {split: [] for split in SPLITS}
    for (_, split, _), (listed, _) in zip(jobs, results, strict=True):
        entries[split].append(listed)
    write_lists(root, entries, labels)
    scenes = [(clip_id, scene) for (clip_id, *_), (_, scene) in zip(jobs, results, strict=True)]
    write_truth(root, scenes, [{"split": split} for _, split, _ in jobs])


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
        write_text(Path(root) / list_file(part), json.dumps(content, indent=1))

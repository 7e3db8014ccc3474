"""Render `something-mini`: sixteen classes as video files in Something-something V2's own layout.

Beside the files of the original stands the truth (`vidlib.rendered.truth`); the reader,
`read_something`, does not look there.
"""

from functools import partial
from pathlib import Path

import numpy as np

from vidlib.rendered.draw import draw
from vidlib.rendered.files import (
    SPLITS,
    check_size,
    entry,
    make_folders,
    numbered_jobs,
    render_all,
    write_clip,
    write_lists,
)
from vidlib.rendered.looks import dress
from vidlib.rendered.scene import Scene
from vidlib.rendered.scripts import CLASSES, compose
from vidlib.rendered.truth import write_truth


def _render_clip(job: tuple[str, str, int], *, root: Path, size: int, seed: int) -> tuple:
    """Render one clip, unless its files are there; return its list entry and its scene."""
    clip_id, split, label = job
    scene = compose(label, np.random.default_rng([seed, int(clip_id), 0]))
    look = dress(scene, np.random.default_rng([seed, int(clip_id), 1]), split, size)
    write_clip(root, clip_id, lambda: draw(scene, look, size))
    template = CLASSES[label].template
    nouns = [look.names[one.name] for one in scene.tracks if one.role in ("object", "heap")]
    places = ["table"] if "[somewhere]" in template else []
    placeholders = [*nouns, *places][: template.count("[")]
    return entry(clip_id, template, placeholders), scene


def render_something_mini(
    root: Path, *, clips_per_class: dict[str, int], size: int, seed: int, processes: int
) -> None:
    """Render the set under root, `size` pixels a side, as real VP9 files of 12 frames a second.

    clips_per_class: how many clips of each class per split ("train", "validation"). A clip depends
    on the seed and its number alone, not on `processes`. Killed at any moment, the next call goes
    on where this one was. Raises ValueError for sizes VP9's chroma cannot halve.
    """
    check_size(size)
    make_folders(root)
    jobs = numbered_jobs(CLASSES, clips_per_class, seed)
    work = partial(_render_clip, root=Path(root), size=size, seed=seed)
    results = render_all(work, jobs, processes)
    entries: dict[str, list[dict]] = {split: [] for split in SPLITS}
    scenes: list[tuple[str, Scene]] = []
    for (clip_id, split, _), (made, scene) in zip(jobs, results, strict=True):
        entries[split].append(made)
        scenes.append((clip_id, scene))
    write_lists(root, entries, {one.name: number for number, one in CLASSES.items()})
    write_truth(root, scenes, [{}] * len(scenes))

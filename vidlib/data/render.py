"""Render `something-mini`: scenes as video files in Something-something V2's own layout.

Beside the files of the original stands `truth/`: clips.parquet, a row per clip (clip_id, label,
frames, event_start, event_stop), and states.parquet, a row per clip, frame and track, with the
columns of `Scene.states`. The reader, `read_something`, does not look there.
"""

import json
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from vidlib.data.draw import draw, dress
from vidlib.data.scenes import CLASSES, compose
from vidlib.data.something import VIDEOS, list_file
from vidlib.data.video import write_webm

SPLITS = ("train", "validation")


def _render_clip(job: tuple[str, str, int], *, root: Path, size: int, seed: int) -> tuple:
    """Render one clip, unless its file is there; return its list entry and its truth."""
    clip_id, split, label = job
    scene = compose(label, np.random.default_rng([seed, int(clip_id), 0]))
    look_rng = np.random.default_rng([seed, int(clip_id), 1])
    look = dress(scene, look_rng, split, size)
    path = root / VIDEOS / f"{clip_id}.webm"
    if not path.exists():
        partial_path = path.with_suffix(".partial")
        write_webm(partial_path, draw(scene, look, size))
        os.replace(partial_path, path)

    template = CLASSES[label].template
    nouns = [look.names[t.name] for t in scene.tracks if t.role in ("object", "heap")]
    places = ["table"] if "[somewhere]" in template else []
    placeholders = [*nouns, *places][: template.count("[")]
    words = template
    for noun in placeholders:
        head, _, tail = words.partition("[")
        words = head + noun + tail.partition("]")[2]
    entry = {
        "id": clip_id,
        "label": words[0].lower() + words[1:],
        "template": template,
        "placeholders": placeholders,
    }
    truth = {
        "clip_id": clip_id,
        "label": label,
        "frames": len(scene),
        "event_start": scene.event[0],
        "event_stop": scene.event[1],
    }
    return split, entry, truth, scene.states().assign(clip_id=clip_id)


def _write_json(path: Path, content) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def render_something_mini(
    root: Path, *, clips_per_class: dict[str, int], size: int, seed: int, processes: int
) -> None:
    """Render the set under root, `size` pixels a side, as real VP9 files of 12 frames a second.

    clips_per_class: how many clips of each class per split ("train", "validation"). A clip depends
    on the seed and its number alone, not on `processes`. Killed at any moment, the next call goes
    on where this one was. Raises ValueError for sizes VP9's chroma cannot halve.
    """
    if size % 2 or size < 32:
        raise ValueError(f"render_size is {size}: give an even number of pixels, at least 32")
    root = Path(root)
    (root / VIDEOS).mkdir(parents=True, exist_ok=True)
    (root / "truth").mkdir(exist_ok=True)
    for leftover in (root / VIDEOS).glob("*.partial"):
        leftover.unlink()
    jobs, first = [], 1
    for i, split in enumerate(SPLITS):
        labels = np.repeat(sorted(CLASSES), clips_per_class[split])
        np.random.default_rng([seed, i]).shuffle(labels)
        jobs += [(str(first + k), split, int(label)) for k, label in enumerate(labels)]
        # Splits are numbered apart, so that more training clips leave validation as it is.
        first = 100_001
    work = partial(_render_clip, root=root, size=size, seed=seed)
    with ProcessPoolExecutor(processes) as pool:
        results = list(
            tqdm(pool.map(work, jobs, chunksize=8), total=len(jobs), desc="render", unit="clip")
        )
    for split in SPLITS:
        _write_json(
            root / list_file(split), [entry for where, entry, *_ in results if where == split]
        )
    _write_json(root / list_file("labels"), {c.name: str(n) for n, c in CLASSES.items()})
    pd.DataFrame([truth for _, _, truth, _ in results]).to_parquet(root / "truth/clips.parquet")
    states = pd.concat([table for *_, table in results], ignore_index=True)
    states.to_parquet(root / "truth/states.parquet")

"""Render `kth-mini`: figures as video files in the layout of KTH Actions, with their truth."""

from functools import partial
from pathlib import Path

import numpy as np

from vidlib.data.encoding import write_avi
from vidlib.data.kth import ACTIONS, LIST, SCENARIOS, SPLITS
from vidlib.data.video import VideoError, promised_frames
from vidlib.files import aside, write_text
from vidlib.rendered.files import check_counts, make_folders, render_all
from vidlib.rendered.kth.body import Subject
from vidlib.rendered.kth.draw import PARTS, draw_film
from vidlib.rendered.kth.film import film
from vidlib.rendered.kth.place import place
from vidlib.rendered.truth import InstanceMasks, write_masks, write_truth

SEQUENCES = 4  # in a video


def _render_video(job: tuple[int, str, str, int], *, root: Path, seed: int) -> tuple:
    """Render a video unless it is there; return its line in the list, its clips and its columns."""
    number, action, scenario, sequences = job
    person, d = Subject(number), int(scenario[1])
    key = [seed, number, ACTIONS.index(action), d]
    made = film(action, person, scenario, np.random.default_rng([*key, 0]), sequences)
    video = f"person{number:02}_{action}_{scenario}"
    clips = [(f"{video}_{k}", scene) for k, scene in enumerate(made.sequences(), 1)]
    path = root / f"{video}_uncomp.avi"
    if not _whole(path, len(made.scene)):
        where = place(scenario, np.random.default_rng([seed, number, d, 100]))
        frames, numbers = draw_film(made, person, scenario, where, np.random.default_rng([*key, 1]))
        things = list(PARTS), ["joint"] * len(PARTS)
        for (clip_id, _), (start, stop) in zip(clips, made.ranges, strict=True):
            write_masks(root, clip_id, InstanceMasks(numbers[start:stop], *things))
        with aside(path) as part:
            write_avi(part, np.stack([frames] * 3, axis=3))
    ranges = ", ".join(f"{start + 1}-{stop}" for start, stop in made.ranges)
    return f"{video}\t\tframes\t{ranges}", clips, {"subject": number, "scenario": scenario}


def _whole(path: Path, frames: int) -> bool:
    """Tell whether a video is there, with the frames of the sequences that are now wanted."""
    try:
        return path.exists() and promised_frames(path) == frames
    except VideoError:
        return False


def plan(clips_per_class: dict[str, int]) -> list[tuple[int, str, str, int]]:
    """Return subject, action, scenario and number of sequences of each video, in this order.

    clips_per_class: sequences of each action by split. Every subject of the split has one in every
    scenario before any video has a second. Raises ValueError for too many or none.

    >>> plan({"train": 1, "validation": 1})[0]
    (1, 'boxing', 'd2', 1)
    """
    jobs: list[tuple[int, str, str, int]] = []
    groups = {split: list(subjects) for split, subjects in SPLITS["paper"].items()}
    most = {split: len(subjects) * len(SCENARIOS) * SEQUENCES for split, subjects in groups.items()}
    check_counts(clips_per_class, most)
    for split, subjects in groups.items():
        wanted = clips_per_class[split]
        turns = [(n, f"d{(n + r) % 4 + 1}") for r in range(len(SCENARIOS)) for n in subjects]
        for k, (number, scenario) in enumerate(turns):
            sequences = (wanted + len(turns) - 1 - k) // len(turns)
            jobs += [(number, action, scenario, sequences) for action in ACTIONS if sequences > 0]
    return sorted(jobs)


def render_kth_mini(
    root: Path, *, clips_per_class: dict[str, int], seed: int, processes: int
) -> None:
    """Render the set under root: grey MPEG-4 videos of 160x120, 25 frames a second.

    clips_per_class: sequences of each action for "train" (subjects 1 to 16, 256 at most) and
    "validation" (17 to 25, 144 at most); ValueError for more or none. The truth has a row per
    sequence, with the columns subject and scenario. A video depends only on the seed, its name and
    its number of sequences, not on `processes`. After an interruption the next call renders what is
    missing.

    >>> import tempfile
    >>> root, counts = Path(tempfile.mkdtemp()), {"train": 0, "validation": 1}
    >>> render_kth_mini(root, clips_per_class=counts, seed=0, processes=1)
    Traceback (most recent call last):
    ValueError: clips_per_class['train'] is 0: give a whole number at least 1 and at most 256
    """
    root, jobs = Path(root), plan(clips_per_class)
    make_folders(root, {"seed": seed}, "")
    videos = render_all(partial(_render_video, root=root, seed=seed), jobs, processes)
    heading = "Sequences of kth-mini, in frames of each video from 1, the last included."
    lines = [heading, "", *(line for line, _, _ in videos)]
    write_text(root / LIST, "\n".join(lines) + "\n")
    scenes = [clip for _, clips, _ in videos for clip in clips]
    write_truth(root, scenes, [extra for _, clips, extra in videos for _ in clips])

"""Render `something-mini`: sixteen classes as video files in Something-something V2's own layout.

The truth (`vidlib.rendered.truth`) is stored beside the usual files; `read_something` ignores it.
"""

from functools import partial
from pathlib import Path

from vidlib.rendered.files import MadeClip, render_set
from vidlib.rendered.something.draw import draw
from vidlib.rendered.something.looks import Look
from vidlib.rendered.something.scripts import CLASSES, compose


def _make_clip(label: int, split: str, scene_rng, look_rng, *, size: int) -> MadeClip:
    scene = compose(label, scene_rng)
    look = Look(scene, look_rng, split, size)
    nouns = [look.names[one.name] for one in scene.tracks if one.role in ("object", "heap")]
    words = [*nouns, "table"][: CLASSES[label].template.count("[")]
    return scene, words, partial(draw, scene, look, size)


def render_something_mini(
    root: Path, *, clips_per_class: dict[str, int], size: int, seed: int, processes: int
) -> None:
    """Render the set under root, `size` pixels a side, as real VP9 files of 12 frames a second.

    clips_per_class: how many clips of each class per split ("train", "validation"). A clip depends
    on the seed and its number only, not on `processes`. After an interruption the next call renders
    what is missing. Raises ValueError for sizes that are odd or below 32, for impossible numbers of
    clips, and for a folder with clips of another seed or size.

    >>> render_something_mini(
    ...     Path("unused"), clips_per_class={"train": 9}, size=33, seed=0, processes=1
    ... )
    Traceback (most recent call last):
    ValueError: render_size is 33: give an even number of pixels, at least 32
    """
    templates = {number: one.template for number, one in CLASSES.items()}
    render_set(root, _make_clip, templates, clips_per_class, processes, seed=seed, size=size)

"""Render `something-mini`: sixteen classes as video files in Something-something V2's own layout.

Beside the files of the original stands the truth (`vidlib.rendered.truth`); the reader,
`read_something`, does not look there.
"""

from functools import partial
from pathlib import Path

from vidlib.rendered.files import clip_rngs, entry, render_set, write_clip
from vidlib.rendered.something.draw import draw
from vidlib.rendered.something.looks import dress
from vidlib.rendered.something.scripts import CLASSES, compose


def _render_clip(job: tuple[str, str, int], *, root: Path, size: int, seed: int) -> tuple:
    """Render one clip, unless its files are there; return its list entry and its scene."""
    clip_id, split, label = job
    scene_rng, look_rng = clip_rngs(seed, clip_id)
    scene = compose(label, scene_rng)
    look = dress(scene, look_rng, split, size)
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
    on where this one was. Raises ValueError for sizes VP9's chroma cannot halve, for impossible
    numbers of clips, and for a folder with clips of another seed or size.
    """
    settings = {"seed": seed, "size": size}
    render_set(
        root,
        partial(_render_clip, root=Path(root), **settings),
        {one.name: number for number, one in CLASSES.items()},
        clips_per_class=clips_per_class,
        settings=settings,
        processes=processes,
    )

"""Render a data set's video files, its lists and its truth."""

import os
from pathlib import Path

from vidlib.named import function_of


def run(p, inputs, folder: Path, *, renderer: str, **options) -> None:
    """Fill the folder with the set, by all cores.

    renderer: a function named "module:name"; options: what it takes beside the profile's numbers.
    """
    if hasattr(p, "render_size"):
        options["size"] = p.render_size
    function_of(renderer)(
        folder,
        clips_per_class={"train": p.train_clips, "validation": p.validation_clips},
        seed=p.data_seed,
        processes=os.cpu_count() or 1,
        **options,
    )

"""Render a data set's video files, its lists and its truth."""

import os
from pathlib import Path

from vidlib.named import function_of


def run(p, inputs, folder: Path, *, renderer: str, **options) -> None:
    """Render the set into the folder, on all cores.

    renderer: the function "module:name"; options: its arguments that the profile does not set.
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

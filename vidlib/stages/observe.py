"""Find, with the ideal observer, which windows of each prepared clip remove its class."""

from pathlib import Path

from vidlib.compare.survival import survival
from vidlib.data.clips import load_clips
from vidlib.files import write_arrays, write_table
from vidlib.named import function_of
from vidlib.rendered.truth import Truth


def run(p, inputs, folder: Path, *, observer: str) -> None:
    """Write clips.parquet and answers.npz.

    observer: the function "module:name" that maps a scene and orders of frames to labels.
    """
    index = load_clips(inputs["prepare"]).index
    truth = Truth(inputs["files"])
    scenes = {clip_id: truth.scene(clip_id) for clip_id in index["clip_id"]}
    labels = dict(zip(index["clip_id"], index["label"], strict=True))
    table, answers = survival(scenes, labels, function_of(observer), p.frames)
    write_table(folder / "clips.parquet", table.assign(split=index["split"]))
    write_arrays(folder / "answers.npz", **answers)

"""Rendering and preparing clips: this library against the least that the same files can cost."""

import tempfile
from pathlib import Path

import av
import numpy as np
from _timing import compare

from vidlib.data import read_clip, read_something, render_something_mini, write_webm
from vidlib.data.draw import draw, dress
from vidlib.data.scenes import CLASSES, compose

with tempfile.TemporaryDirectory() as folder:
    root = Path(folder)
    counts = {"train": 2, "validation": 1}
    render_something_mini(root, clips_per_class=counts, size=112, seed=0, processes=2)
    paths = read_something(root)["path"].tolist()

    def decode_only():
        for path in paths:
            with av.open(path) as container:
                for _ in container.decode(video=0):
                    pass

    print(f"decoding {len(paths)} clips of 112 pixels")
    compare(
        {
            "decode, frames thrown away": decode_only,
            "decode, sample and resize": lambda: [read_clip(p, 16, (56, 56)) for p in paths],
        }
    )

    scenes = [compose(label, np.random.default_rng(label)) for label in CLASSES]
    looks = [dress(s, np.random.default_rng(0), "train", 112) for s in scenes]
    drawn = [draw(s, look, 112) for s, look in zip(scenes, looks, strict=True)]
    print(f"rendering {len(scenes)} clips of 112 pixels")
    compare(
        {
            "encode alone": lambda: [write_webm(root / "x.webm", frames) for frames in drawn],
            "draw alone": lambda: [draw(s, k, 112) for s, k in zip(scenes, looks, strict=True)],
        }
    )

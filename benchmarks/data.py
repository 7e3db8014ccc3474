"""Preparing, streaming and rendering clips, against the least that the same files can cost."""

import contextlib
import io
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import numpy as np
import pandas as pd
from _timing import compare

from vidlib.data import (
    load_clips,
    prepare_clips,
    read_something,
    render_something_mini,
    sample_frames,
    stream_clips,
    write_webm,
)
from vidlib.data.draw import draw, dress
from vidlib.data.scenes import CLASSES, compose

FRAMES, SIZE = 16, (56, 56)


def plainly(paths):
    """Decode, sample and resize: one decoder thread, one reformatter for all, nothing checked."""
    reformatter = av.video.reformatter.VideoReformatter()
    clips = []
    for path in paths:
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            decoded = list(container.decode(stream))
        pictures = [
            reformatter.reformat(
                decoded[i], *SIZE[::-1], format="rgb24", interpolation="AREA", threads=1
            )
            for i in sample_frames(len(decoded), FRAMES)
        ]
        clips.append(np.stack([picture.to_ndarray() for picture in pictures]))
    return clips


def decoded_plainly(paths):
    return len(plainly(paths))  # the clips themselves stay in their process


def quietly(work, *arguments, **options):
    with contextlib.redirect_stderr(io.StringIO()):
        return work(*arguments, **options)


with tempfile.TemporaryDirectory() as folder:
    root = Path(folder)
    counts = {"train": 35, "validation": 5}
    render_something_mini(root, clips_per_class=counts, size=112, seed=0, processes=2)
    index = read_something(root)
    # As many files as `quick` has, so that starting processes weighs what it weighs there.
    copies = index.copy()
    for name in ("x", "y"):
        copies["path"] = [shutil.copy(path, f"{path}-{name}.webm") for path in copies["path"]]
        index = pd.concat([index, copies.assign(clip_id=copies["clip_id"] + name)])
    index = index.reset_index(drop=True)
    how = {"frames": FRAMES, "size": SIZE}
    quietly(prepare_clips, index, root / "checked", processes=2, cache=False, **how)
    clips = load_clips(root / "checked")
    assert all(map(np.array_equal, plainly(index["path"][:50]), clips.frames))

    def in_two(work):
        half = len(index) // 2
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(work, [index["path"][:half], index["path"][half:]]))

    def prepared(processes):
        return lambda: quietly(prepare_clips, index, root / "prepared", processes=processes, **how)

    def streamed(workers):
        return lambda: [len(batch.frames) for batch in stream_clips(clips, 16, workers=workers)]

    print(f"decoding {len(index)} clips of 112 pixels to {FRAMES} frames of {SIZE[0]} pixels")
    times = compare(
        {
            "plain decoding, one core": lambda: plainly(index["path"]),
            "plain decoding, both cores": lambda: in_two(decoded_plainly),
            "prepared, one process": prepared(1),
            "prepared, two processes": prepared(2),
            "streamed, one worker": streamed(1),
            "streamed, two workers": streamed(2),
        },
        rounds=3,
    )
    print("  clips per second:", *(f"{len(index) / seconds:.0f}" for seconds in times.values()))

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

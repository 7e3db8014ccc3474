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
    sample_frames,
    stream_clips,
    write_webm,
)
from vidlib.rendered import render_kth_mini, render_something_mini, truth
from vidlib.rendered.files import make_folders
from vidlib.rendered.something.draw import draw
from vidlib.rendered.something.looks import Look
from vidlib.rendered.something.scripts import CLASSES, compose

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

    # Rendering, on one core: how much of it is the encoder's, and the masks'.
    make_folders(root / "scenes", settings={})

    def composed():
        scenes = [compose(label, np.random.default_rng(label)) for label in CLASSES]
        return [(s, Look(s, np.random.default_rng(0), "train", 112)) for s in scenes]

    def drawn():
        return [draw(scene, look, 112) for scene, look in composed()]

    clips = drawn()

    def encoded():
        for frames, _ in clips:
            write_webm(root / "x.webm", frames)

    def masked():
        for k, (_, masks) in enumerate(clips):
            truth.write_masks(root / "scenes", str(k), masks)

    def rendered(per_class, processes):
        shutil.rmtree(root / "whole", ignore_errors=True)
        counts = {"train": per_class, "validation": 1}
        options = {"clips_per_class": counts, "seed": 0, "processes": processes}
        quietly(render_something_mini, root / "whole", size=112, **options)

    many = 9  # of each class: 160 clips with those of validation
    print(f"rendering {len(clips)} clips of 112 pixels")
    times = compare(
        {
            "encode alone": encoded,
            "compose and draw alone": drawn,
            "masks to disk alone": masked,
        },
        rounds=3,
    )
    print("  clips per second:", *(f"{len(clips) / seconds:.1f}" for seconds in times.values()))
    print(f"rendering {16 * (many + 1)} clips of 112 pixels, files and truth and all")
    times = compare(
        {"one process": lambda: rendered(many, 1), "two processes": lambda: rendered(many, 2)},
        rounds=2,
    )
    rates = [16 * (many + 1) / seconds for seconds in times.values()]
    print("  clips per second and core:", f"{rates[0]:.1f}", f"{rates[1] / 2:.1f}")

    def people(processes):
        shutil.rmtree(root / "people", ignore_errors=True)
        counts = {"train": 4, "validation": 4}
        options = {"clips_per_class": counts, "seed": 0, "processes": processes}
        quietly(render_kth_mini, root / "people", **options)

    print("rendering 12 videos, 48 sequences, of kth-mini")
    compare({"one process": lambda: people(1), "two processes": lambda: people(2)}, rounds=2)

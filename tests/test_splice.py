"""Spliced clips: both halves show the frames that the result names."""

import numpy as np
import pandas as pd
import pytest

from vidlib.data.clips import Clips, Frames
from vidlib.rendered.splice import splice_clips


def numbered_clips(labels, length=8):
    """Clips whose every frame says which clip and which frame it is."""
    count = len(labels)
    frames = np.zeros((count, length, 4, 4, 3), np.uint8)
    frames[..., 0] = np.arange(count)[:, None, None, None]
    frames[..., 1] = np.arange(length)[None, :, None, None]
    index = pd.DataFrame({"label": labels, "label_name": "x", "split": "validation"})
    read = Frames(frames.__getitem__, np.arange(count), frames.shape[1:])
    return Clips(index, read, sorted(set(labels)))


LABELS = [30, 10, 20, 10, 30, 10]


def test_every_frame_is_the_one_that_the_result_names():
    clips = numbered_clips(LABELS)
    spliced = splice_clips(clips, 20, np.random.default_rng(0))
    assert spliced.frames.shape == (20, 8, 4, 4, 3) and spliced.frames.dtype == np.uint8
    assert spliced.half.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    for n in range(20):
        of_clip = spliced.positions[n][spliced.half]
        assert np.array_equal(spliced.frames[n, :, 0, 0, 0], of_clip)
        assert np.array_equal(spliced.frames[n, :, 0, 0, 1], spliced.source[n])
        assert np.array_equal(spliced.outputs[n], clips.outputs[spliced.positions[n]])


def test_halves_are_of_different_classes_and_cover_their_clips():
    spliced = splice_clips(numbered_clips(LABELS), 200, np.random.default_rng(0))
    assert (spliced.outputs[:, 0] != spliced.outputs[:, 1]).all()
    assert len(np.unique(spliced.outputs, axis=0)) == 6  # each class before each other one
    assert (spliced.source == [0, 2, 5, 7, 0, 2, 5, 7]).all()
    assert all(
        a.dtype == np.int64
        for a in (spliced.outputs, spliced.positions, spliced.half, spliced.source)
    )


def test_states_are_spliced_by_the_same_numbers():
    """Facts about each sampled frame can be spliced like the frames."""
    spliced = splice_clips(numbered_clips(LABELS), 12, np.random.default_rng(1))
    states = 100 * np.arange(6)[:, None] + np.arange(8)
    moved = states[spliced.positions[:, spliced.half], spliced.source]
    pixels = spliced.frames[:, :, 0, 0].astype(int)
    assert np.array_equal(moved, 100 * pixels[..., 0] + pixels[..., 1])


def test_first_halves_are_shared_out_and_the_rng_decides():
    clips = numbered_clips(LABELS)
    spliced = splice_clips(clips, 12, np.random.default_rng(2))
    assert sorted(spliced.positions[:6, 0]) == sorted(spliced.positions[6:, 0]) == list(range(6))
    again = splice_clips(clips, 12, np.random.default_rng(2))
    assert np.array_equal(again.frames, spliced.frames)
    other = splice_clips(clips, 12, np.random.default_rng(3))
    assert not np.array_equal(other.positions, spliced.positions)


@pytest.mark.parametrize(
    ("labels", "length", "count", "said"),
    [
        ([1, 2], 7, 1, "7 frames: an odd number"),
        ([1, 1], 8, 1, "a single class"),
        ([1, 2], 8, 0, "count is 0.*at least 1"),
    ],
)
def test_invalid_clips_and_counts_are_refused(labels, length, count, said):
    with pytest.raises(ValueError, match=said):
        splice_clips(numbered_clips(labels, length), count, np.random.default_rng(0))

"""Contact sheets, outlines and charts of what is known about rendered clips."""

import re

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from vidlib.data import read_something, sample_frames
from vidlib.rendered import InstanceMasks, intervals
from vidlib.show import (
    native_clip,
    outlined,
    shares_chart,
    truth_player,
)
from vidlib.study import open_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    return open_study("something-mini", "smoke", {"train_clips": 1, "batch_size": 2}, runs=runs)


def test_outlines_lie_on_the_edges_of_masks_and_say_by_colour_what_acts():
    numbers = np.zeros((2, 10, 10), np.uint8)
    numbers[:, 2:6, 2:6], numbers[:, 7:9, 7:9] = 1, 2
    masks = InstanceMasks(numbers, ["object_a", "distractor_0"], ["object", "distractor"])
    frames = np.full((2, 40, 40, 3), 60, np.uint8)
    drawn = outlined(frames, masks, np.array([False, True]))
    assert (frames == 60).all()
    assert (drawn[0, 8, 8] == 255).all() and drawn[1, 8, 8].tolist() == [230, 159, 0]
    assert (drawn[:, 28, 28] == 130).all()
    changed = (drawn != 60).any(-1)
    assert not changed[:, 10:22, 10:22].any() and not changed[:, :7].any()
    # with the pixels of the edges of the two squares, 4 (n - 1) each, and no other
    assert changed[0].sum() == 4 * 15 + 4 * 7


def test_the_page_about_the_truth_says_what_there_is(study, monkeypatch):
    """Its tables name every column, and its code runs."""
    page = (ROOT / "book/truth.md").read_text()
    folder = study.files() / "truth"
    for name in ("clips", "frames", "states"):
        (row,) = [
            line for line in page.splitlines() if line.startswith(f"| `truth/{name}.parquet`")
        ]
        told = set(re.findall(r"`(\w+)`", row.rpartition("|")[0].split("|", 3)[3]))
        assert set(pd.read_parquet(folder / f"{name}.parquet").columns) <= told
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    monkeypatch.setenv("VIDLIB_RUNS", str(study.runs))
    names = {}
    exec(code.replace('"smoke")', '"smoke", {"train_clips": 1, "batch_size": 2})'), names)
    hand, scene = names["hand"], names["scene"]
    assert hand.role == "hand" and scene.label == 93
    come, gone = intervals(scene.in_view(hand))[0]
    assert come > 0 and come < scene.event[0] < scene.event[1] <= gone


def test_a_native_clip_comes_with_the_masks_of_its_frames(study):
    index = read_something(study.files())
    clip_id = index["clip_id"].iloc[-1]
    row, clip, masks = native_clip(study, clip_id)
    assert row["label"] == index["label"].iloc[-1]
    length = study.truth.clips.loc[clip_id, "frames"]
    assert clip.shape == (16, 112, 112, 3) and masks.numbers.shape == (16, 64, 64)
    whole = study.truth.masks(clip_id).numbers
    assert np.array_equal(masks.numbers, whole[sample_frames(length, 16)])


def test_the_truth_is_drawn_into_clips(study):
    ids = study.index().drop_duplicates("label")["clip_id"].tolist()[:5]
    figure = truth_player(study, ids, caption="five clips").figure
    assert [len(row["columns"]) for row in figure["rows"]] == [4, 1] and figure["frames"] == 16
    six = study.index().drop_duplicates("label")["clip_id"].tolist()[:6]
    rows = truth_player(study, six, caption="six clips").figure["rows"]
    assert [len(row["columns"]) for row in rows] == [3, 3]


def _decoded(values):
    """What plotly packs as base64 for large and typed arrays."""
    if isinstance(values, dict):
        import base64

        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).tolist()
    flat = [v for row in values for v in row] if isinstance(values[0], list) else values
    return [np.nan if v is None else v for v in flat]


def test_shares_are_drawn_with_their_intervals():
    rows = pd.DataFrame(
        {"pair": ["a", "b", "a"], "who": ["x", "x", "y"], "share": [0.5, 0.75, 1.0],
         "low": [0.4, 0.5, 0.9], "high": [0.6, 0.8, 1.0]}
    )  # fmt: skip
    chart = shares_chart(rows, x="pair", by="who", axis="right", chance=0.5)
    first, second = chart.figure["data"]
    assert _decoded(first["error_y"]["array"]) == pytest.approx([0.1, 0.05])
    assert _decoded(first["error_y"]["arrayminus"]) == pytest.approx([0.1, 0.25])
    assert _decoded(second["y"]) == [1.0] and "x, b: 75%" in chart.alt
    assert chart.figure["layout"]["shapes"][0]["y0"] == 0.5


def test_outlines_survive_any_size():
    numbers = np.ones((1, 7, 9), np.uint8)
    masks = InstanceMasks(numbers, ["a"], ["hand"])
    drawn = outlined(np.zeros((1, 30, 50, 3), np.uint8), masks, np.array([True]))
    assert drawn[0, 0].any(-1).all() and not drawn[0, 15, 25].any()
    assert cv2.countNonZero(drawn[0, ..., 2]) == 2 * (30 + 50) - 4

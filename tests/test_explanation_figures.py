"""Figures of temporal masks say what their arrays hold."""

import base64
import json

import numpy as np
import pytest

from vidlib.explain import reverse
from vidlib.show import (
    explanation_row,
    landscape_chart,
    learning_chart,
    overlay,
    score_by_length,
)

NAN = np.nan


def plain(values):
    """Plotly writes longer arrays as base64."""
    if isinstance(values, dict):
        array = np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
        return array.reshape([int(n) for n in values.get("shape", "-1").split(",")]).tolist()
    return values


LANDSCAPE = np.array([[0.9, 0.5, 0.3], [NAN, 0.7, 0.1], [NAN, NAN, 0.8]])


def test_a_learned_mask_plays_every_step_up_to_the_last_that_was_made():
    path = np.array([[0, 1, 1], [0, 0.5, 1], [0, 0.2, 1], [NAN] * 3])
    losses = np.array([0.5, 0.2, 0.3, NAN])
    chart = learning_chart(path, losses, "Moving something up")
    frames = chart.figure["frames"]
    assert [frame["name"] for frame in frames] == ["0", "1", "2"]
    assert plain(frames[1]["data"][0]["y"]) == [0, 0.5, 1]
    assert (frames[2]["data"][1]["x"], frames[2]["data"][1]["y"]) == ([2], [0.3])
    assert [step["label"] for step in chart.figure["layout"]["sliders"][0]["steps"]] == list("012")
    assert chart.alt == (
        "How the mask of a clip of Moving it up is learned in 2 steps: its loss goes from 0.500 to "
        "0.200."
    )
    assert "NaN" not in json.dumps(chart.figure)


def test_a_long_learning_is_thinned_but_keeps_its_ends():
    path, losses = np.zeros((301, 4)), np.linspace(1, 0, 301)
    frames = learning_chart(path, losses, "Moving something up").figure["frames"]
    assert len(frames) == 60 and (frames[0]["name"], frames[-1]["name"]) == ("0", "300")


def test_the_landscape_marks_the_mask():
    chart = landscape_chart(LANDSCAPE, "Moving something up", np.array([0.2, 0.9, 0.6]))
    heat, cross = chart.figure["data"]
    assert (cross["x"], cross["y"]) == ([2], [3])
    assert plain(heat["z"])[2][:2] == [0.3, 0.1]  # by last, then first frame
    assert chart.alt.endswith("least for frames 2 to 3. The mask reaches from frame 2 to 3.")
    assert len(landscape_chart(LANDSCAPE, "x", np.zeros(3)).figure["data"]) == 1


def test_the_landscape_says_what_was_done():
    chart = landscape_chart(LANDSCAPE, "Moving something up", doing="hold_next")
    assert chart.figure["layout"]["title"]["text"] == "Hold next: Moving it up"
    assert "by the stretch that hold_next acts on" in chart.alt


def test_a_row_shows_original_saliency_and_perturbed_clip():
    frames = np.random.default_rng(0).integers(0, 256, (4, 8, 16, 3)).astype(np.uint8)
    mask = np.array([0, 0, 1, 1.0])
    row = explanation_row("net", frames, mask, saliency=np.ones((4, 8, 16)), scores={}, side=16)
    assert list(row.columns) == ["original", "Grad-CAM", "frozen"]
    assert np.array_equal(row.columns["original"], frames)
    assert np.array_equal(row.columns["frozen"], frames[[0, 1, 1, 1]])
    assert np.array_equal(row.columns["Grad-CAM"], overlay(frames, np.ones((4, 8, 16))))
    plain = explanation_row(
        "net", frames, mask, perturbation=reverse, perturbed="reversed", scores={"OS": 1.0}
    )
    assert list(plain.columns) == ["original", "reversed"] and plain.scores == {"OS": 1.0}
    assert plain.columns["reversed"].shape == (4, 56, 112, 3)
    assert np.array_equal(plain.columns["reversed"], plain.columns["original"][[0, 1, 3, 2]])


def test_score_by_length_is_the_mean_over_windows_and_clips():
    table = score_by_length({"I3D": {"freeze": np.stack([LANDSCAPE, 1 - LANDSCAPE])}})
    assert table["length"].tolist() == [1, 2, 3]
    assert table["score"].tolist() == pytest.approx([0.5, 0.5, 0.5])
    one = {"freeze": LANDSCAPE[None], "hold_next": 1 - LANDSCAPE[None]}
    both = score_by_length({"I3D": one, "C-LSTM": one})
    assert both["network"].tolist() == 6 * ["I3D"] + 6 * ["C-LSTM"]
    assert both["perturbation"].tolist() == 2 * (3 * ["freeze"] + 3 * ["hold_next"])
    assert both["score"].tolist() == pytest.approx(2 * [0.8, 0.3, 0.3, 0.2, 0.7, 0.7])
    sparse = LANDSCAPE.copy()
    sparse[[0, 1], [1, 2]] = NAN
    assert score_by_length({"I3D": {"freeze": sparse[None]}})["length"].tolist() == [1, 3]

"""Figures of temporal masks say what their arrays hold."""

import base64

import numpy as np

from vidlib.explain import reverse
from vidlib.show import (
    explanation_row,
    landscape_chart,
    overlay,
)

NAN = np.nan


def plain(values):
    """Plotly writes longer arrays as base64."""
    if isinstance(values, dict):
        array = np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
        return array.reshape([int(n) for n in values.get("shape", "-1").split(",")]).tolist()
    return values


LANDSCAPE = np.array([[0.9, 0.5, 0.3], [NAN, 0.7, 0.1], [NAN, NAN, 0.8]])


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

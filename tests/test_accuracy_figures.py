"""Figures of Table 1: the right numbers at the right places."""

import numpy as np
import pandas as pd

from vidlib.compare import class_drops, distinct_table, summary
from vidlib.show import arrow_chart, class_drops_chart, distinct_chart, table_1
from vidlib.show.accuracy import MOST_CLASSES


def guesses(classes, reversed_right):
    """Two clips of each class, all right forwards; reversed, only those of some classes."""
    label = np.repeat(np.arange(classes), 2)
    backward = np.where(np.isin(label, reversed_right), label, classes)
    return pd.DataFrame({"label": label, "forward": label, "reversed": backward})


def test_table_1_in_words_leaves_out_what_is_not_there():
    found = table_1(summary(guesses(4, [0]), seed=0).set_index("direction"))
    assert list(found) == ["top-1", "F1"]
    assert found.loc["forward"].tolist() == ["1.00 (1.00 to 1.00)"] * 2
    assert found.loc["reversed"].tolist() == ["0.25 (0.25 to 0.25)", "0.20 (0.20 to 0.20)"]


def test_classes_stand_by_what_they_lose():
    names = {k: f"class {k}" for k in range(4)}
    chart = class_drops_chart(class_drops(guesses(4, [0, 2]), names, seed=0), "I3D")
    _, forward, backward = chart.figure["data"]
    assert forward["y"] == ["class 1", "class 3", "class 0", "class 2"]
    assert [trace["name"] for trace in (forward, backward)] == ["forward", "reversed"]
    assert "class 1 1.00 to 0.00; class 3 1.00 to 0.00; class 0 1.00 to 1.00" in chart.alt


def test_of_many_classes_the_extremes_are_shown():
    names = {k: f"class {k}" for k in range(60)}
    chart = class_drops_chart(class_drops(guesses(60, [50, 7]), names, seed=0), "I3D")
    shown = chart.figure["data"][1]["y"]
    assert len(shown) == MOST_CLASSES and shown[-2:] == ["class 7", "class 50"]
    assert f"{60 - MOST_CLASSES} classes between are not shown" in chart.alt


def test_distinct_frames_and_chance():
    table = pd.DataFrame({"label": [1, 1, 1, 2], 1: [1, 1, 1, 1], 2: [1, 1, 1, 2]})
    chart = distinct_chart({"I3D": distinct_table(table, seed=0)})
    assert chart.alt.endswith("I3D, 1: 75%, 2: 100%. Commonest class 75%.")


def test_mirrored_classes_stand_apart_where_there_are_any():
    clips = pd.DataFrame({"label": [93, 94, 4, 4], "trained": [0.5, 0.5, 1, 1], "untrained": 0.5})
    assert "trained, mirrored pairs: 50%" in arrow_chart(clips).alt
    assert "trained, other classes: 100%" in arrow_chart(clips).alt
    assert "mirrored" not in arrow_chart(clips[2:]).alt

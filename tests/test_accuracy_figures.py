"""Figures of Table 1: the right numbers at the right places."""

import numpy as np
import pandas as pd

from vidlib.compare import summary
from vidlib.show import table_1


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

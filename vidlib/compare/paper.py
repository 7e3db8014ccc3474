"""What the paper reports, to stand beside what is found here. Numbers of Tables 1 and 2.

Figures that are unreadable in the review copy are taken from the published version.
"""

import pandas as pd

TABLE_1 = pd.DataFrame(
    [
        ("clstm", "forward", "kth", 0.84, None),
        ("clstm", "reversed", "kth", 0.78, None),
        ("i3d", "forward", "kth", 0.86, None),
        ("i3d", "reversed", "kth", 0.80, None),
        ("clstm", "forward", "something", 0.23, 0.48),
        ("clstm", "reversed", "something", 0.05, 0.17),
        ("i3d", "forward", "something", 0.43, 0.73),
        ("i3d", "reversed", "something", 0.09, 0.27),
    ],
    columns=["network", "direction", "dataset", "f1", "f1_top5"],
)

TABLE_2 = pd.DataFrame(
    [
        ("i3d", "mask_length", 6.1, 3.3),
        ("i3d", "drop_ratio", 3.7, 9.7),
        ("i3d", "drop_difference", 0.2, 0.3),
        ("i3d", "blob_count", 1.5, 0.35),
        ("i3d", "blob_size", 33.9, 19.7),
        ("i3d", "centre_distance", 54.8, 32.9),
        ("clstm", "mask_length", 9.6, 4.2),
        ("clstm", "drop_ratio", 2.1, 3.9),
        ("clstm", "drop_difference", 0.08, 0.2),
        ("clstm", "blob_count", 3.6, 0.6),
        ("clstm", "blob_size", 25.9, 23.4),
        ("clstm", "centre_distance", 96.8, 34.7),
    ],
    columns=["network", "measure", "mean", "std"],
)

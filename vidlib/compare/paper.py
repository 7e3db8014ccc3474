"""What the paper reports, to stand beside what is found here: Tables 1 and 2, and its examples.

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

# OS, FS and RS of I3D, then of C-LSTM, of the 30 sequences of Something-something that the paper
# shows (Fig. 2 and appendix A.2), in its order.
_SHOWN = [
    (0.994, 0.083, 0.856, 0.312, 0.186, 0.125),
    (0.547, 0.028, 0.053, 0.257, 0.079, 0.122),
    (0.999, 0.002, 0.414, 0.788, 0.392, 0.537),
    (0.804, 0.016, 0.667, 0.546, 0.121, 0.764),
    (0.685, 0.003, 0.048, 0.221, 0.182, 0.35),
    (0.284, 0.003, 0.006, 0.6, 0.167, 0.088),
    (1.0, 0.001, 0.011, 0.158, 0.063, 0.093),
    (0.99, 0.001, 0.0, 0.806, 0.177, 0.181),
    (1.0, 0.015, 0.003, 0.373, 0.547, 0.224),
    (0.999, 0.0, 0.0, 0.921, 0.238, 0.46),
    (0.997, 0.012, 0.014, 0.988, 0.183, 0.105),
    (0.999, 0.001, 0.451, 0.985, 0.229, 0.094),
    (0.94, 0.106, 0.017, 0.192, 0.261, 0.14),
    (0.947, 0.005, 0.188, 0.708, 0.093, 0.119),
    (0.999, 0.001, 0.002, 0.687, 0.205, 0.149),
    (0.997, 0.002, 0.064, 0.689, 0.108, 0.129),
    (0.917, 0.058, 0.071, 0.297, 0.155, 0.294),
    (0.991, 0.022, 0.956, 0.259, 0.081, 0.146),
    (0.273, 0.004, 0.245, 0.123, 0.375, 0.2),
    (0.932, 0.002, 0.007, 0.453, 0.063, 0.198),
    (0.686, 0.003, 0.0, 0.62, 0.145, 0.129),
    (0.81, 0.055, 0.419, 0.333, 0.119, 0.276),
    (0.997, 0.007, 0.974, 0.737, 0.49, 0.14),
    (0.694, 0.01, 0.003, 0.813, 0.227, 0.83),
    (0.619, 0.01, 0.216, 0.1298, 0.079, 0.262),
    (0.177, 0.007, 0.13, 0.112, 0.147, 0.327),
    (0.848, 0.065, 0.38, 0.229, 0.102, 0.269),
    (0.755, 0.012, 0.032, 0.23, 0.146, 0.2),
    (0.81, 0.019, 0.682, 0.179, 0.073, 0.162),
    (0.325, 0.012, 0.126, 0.418, 0.062, 0.266),
]
EXAMPLES = pd.DataFrame(
    [
        (sequence, network, *scores)
        for sequence, both in enumerate(_SHOWN, 1)
        for network, scores in (("i3d", both[:3]), ("clstm", both[3:]))
    ],
    columns=["sequence", "network", "OS", "FS", "RS"],
)

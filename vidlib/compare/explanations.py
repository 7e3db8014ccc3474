"""Table 2: how long the temporal masks are, how much they lower the score, where Grad-CAM looks.

The paper leaves three things open, fixed here: a mask's length counts its frames above 0.5; a blob
is a bright region found by OpenCV's detector with the settings of `BLOBS`; and blob sizes and
distances are in pixels of a frame whose longer side is 224, for any input size of the network.
"""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import yaml

from vidlib.compare.clips import same_clips
from vidlib.compare.intervals import bootstrap_interval

SIDE = 224
TABLE = yaml.safe_load((Path(__file__).parent / "tables" / "explanations.yaml").read_text("utf-8"))
BLOBS, TABLE_2 = TABLE["blobs"], tuple(TABLE["table_2"])
FEWEST = 10  # clips; fewer do not show the spread
LEAST_DROP = 0.01  # clips whose score drops less are left out of the ratio (footnote 1)


def scaled(shape: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of a map when its longer side is `SIDE`."""
    height, width = (round(side * SIDE / max(shape)) for side in shape)
    return height, width


def find_blobs(saliency: np.ndarray) -> pd.DataFrame:
    """Return the bright blobs of one map, (H, W) in [0, 1]: columns x, y, size (a diameter).

    All are in pixels of a map scaled so that its longer side is `SIDE`.

    >>> saliency = np.zeros((7, 7))
    >>> saliency[3, 3] = 1
    >>> find_blobs(saliency)[["x", "y"]].round().values.tolist()
    [[112.0, 112.0]]
    """
    parameters = cv2.SimpleBlobDetector.Params()
    for name, value in BLOBS.items():
        setattr(parameters, name, value)
    image = np.round(255 * np.clip(saliency, 0, 1)).astype(np.uint8)
    height, width = scaled(image.shape)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    # The detector skips contours that touch the border: a dark margin closes them.
    image = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    found = cv2.SimpleBlobDetector.create(parameters).detect(image)
    rows = [(k.pt[0] - 1, k.pt[1] - 1, k.size) for k in found]
    return pd.DataFrame(rows, columns=["x", "y", "size"], dtype=float)


def blob_statistics(saliency: np.ndarray) -> dict[str, float]:
    """Return a clip's mean blob_count per frame, and blob_size and centre_distance per blob.

    saliency: (T, H, W) in [0, 1]. The last two are in pixels of `SIDE`, NaN without any blob.

    >>> blob_statistics(np.zeros((2, 7, 7)))
    {'blob_count': 0.0, 'blob_size': nan, 'centre_distance': nan}
    """
    frames = [find_blobs(frame) for frame in saliency]
    blobs = pd.concat(frames, ignore_index=True)
    y, x = ((side - 1) / 2 for side in scaled(saliency.shape[1:]))
    return {
        "blob_count": float(np.mean([len(frame) for frame in frames])),
        "blob_size": float(blobs["size"].mean()),
        "centre_distance": float(np.hypot(blobs["x"] - x, blobs["y"] - y).mean()),
    }


def score_drops(clips: pd.DataFrame) -> pd.DataFrame:
    """Return drop_ratio and drop_difference per clip, from its scores OS, FS and RS.

    (OS - FS) / (OS - RS), NaN if either drop is at most `LEAST_DROP`, and (OS - FS) - (OS - RS).

    >>> score_drops(pd.DataFrame({"OS": [0.75], "FS": [0.25], "RS": [0.5]})).values.tolist()
    [[2.0, 0.25]]
    """
    frozen, turned = clips["OS"] - clips["FS"], clips["OS"] - clips["RS"]
    kept = (frozen > LEAST_DROP) & (turned > LEAST_DROP)
    return pd.DataFrame(
        {"drop_ratio": (frozen / turned).where(kept), "drop_difference": frozen - turned}
    )


def table_2(clips: pd.DataFrame) -> pd.DataFrame:
    """Return mean, standard deviation and number of clips of every column of Table 2.

    clips: a row per explained clip with the columns `TABLE_2`. A row per measure: measure, mean,
    std (of a sample, with N - 1), clips (those that are not NaN).

    >>> table_2(pd.DataFrame(dict.fromkeys(TABLE_2, [1.0, 3.0])))["mean"].tolist()
    [2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    """
    values = clips[list(TABLE_2)]
    columns = {"mean": values.mean(), "std": values.std(), "clips": values.count()}
    return pd.DataFrame(columns).rename_axis("measure").reset_index()


def paired_difference(first: pd.DataFrame, second: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Return how two networks differ on the same clips in every measure of Table 2.

    first, second: a row per explained clip. A row per measure: measure, difference (mean over clips
    of first minus second), low and high, std (of the differences), clips (those with both values).
    The bootstrap intervals are wide enough that all of them hold together in 95 % of studies, by
    Bonferroni. They are NaN for fewer than `FEWEST` clips, and still too narrow for some dozens: in
    simulations with 12 clips, one interval in 50 misses a true zero where one in 120 should; with
    48, one in 80. Raises ValueError if the clips differ.

    >>> clips = pd.DataFrame(dict.fromkeys(TABLE_2, [1.0, 3.0])).assign(clip_id=["a", "b"])
    >>> paired_difference(clips, clips[::-1], seed=0)["difference"].tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    columns = list(TABLE_2)
    differences = first[columns].reset_index(drop=True) - same_clips(first, second)[columns]
    rows = []
    for measure in columns:
        values = differences[measure].dropna()
        low = high = np.nan
        if len(values) >= FEWEST:
            low, high = bootstrap_interval(values.to_numpy(), seed, 1 - 0.05 / len(columns))
        rows.append((measure, values.mean(), low, high, values.std(), len(values)))
    return pd.DataFrame(rows, columns=["measure", "difference", "low", "high", "std", "clips"])

"""Table 2: how long the temporal masks are, what they cost, and where Grad-CAM looks.

The paper leaves three things open, fixed here: a mask's length counts its frames above 0.5; a blob
is a bright region found by OpenCV's detector with the settings of `BLOBS`; and blob sizes and
distances are in pixels of a frame whose longer side is 224, whatever size the network saw.
"""

import cv2
import numpy as np
import pandas as pd

SIDE = 224
# OpenCV's own defaults look for dark blobs of at most 5,000 square pixels: none on a bright map.
BLOBS = {
    "filterByColor": True,
    "blobColor": 255,
    "filterByArea": True,
    "minArea": 30.0,
    "maxArea": float(SIDE * SIDE),
    "filterByCircularity": False,
    "filterByConvexity": False,
    "filterByInertia": False,
    "minThreshold": 85.0,
    "maxThreshold": 256.0,
    "thresholdStep": 20.0,
    "minRepeatability": 2,
    "minDistBetweenBlobs": 10.0,
}
FEWEST = 10  # clips: of fewer, resampling does not know the spread
LEAST_DROP = 0.01  # clips whose score drops by less are left out of the ratio (footnote 1)


def scaled(shape: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of a map when its longer side is `SIDE`."""
    return tuple(round(side * SIDE / max(shape)) for side in shape)


def find_blobs(saliency: np.ndarray) -> pd.DataFrame:
    """Return the bright blobs of one map, (H, W) in [0, 1]: columns x, y, size (a diameter).

    All are in pixels of a map scaled so that its longer side is `SIDE`.
    """
    parameters = cv2.SimpleBlobDetector_Params()
    for name, value in BLOBS.items():
        setattr(parameters, name, value)
    image = np.round(255 * np.clip(saliency, 0, 1)).astype(np.uint8)
    height, width = scaled(image.shape)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    # The detector skips contours that touch the border; a dark frame closes them.
    image = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    found = cv2.SimpleBlobDetector_create(parameters).detect(image)
    rows = [(k.pt[0] - 1, k.pt[1] - 1, k.size) for k in found]
    return pd.DataFrame(rows, columns=["x", "y", "size"], dtype=float)


def blob_statistics(saliency: np.ndarray) -> dict[str, float]:
    """Return a clip's mean blob_count per frame, and blob_size and centre_distance per blob.

    saliency: (T, H, W) in [0, 1]. The latter two are in pixels of `SIDE`, NaN without any blob.
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

    (OS - FS) / (OS - RS), NaN where either drop is at most `LEAST_DROP`, and (OS - FS) - (OS - RS).
    """
    frozen, turned = clips["OS"] - clips["FS"], clips["OS"] - clips["RS"]
    kept = (frozen > LEAST_DROP) & (turned > LEAST_DROP)
    return pd.DataFrame(
        {"drop_ratio": (frozen / turned).where(kept), "drop_difference": frozen - turned}
    )


TABLE_2 = (
    "mask_length",
    "drop_ratio",
    "drop_difference",
    "blob_count",
    "blob_size",
    "centre_distance",
)


def table_2(clips: pd.DataFrame) -> pd.DataFrame:
    """Return mean, standard deviation and number of clips of every column of Table 2.

    clips: a row per explained clip with those columns. One row per measure: measure, mean, std
    (with N - 1, as of a sample), clips (those that are not NaN).
    """
    values = clips[list(TABLE_2)]
    return pd.DataFrame(
        {
            "measure": list(TABLE_2),
            "mean": values.mean().to_numpy(),
            "std": values.std().to_numpy(),
            "clips": values.count().to_numpy(),
        }
    )


def bootstrap_interval(values: np.ndarray, seed: int, level: float = 0.95) -> tuple[float, float]:
    """Return the bootstrap interval (percentiles, 5,000 resamples) of a mean.

    values: (N,), NaN left out. Both ends are NaN where fewer than two values are left.
    """
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    means = rng.choice(values, (5000, len(values))).mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(first: pd.DataFrame, second: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Return how two networks differ on the same clips in every measure of Table 2.

    first, second: a row per explained clip. One row per measure: measure, difference (mean over
    clips of first minus second), low and high (its bootstrap interval, so wide that all of them
    hold together in 95 % of studies, by Bonferroni; NaN of fewer than `FEWEST` clips, and of some
    dozens still too narrow: simulated, of 12 clips one interval in 50 leaves a true zero out where
    one in 120 should, of 48 one in 80), std (of the differences), clips (those with both values).
    Raises ValueError where the clips are not the same.
    """
    if set(first["clip_id"]) != set(second["clip_id"]):
        raise ValueError(
            "the tables are of different clips: explain the same ones in both networks"
        )
    one, two = first.set_index("clip_id"), second.set_index("clip_id")
    rows = []
    for measure in TABLE_2:
        values = (one[measure] - two[measure].reindex(one.index)).dropna().to_numpy(float)
        low = high = np.nan
        if len(values) >= FEWEST:
            low, high = bootstrap_interval(values, seed, 1 - 0.05 / len(TABLE_2))
        mean = float(values.mean()) if len(values) else np.nan
        spread = float(values.std(ddof=1)) if len(values) > 1 else np.nan
        rows.append((measure, mean, low, high, spread, len(values)))
    return pd.DataFrame(rows, columns=["measure", "difference", "low", "high", "std", "clips"])

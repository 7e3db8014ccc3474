"""Which frames of a video a network sees."""

import numpy as np

from vidlib import check


def sample_frames(total: int, wanted: int) -> np.ndarray:
    """Return `wanted` frame numbers spread evenly over `total` frames, both ends included.

    int64, non-decreasing; frames repeat if total < wanted (Sec. 4.1 of the paper: sequences are
    "sub-sampled to cover the entire sequence").

    >>> sample_frames(9, 5)
    array([0, 2, 4, 6, 8])
    """
    check.count("total", total)
    check.count("wanted", wanted)
    return np.round(np.linspace(0, total - 1, wanted)).astype(np.int64)


def sample_times(times: np.ndarray, wanted: int) -> np.ndarray:
    """Return the numbers of the frames that are shown at `wanted` moments spread evenly over time.

    times: (N,), when each of N frames is first shown, increasing. Where frames come at a steady
    rate (none is more than a frame's duration early or late) this is `sample_frames(N, wanted)`.

    >>> sample_times(np.array([0.0, 1, 2, 3, 7, 8]), 3)  # frame 3 is shown from 3 to 7
    array([0, 3, 5])
    """
    even = np.linspace(times[0], times[-1], len(times))
    if len(times) < 3 or np.abs(times - even).max() <= even[1] - even[0]:
        return sample_frames(len(times), wanted)
    moments = np.linspace(times[0], times[-1], wanted) + 1e-6
    return np.searchsorted(times, moments, "right") - 1

"""Drawing for both worlds: points at fractions of a pixel, smooth noise, cut-out pictures."""

import cv2
import numpy as np

SUBPIXEL = 4  # fractional bits of the coordinates in OpenCV's drawing functions


def towards(angle) -> np.ndarray:
    """Return unit vectors at angles in radians, x then y in a last axis of 2.

    >>> towards(np.array([0.0])).tolist()
    [[1.0, 0.0]]
    """
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


DISC = towards(np.linspace(0, 2 * np.pi, 48, endpoint=False))  # outline of radius 1


def fixed(points) -> np.ndarray:
    """Return points in pixels as fixed-point int32 with `SUBPIXEL` fractional bits.

    >>> fixed([1.0, 2.5]).tolist()
    [16, 40]
    """
    return np.round(np.asarray(points) * 2**SUBPIXEL).astype(np.int32)


def fill(image: np.ndarray, points: np.ndarray, colour, edge: int = cv2.LINE_AA) -> None:
    """Fill a polygon, (N, 2) in pixels; with cv2.LINE_8 as edge, whole pixels only.

    >>> fill(image := np.zeros((4, 4)), np.array([(0, 0), (1, 0), (1, 1), (0, 1)]), 7, cv2.LINE_8)
    >>> int(image.sum())
    28
    """
    cv2.fillPoly(image, [fixed(points)], colour, edge, SUBPIXEL)


def smooth_noise(coarse: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return coarse noise enlarged to (H, W) float32, smooth between its values.

    >>> smooth_noise(np.ones((2, 2)), (6, 8)).shape
    (6, 8)
    """
    return cv2.resize(coarse.astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)


def cut_out(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return a picture (S, S, 3) with alpha (S, S) uint8 as (S, S, 4) float32, premultiplied RGBA.

    Colours are in [0, 255], alpha in [0, 1].

    >>> cut_out(np.full((1, 1, 3), 200.0), np.full((1, 1), 51, np.uint8))[0, 0].tolist()
    [40.0, 40.0, 40.0, 0.20000000298023224]
    """
    share = alpha.astype(np.float32)[..., None] / 255
    return np.concatenate([picture * share, share], axis=2).astype(np.float32)

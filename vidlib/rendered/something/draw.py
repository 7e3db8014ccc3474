"""Draw the frames of a scene and its masks with the same strokes."""

from collections import defaultdict

import cv2
import numpy as np

from vidlib.rendered.drawing import SUBPIXEL, fill, fixed, towards
from vidlib.rendered.scene import Scene, Track
from vidlib.rendered.something.looks import Look
from vidlib.rendered.truth import InstanceMasks


class Canvas:
    """A picture (H, W, 3) uint8 RGB and (H, W) uint8, the number of the thing on top."""

    def __init__(self, picture: np.ndarray, numbers: np.ndarray):
        self.picture, self.numbers = picture, numbers

    def paste(self, sprite: np.ndarray, x: float, y: float, diameter: float, angle, number) -> None:
        """Draw a sprite, (S, S, 4) float32 premultiplied RGBA; units are pixels."""
        height, width = self.numbers.shape
        reach = int(np.ceil(0.75 * diameter)) + 1
        left, top = int(np.floor(x)) - reach, int(np.floor(y)) - reach
        right, bottom = min(left + 2 * reach, width), min(top + 2 * reach, height)
        left, top = max(left, 0), max(top, 0)
        if left >= right or top >= bottom:
            return
        scale, centre = diameter / len(sprite), (len(sprite) - 1) / 2
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        to_x, to_y = x - left - (cos - sin) * centre, y - top - (sin + cos) * centre
        move = np.array([[cos, -sin, to_x], [sin, cos, to_y]])
        warped = cv2.warpAffine(sprite, move, (right - left, bottom - top))
        alpha = warped[..., 3]
        region = self.picture[top:bottom, left:right]
        region[:] = region * (1 - alpha[..., None]) + warped[..., :3]
        self.numbers[top:bottom, left:right][alpha > 0.5] = number

    def line(self, start, end, colour, width: float, number: int) -> None:
        """Draw a line with round ends, from and to points in pixels."""
        one, other = fixed([start, end]).tolist()
        thickness = max(1, round(width))
        cv2.line(self.picture, one, other, colour, thickness, cv2.LINE_AA, SUBPIXEL)
        cv2.line(self.numbers, one, other, number, thickness, cv2.LINE_8, SUBPIXEL)

    def fill(self, points: np.ndarray, colour, number: int) -> None:
        """Fill a polygon, (N, 2) in pixels."""
        fill(self.picture, points, colour)
        fill(self.numbers, points, number, cv2.LINE_8)


def _draw_sprite(canvas: Canvas, look: Look, track: Track, t: int, x, y, number: int) -> None:
    sprite, diameter = look.sprites[track.name], len(canvas.picture) * track.size[t]
    canvas.paste(sprite, x, y, diameter, track.angle[t], number)


def _draw_hand(canvas: Canvas, look: Look, track: Track, t: int, x, y, number: int) -> None:
    """Draw arm, palm and fingers; x, y, in pixels, is the point that the fingers reach."""
    side_length = len(canvas.picture)
    size, arm, grip = side_length * track.size[t], track.angle[t], track.grip[t]
    out = towards(arm)
    side = np.array([-out[1], out[0]])
    tip = np.array([x, y])
    palm = tip + 0.5 * size * out
    wrist = palm + 0.75 * size * out
    if ((tip < -1.2 * size) | (tip > side_length + 1.2 * size)).any():
        return  # the arm comes from outside, so it is even farther away
    for colour, grow in ((tuple(0.55 * c for c in look.skin), 0.07), (look.skin, 0.0)):
        canvas.line(palm, wrist, colour, (0.36 + grow) * size, number)
        canvas.line(palm, palm, colour, (0.58 + grow) * size, number)
        for finger in (-1.5, -0.5, 0.5, 1.5):
            spread = finger * (0.30 - 0.17 * grip)
            length = 0.72 - 0.26 * grip - 0.05 * abs(finger)
            root = palm + finger * 0.14 * size * side
            end = palm - (length * out - spread * side) * size
            canvas.line(root, end, colour, (0.12 + grow) * size, number)
    canvas.line(wrist, wrist + 2 * side_length * out, look.sleeve, 0.52 * size, number)


_TURN = np.linspace(0, 2 * np.pi, 60)


def _draw_heap_behind(canvas: Canvas, look: Look, track: Track, t: int, x, y, number: int) -> None:
    """Draw the hollow behind a buried thing."""
    width = len(canvas.picture) * track.size[t] / 2
    height = y - width * (0.1 + 0.2 * np.sin(_TURN))
    points = np.stack([x + 0.6 * width * np.cos(_TURN), height], axis=1)
    canvas.fill(points, tuple(0.5 * c for c in look.heap), number)


def _draw_heap(canvas: Canvas, look: Look, track: Track, t: int, x, y, number: int) -> None:
    """Draw the heap itself, in front of a buried thing."""
    width = len(canvas.picture) * track.size[t] / 2
    height = y + width * (0.45 + 0.65 * (1 + 0.05 * np.sin(7 * _TURN)) * np.sin(_TURN))
    canvas.fill(np.stack([x + width * np.cos(_TURN), height], axis=1), look.heap, number)
    for i in range(14):  # grains, always in the same places
        angle, reach = 2.4 * i, 0.85 * np.sqrt(i / 14)
        height = y + width * (0.45 + 0.5 * reach * np.sin(angle))
        at = (x + width * reach * np.cos(angle), height)
        canvas.line(at, at, tuple(0.6 * c for c in look.heap), 0.09 * width, number)


# From back to front; bystanders are drawn before, once for all frames.
_LAYERS = (
    ("distractor", _draw_sprite),
    ("heap", _draw_heap_behind),
    ("object", _draw_sprite),
    ("heap", _draw_heap),
    ("hand", _draw_hand),
)


def draw(scene: Scene, look: Look, size: int) -> tuple[np.ndarray, InstanceMasks]:
    """Return the frames of a scene, (T, size, size, 3) uint8 RGB, and their masks."""
    of: dict[str, list[tuple[int, Track]]] = defaultdict(list)
    for number, one in enumerate(scene.tracks, 1):
        of[one.role].append((number, one))
    still = Canvas(look.ground.copy(), np.zeros(look.ground.shape[:2], np.uint8))
    for number, one in of["bystander"]:  # on the ground: drawn once
        x, y = one.x[0] * size + size / 2, one.y[0] * size + size / 2
        still.paste(look.sprites[one.name], x, y, one.size[0] * size, one.angle[0], number)

    frames = np.empty((len(scene), size, size, 3), np.uint8)
    numbers = np.empty((len(scene), size, size), np.uint8)
    for t, (cx, cy) in enumerate(scene.camera * size):
        move = np.array([[1.0, 0.0, -cx - size / 2], [0.0, 1.0, -cy - size / 2]])
        canvas = Canvas(frames[t], numbers[t])
        pixels, edge = (size, size), cv2.BORDER_REFLECT_101
        cv2.warpAffine(still.picture, move, pixels, frames[t], cv2.INTER_LINEAR, edge)
        cv2.warpAffine(still.numbers, move, pixels, numbers[t], cv2.INTER_NEAREST, edge)
        for role, draw_one in _LAYERS:
            for number, one in of[role]:
                x, y = one.x[t] * size - cx, one.y[t] * size - cy
                draw_one(canvas, look, one, t, x, y, number)
    masks = InstanceMasks(numbers, [t.name for t in scene.tracks], [t.role for t in scene.tracks])
    return frames, masks

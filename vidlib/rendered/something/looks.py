"""What the things of a clip look like: textured grounds and objects, chosen at random.

Shapes, textures and background patterns of the validation split never occur in training; colours
and sizes come from the same distributions.
"""

import colorsys
from pathlib import Path

import cv2
import numpy as np
import yaml

from vidlib.rendered.drawing import DISC, cut_out, fill, smooth_noise
from vidlib.rendered.scene import Scene

TABLE = yaml.safe_load((Path(__file__).parent / "tables" / "looks.yaml").read_text("utf-8"))
SHAPES, TEXTURES, BACKGROUNDS = (TABLE[name] for name in ("shapes", "textures", "backgrounds"))
POLYGONS = {name: np.array(corners) for name, corners in TABLE["polygons"].items()}
OUTLINES = {  # in [-1, 1]; those after the first are holes
    **{name: [corners] for name, corners in POLYGONS.items()},
    "ball": [0.92 * DISC],
    "star": [0.97 * DISC[::4] * np.where(np.arange(12) % 2, 0.5, 1)[:, None] @ [[0, -1], [1, 0]]],
    "capsule": [0.5 * DISC + np.where(DISC[:, 1:] > 0, 1, -1) * np.array([0, 0.45])],
    "hexagon": [0.95 * DISC[::8]],
    "drop": [np.vstack([[(0, -1)], 0.65 * DISC[:25] + (0, 0.3)])],
    "ring": [0.95 * DISC, 0.42 * DISC],
}
SPRITE = 96  # pixels of a sprite before it is scaled to its size in the frame


def _rgb(rng: np.random.Generator, saturation, value) -> np.ndarray:
    """Draw a colour, (3,) float in [0, 255]."""
    hue = rng.random()
    return 255 * np.array(colorsys.hsv_to_rgb(hue, rng.uniform(*saturation), rng.uniform(*value)))


def background(rng: np.random.Generator, split: str, size: int) -> np.ndarray:
    """Return a textured square, (size, size, 3) uint8."""
    kind = rng.choice(BACKGROUNDS[split])
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    turn = rng.uniform(0, np.pi)
    u, v = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    n = rng.uniform(8, 20)

    def cloud(cells: int) -> np.ndarray:  # smooth noise, in about [0, 1]
        return smooth_noise(rng.random((cells, cells)), (size, size))

    def speckle() -> np.ndarray:
        blurred = cv2.GaussianBlur(rng.random((size, size)).astype(np.float32), (0, 0), 1.5)
        return np.clip((blurred - 0.5) * 5 + 0.5, 0, 1)

    def tiles() -> np.ndarray:
        joint = np.maximum(np.abs(u * n % 1 - 0.5), np.abs(v * n % 1 - 0.5))
        return (joint < 0.44).astype(np.float32) * (0.6 + 0.4 * cloud(12))

    draw = {
        "wood": lambda: 0.5 + 0.5 * np.sin(2 * np.pi * (n * u + 3 * cloud(5))),
        "clouds": lambda: 0.6 * cloud(7) + 0.4 * cloud(23),
        "squares": lambda: ((u * n // 1) % 2 == (v * n // 1) % 2).astype(np.float32),
        "speckle": speckle,
        "gradient": lambda: 0.5 * u + 0.5 * cloud(10),
        "tiles": tiles,
        "waves": lambda: 0.5 + 0.5 * np.sin(2 * np.pi * (n * v + np.sin(2 * np.pi * 3 * u))),
        "blotches": lambda: (cloud(16) > 0.5).astype(np.float32),
    }[str(kind)]
    pattern = draw() * rng.uniform(0.5, 1.0) + 0.15 * cloud(31)
    low, high = _rgb(rng, (0.05, 0.4), (0.25, 0.75)), _rgb(rng, (0.05, 0.4), (0.35, 0.85))
    colours = low + (high - low) * pattern[..., None]
    return np.clip(colours, 0, 255).astype(np.uint8)


def sprite(rng: np.random.Generator, split: str) -> tuple[np.ndarray, str]:
    """Return a random object's picture, as of `cut_out` with S = `SPRITE`, and its name.

    Every object has a lid in another colour, to show which way up it is.
    """
    shape, texture = rng.choice(SHAPES[split]), rng.choice(TEXTURES[split])
    alpha = np.zeros((SPRITE, SPRITE), np.uint8)
    centre = (SPRITE - 1) / 2
    for i, polygon in enumerate(OUTLINES[shape]):
        fill(alpha, centre + 0.46 * SPRITE * polygon, 0 if i else 255)
    y, x = (np.mgrid[0:SPRITE, 0:SPRITE].astype(np.float32) - centre) / (0.46 * SPRITE)
    pattern = {
        "plain": np.zeros_like(x),
        "striped": np.sin(9 * x) > 0.3,
        "dotted": (np.sin(8 * x) * np.sin(8 * y)) > 0.35,
        "banded": np.sin(9 * y) > 0.3,
        "checked": (np.sin(6 * x) > 0) == (np.sin(6 * y) > 0),
        "shaded": np.clip(0.5 + 0.5 * x, 0, 1),
        "ringed": np.sin(12 * np.hypot(x, y)) > 0,
    }[texture]
    base, second = _rgb(rng, (0.6, 1.0), (0.65, 1.0)), _rgb(rng, (0.5, 1.0), (0.3, 1.0))
    picture = base + (second - base) * (0.7 * np.asarray(pattern, np.float32))[..., None]
    lid = 255 - base if rng.random() < 0.5 else np.full(3, rng.choice([20.0, 245.0]))
    picture = np.where((y < -0.35)[..., None], lid, picture)
    inner = cv2.erode(alpha, np.ones((5, 5), np.uint8))
    picture = np.where((inner > 0)[..., None], picture, 0.35 * picture)  # a dark rim
    return cut_out(picture, alpha), f"{texture} {shape}"


class Look:
    """How the things of a scene look, chosen at random for frames of `size` pixels a side.

    ground: (2 S, 2 S, 3) uint8 for frames of S pixels. sprites and names (as "striped box") by
    track. skin, sleeve, heap: colours.
    """

    def __init__(self, scene: Scene, rng: np.random.Generator, split: str, size: int):
        self.sprites, self.names = {}, {"heap": "heap"}
        for one in scene.tracks:
            if one.role not in ("hand", "heap"):
                picture, self.names[one.name] = sprite(rng, split)
                pixels = max(8, round(1.5 * size * float(one.size.max())))
                if pixels < SPRITE:
                    picture = cv2.resize(picture, (pixels, pixels), interpolation=cv2.INTER_AREA)
                self.sprites[one.name] = picture
        tone = rng.uniform(0.35, 1.0)
        skin = tone * np.array([240, 195, 165]) + (1 - tone) * np.array([70, 45, 35])
        sleeve, heap = _rgb(rng, (0.2, 0.9), (0.2, 0.8)), _rgb(rng, (0.2, 0.5), (0.35, 0.65))
        self.skin, self.sleeve, self.heap = tuple(skin), tuple(sleeve), tuple(heap)
        self.ground = background(rng, split, 2 * size)

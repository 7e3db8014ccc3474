"""Where kth-mini is filmed: grass, a path or houses outdoors, a hall indoors."""

from dataclasses import dataclass

import numpy as np

from vidlib.rendered.drawing import smooth_noise

HEIGHT, WIDTH = 120, 160
MARGIN = 40  # pixels of a background beyond the frame, for shake and zoom


@dataclass(frozen=True)
class Place:
    """Where a subject is filmed in a scenario.

    ground: background with its margins, uint8. noise: (HEIGHT + 64, WIDTH + 64) int16, of the
    sensor. shade: share of the light that a shadow removes. throw: a shadow's offset to the right
    and down per unit of height above the ground. light: the side it comes from, -1 or 1.
    """

    ground: np.ndarray
    noise: np.ndarray
    shade: float
    throw: tuple[float, float]
    light: int


def _cloud(rng: np.random.Generator, shape: tuple[int, int], down: float, across: float):
    """Return smooth noise about 0, (H, W) float32; down, across: pixels of a patch."""
    cells = (max(2, int(shape[0] / down)), max(2, int(shape[1] / across)))
    return smooth_noise(rng.standard_normal(cells), shape)


def place(scenario: str, rng: np.random.Generator) -> Place:
    """Return a random place for a scenario: d1 to d3 are outdoors, d4 is a hall.

    >>> place("d4", np.random.default_rng(0)).ground.shape
    (200, 240)
    """
    shape = (HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) - MARGIN
    grey = rng.uniform(108, 140)
    light = int(rng.choice([-1, 1]))
    if scenario == "d4":
        foot = rng.uniform(88, 98)  # where the wall ends
        picture = grey + 20 + light * 0.13 * (x - WIDTH / 2) - 0.12 * y
        panel = rng.uniform(30, 60)
        picture -= 14 * (np.abs((x + rng.uniform(0, panel)) % panel) < 1.6)
        picture -= 5 * (np.abs(y - foot + 3) < 3)
        floor = grey - 34 + 0.5 * (y - foot) + 5 * _cloud(rng, shape, 4, 30)
        picture = np.where(y > foot, floor, picture) + 1.2 * _cloud(rng, shape, 3, 3)
        throw, shade = (-0.3 * light, -0.9), 0.3
    else:
        horizon = {"d1": -80, "d2": rng.uniform(22, 34), "d3": rng.uniform(8, 16)}[scenario]
        depth = np.clip((y - horizon) / (HEIGHT - horizon), 0.02, 1.2)
        picture = grey + 6 - 12 * depth + 5 * _cloud(rng, shape, 14, 70)
        picture += (3 + 8 * depth) * _cloud(rng, shape, 2, 5) + 4 * depth * _cloud(rng, shape, 1, 2)
        if scenario == "d2":  # houses beyond a meadow
            picture = np.where(y < horizon, grey + 75, picture)
            left = -MARGIN
            while left < WIDTH + MARGIN:
                width, tall = rng.uniform(20, 55), rng.uniform(8, 26)
                house = (x >= left) & (x < left + width) & (y < horizon) & (y > horizon - tall)
                picture[house] = rng.uniform(95, 170)
                panes = house & ((x - left) % 9 < 3) & ((horizon - y) % 8 > 4)
                picture[panes] -= 35
                left += width + rng.choice([0, rng.uniform(4, 20)])
        elif scenario == "d3":  # a path between grass and a hedge
            hedge = grey - 42 + 9 * _cloud(rng, shape, 3, 4)
            picture = np.where(y < horizon + 3 * _cloud(rng, shape, 200, 12), hedge, picture)
            edge = rng.uniform(58, 76) + 0.04 * x
            path = grey + 26 + 3 * _cloud(rng, shape, 2, 3)
            picture = np.where((y > edge) & (y < edge + 46), path, picture)
        throw, shade = (-light * rng.uniform(0.2, 0.7), rng.uniform(-0.02, 0.1)), 0.28
    noise = np.round(rng.normal(0, 2.2, (HEIGHT + 64, WIDTH + 64))).astype(np.int16)
    ground = np.clip(picture, 8, 247).astype(np.uint8)
    return Place(ground, noise, shade, throw, light)

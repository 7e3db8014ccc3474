"""Draw a film of kth-mini: a dressed person under a light in a place."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import yaml

from vidlib.rendered.drawing import SUBPIXEL, fixed, towards
from vidlib.rendered.kth.body import GROUND, HIP, SIDES, THICKNESS, Subject
from vidlib.rendered.kth.film import Film, in_view
from vidlib.rendered.kth.place import HEIGHT, MARGIN, WIDTH, Place

FIGURE = yaml.safe_load((Path(__file__).parent / "tables" / "figure.yaml").read_text("utf-8"))
PARTS = ("head", "torso", "left_arm", "right_arm", "left_leg", "right_leg")
_ARC = np.linspace(-np.pi / 2, np.pi / 2, 7)


class Shape(NamedTuple):
    """A convex outline in every frame: (T, P, 2) int32, as OpenCV wants it.

    part: number in `PARTS`, from 1, of the part that it belongs to; 0 for a detail within a part.
    """

    part: int
    outline: np.ndarray
    grey: int


def _shape(part: int, points: np.ndarray, grey: float) -> Shape:
    return Shape(part, fixed(points - 0.5), int(np.clip(grey, 8, 248)))


Ends = tuple[np.ndarray, np.ndarray]  # of a bar, (T, 2) each


class _Figure:
    """The outlines of a person in all frames of a film, from back to front.

    Lengths are in body heights and points (T, 2) in pixels; things further away are darker.
    """

    def __init__(self, film: Film, person: Subject, scenario: str, light: int):
        scene, other = film.scene, scenario == "d3"
        self.at = {one.name: HEIGHT * np.stack(scene.seen(one), -1) for one in scene.tracks}
        self.angle = {one.name: one.angle for one in scene.tracks}
        self.person, self.light, self.wide = person, light, person.width
        self.top, self.trousers = person.tops[other], person.trousers[other]
        self.extra = person.extra if other else ""
        self.unit = HEIGHT * scene["head"].size / THICKNESS["head"]
        self.front = bool(np.isclose(self.angle["head"][0], np.pi / 2))
        self.view = "front" if self.front else "profile"
        self.ahead = np.where(np.isclose(self.angle["head"], np.pi), -1, 1)
        trunk = self.at["neck"] - self.at["hip"]
        self.up = trunk / np.linalg.norm(trunk, axis=1, keepdims=True)
        self.forth = np.stack([-self.up[:, 1], self.up[:, 0]], -1) * self.ahead[:, None]

    def point(self, joint: str, forth: float, up: float) -> np.ndarray:
        """Return a point beside a joint; forth: forward, or from the front to the right."""
        return self.at[joint] + self.unit[:, None] * (forth * self.forth + up * self.up)

    def capsule(self, part: int, ends: Ends, radii: tuple[float, float], grey: float) -> Shape:
        """Return a bar with round ends of these radii."""
        way = ends[1] - ends[0]
        turn = np.arctan2(way[:, 1], way[:, 0])[:, None]
        caps = [
            centre[:, None] + radius * self.unit[:, None, None] * towards(angle + _ARC)
            for centre, radius, angle in zip(ends, radii, (turn + np.pi, turn), strict=True)
        ]
        return _shape(part, np.concatenate(caps, axis=1), grey)

    def limb(self, part: int, ends: Ends, radii: tuple[float, float], grey: float) -> list[Shape]:
        """Return a limb and, within it, its lit side."""
        aside = min(radii) * self.unit[:, None] * (0.3 * self.light, -0.12)
        lit, half = (ends[0] + aside, ends[1] + aside), (radii[0] / 2, radii[1] / 2)
        return [self.capsule(part, ends, radii, grey), self.capsule(0, lit, half, 8 + 1.1 * grey)]

    def arm(self, side: str, dim: float) -> list[Shape]:
        """Return an arm, its greys times `dim`."""
        part = PARTS.index(f"{side}_arm") + 1
        shoulder, elbow, hand = (self.at[f"{side}_{end}"] for end in ("shoulder", "elbow", "hand"))
        wide = self.wide * (1.2 if self.extra == "coat" else 1)
        wrist, tip = elbow + 0.8 * (hand - elbow), elbow + 1.12 * (hand - elbow)
        grey = dim * self.top * (0.85 if self.person.pattern == "panel" else 1)
        return [
            *self.limb(part, (wrist, tip), (0.022, 0.026), dim * self.person.skin),
            *self.limb(part, (shoulder, elbow), (0.037 * wide, 0.03 * wide), grey),
            *self.limb(part, (elbow, wrist), (0.03 * wide, 0.025 * wide), grey),
        ]

    def leg(self, side: str, dim: float) -> list[Shape]:
        """Return a leg, its greys times `dim`."""
        part, wide, grey = PARTS.index(f"{side}_leg") + 1, self.wide, dim * self.trousers
        outward = (1 if side == "left" else -1) if self.front else 0
        hip = self.point("hip", HIP * outward, 0)
        knee, foot = self.at[f"{side}_knee"], self.at[f"{side}_foot"]
        pitch, unit = self.angle[f"{side}_foot"], self.unit[:, None]
        toes = np.stack([np.cos(pitch) + 0.4 * outward, np.sin(pitch)], axis=-1)
        toes *= unit * (0.03 if self.front else 0.1)
        sole = foot + unit * (0, 0.018)
        shoe = sole - 0.1 * toes, sole + toes
        return [
            *self.limb(part, shoe, (0.024, 0.019), dim * self.person.shoes),
            *self.limb(part, (knee, foot), (0.04 * wide, 0.029 * wide), grey),
            *self.limb(part, (hip, knee), (0.056 * wide, 0.042 * wide), grey),
        ]

    def torso(self) -> list[Shape]:
        """Return the trunk in its clothes, and a bag."""
        edge = list(FIGURE["trunk"][self.view])
        if self.extra == "coat":
            edge[-1:] = [(-0.3, 1.1 * edge[-1][1]), (-0.49, 1.4 * edge[-1][1])]
        up, out = np.array(edge).T * np.array([[1], [self.wide]])

        def down(*levels: float, across: float = 0) -> Ends:
            start, end = (self.point("neck", across, level) for level in levels)
            return start, end

        def band(part: int, high: float, low: float, grey: float) -> Shape:
            levels = [high, *up[(up < high) & (up > low)], low]
            sides = [(level, np.interp(-level, -up, out)) for level in levels]
            points = [self.point("neck", width, level) for level, width in sides]
            points += [self.point("neck", -width, level) for level, width in sides[::-1]]
            return _shape(part, np.stack(points, axis=1), grey)

        lit = 0.024 * self.wide * self.unit[:, None] * (self.light, 0)
        chest, bottom = down(-0.06, up[-1] + 0.07)
        contrast = self.top + (75 if self.top < 128 else -95)
        shapes = [
            *self.limb(2, (self.at["neck"], self.point("neck", 0, 0.06)), (0.034, 0.03),
                       0.9 * self.person.skin),
            band(2, up[0], up[-1], self.top),
            self.capsule(0, (chest + lit, bottom + lit), (0.036 * self.wide,) * 2,
                         8 + 1.08 * self.top),
        ]  # fmt: skip
        if self.person.pattern == "stripes":
            shapes += [band(0, v, v - 0.035, contrast) for v in np.arange(-0.05, up[-1], -0.075)]
        elif self.person.pattern == "yoke":
            shapes.append(band(0, up[0], -0.09, contrast))
        elif self.person.pattern == "panel":
            shapes.append(self.capsule(0, down(-0.08, -0.27), (0.045, 0.045), contrast))
        if self.extra == "bag":
            grey = 205 if self.top < 128 else 45
            across, high, low = FIGURE["bag"][self.view]
            bag = down(high, low, across=across)
            shapes += self.limb(2, bag, (0.055, 0.06), grey)
            if self.front:
                strap = self.point("neck", -0.08, -0.01), bag[0]
                shapes.append(self.capsule(0, strap, (0.014, 0.014), grey))
        return shapes

    def head(self) -> list[Shape]:
        """Return face, hair and a hat."""
        skin, hair = self.person.skin, self.person.hair
        greys = {"face": skin, "hair": hair, "eye": 0.45 * skin}
        if self.person.long_hair:
            greys["long hair"] = hair
        if self.extra == "hat":
            greys["hat"] = 30 if skin > 128 else 215
        shapes = []
        for name, *ends, one, other in FIGURE["head"][self.view]:
            if name in greys:
                start, end = (self.point("head", *end) for end in (ends[:2], ends[2:]))
                part = 0 if name == "eye" else 1
                shapes.append(self.capsule(part, (start, end), (one, other), greys[name]))
        return shapes

    def shapes(self) -> dict[int, list[Shape]]:
        """Return all outlines in drawing order, for each value of `ahead`."""
        body = [*self.torso(), *self.head()]
        if self.front:
            legs, arms = ([*part("left", 1), *part("right", 1)] for part in (self.leg, self.arm))
            return {1: [*legs, *body, *arms]}
        orders = {}
        for ahead, (far, near) in ((1, SIDES), (-1, SIDES[::-1])):
            behind = [*self.arm(far, 0.84), *self.leg(far, 0.84)]
            orders[ahead] = [*behind, *self.leg(near, 1), *body, *self.arm(near, 1)]
        return orders


def _fallen(shape: Shape, where: Place, ground: np.ndarray) -> np.ndarray:
    """Return the outline of a shape's shadow; ground: (T,), where the feet stand, in pixels."""
    above = ((ground - 0.5) * 2**SUBPIXEL)[:, None] - shape.outline[..., 1]
    x = shape.outline[..., 0] + where.throw[0] * above
    y = shape.outline[..., 1] + (1 + where.throw[1]) * above
    return np.stack([x, y], axis=-1).astype(np.int32)


def draw_film(
    film: Film, person: Subject, scenario: str, where: Place, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return all frames of a film, (T, HEIGHT, WIDTH) uint8 greys, and the parts seen in them.

    The second array, of the same shape and type, has the number in `PARTS`, from 1, of the part on
    top in each pixel, 0 for none. rng decides the noise.
    """
    total, size = len(film.scene), (WIDTH, HEIGHT)
    figure = _Figure(film, person, scenario, where.light)
    sole = HEIGHT * (0.5 + film.zoom * (GROUND - 0.5) - film.scene.camera[:, 1])
    orders = figure.shapes()
    shadows = [_fallen(shape, where, sole) for shape in orders[1] if shape.part]
    visible = in_view(film.scene).max(axis=0)
    middle = np.array(size) / 2 - 0.5
    moves = middle - film.zoom[:, None] * (middle + MARGIN) - HEIGHT * film.scene.camera
    corners = rng.integers(0, 64, (total, 2))
    frames = np.empty((total, HEIGHT, WIDTH), np.uint8)
    numbers = np.zeros_like(frames)
    for t, frame in enumerate(frames):
        warp = np.column_stack([film.zoom[t] * np.eye(2), moves[t]])
        cv2.warpAffine(where.ground, warp, size, dst=frame)
        if visible[t]:
            dark = np.zeros_like(frame)
            for outline in shadows:
                cv2.fillConvexPoly(dark, outline[t], 255, cv2.LINE_AA, SUBPIXEL)
            light = cv2.convertScaleAbs(cv2.blur(dark, (3, 3)), alpha=-where.shade, beta=255)
            cv2.multiply(frame, light, dst=frame, scale=1 / 255)
            for part, outline, grey in orders[int(figure.ahead[t])]:
                cv2.fillConvexPoly(frame, outline[t], grey, cv2.LINE_AA, SUBPIXEL)
                if part:
                    cv2.fillConvexPoly(numbers[t], outline[t], part, cv2.LINE_8, SUBPIXEL)
        a, b = corners[t]
        cv2.add(frame, where.noise[a : a + HEIGHT, b : b + WIDTH], dst=frame, dtype=cv2.CV_8U)
    return frames, numbers

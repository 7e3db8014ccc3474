"""The ideal observer of `something-mini`: one plain rule per class over the states of a scene.

It sees only what the frames show: where objects and hands are, where the camera points, what
touches what and what is in view. It never sees the label or the time of the event. For frozen,
reversed or otherwise re-ordered frames it says whether the class is still there.

Most rules compare the last frame shown with the first, since most classes are about such a change.
Freezing the middle of a push leaves it a push, because the thing has moved; only hiding its start
or its end removes the class. Two classes need something in between: *colliding* needs a touch after
the things were apart, *pretending to take* a hand that touches and leaves with nothing.
"""

from dataclasses import dataclass

import numpy as np

from vidlib.rendered.observers import checked_orders, verdicts
from vidlib.rendered.scene import TOUCH, Scene

MOVED = 0.13  # half of the least distance that a script moves a thing, in frame heights
PANNED = 0.2  # the same for the camera; sway and drift stay below


@dataclass(frozen=True)
class Shown:
    """N re-orderings of a scene's frames, T frames each: orders is (N, T) int."""

    scene: Scene
    orders: np.ndarray

    def of(self, name: str, value: str) -> np.ndarray:
        """Return a value of a thing in each shown frame, (N, T)."""
        return getattr(self.scene[name], value)[self.orders]

    def place(self, name: str) -> np.ndarray:
        """Return where a thing is in each shown frame, (N, T, 2)."""
        return np.stack([self.of(name, "x"), self.of(name, "y")], axis=-1)

    def in_view(self, name: str) -> np.ndarray:
        """Tell in which shown frames a thing is in view, (N, T) bool."""
        return self.scene.in_view(self.scene[name])[self.orders]


def _change(values: np.ndarray) -> np.ndarray:
    """Return the last frame's values minus the first's; frames are the second axis."""
    return values[:, -1] - values[:, 0]


def _of_one(shown: Shown) -> dict[int, np.ndarray]:
    """Return which classes of a single object are seen."""
    there = shown.in_view("object_a")
    first, last = there[:, 0], there[:, -1]
    right, down = _change(shown.place("object_a")).T
    sideways = first & last & (abs(right) > MOVED) & (abs(right) > abs(down))
    vertical = first & last & (abs(down) > MOVED) & (abs(down) > abs(right))
    return {
        43: vertical & (down > 0),
        45: vertical & (down < 0),
        81: _pretended(shown),
        93: sideways & (right > 0),
        94: sideways & (right < 0),
        # A camera may also lose a thing that is still.
        147: first & ~last & (np.hypot(right, down) > MOVED),
        164: np.cos(_change(shown.of("object_a", "angle"))) < -0.7,
    }


def _pretended(shown: Shown) -> np.ndarray:
    """A hand touches the object and leaves; the object stays in view and does not move."""
    if "hand_a" not in shown.scene:
        return np.zeros(len(shown.orders), bool)
    there = shown.in_view("object_a")
    touches = shown.scene.contacts(shown.scene["hand_a"]) == "object_a"
    unmoved = np.ptp(shown.place("object_a"), axis=1).max(1) < MOVED / 2
    # A hand before or after it turns the object over belongs to another class.
    angle = shown.of("object_a", "angle")
    upright = np.cos(angle - angle[:, :1]).min(1) > 0.9
    left = there[:, -1] & ~shown.in_view("hand_a")[:, -1]
    return (touches[shown.orders] & there).any(1) & left & unmoved & upright


def _of_two(shown: Shown) -> dict[int, np.ndarray]:
    """Return which classes of two objects are seen."""
    gap = shown.place("object_b") - shown.place("object_a")
    passed = (gap[:, 0] * gap[:, -1]).sum(-1) < 0  # they have changed sides
    distance = np.hypot(gap[..., 0], gap[..., 1])
    size = (shown.of("object_a", "size") + shown.of("object_b", "size")) / 2
    apart = np.maximum.accumulate(distance, axis=1) - distance > MOVED  # in an earlier frame
    collided = (apart & (distance - size < TOUCH)).any(1) & ~passed
    grown, neither = _change(distance), ~passed & ~collided
    return {
        36: neither & (grown > MOVED),
        37: neither & (grown < -MOVED),
        38: collided,
        39: passed,
    }


def _of_heap(shown: Shown) -> dict[int, np.ndarray]:
    """Return whether an object is outside the heap first, inside last."""
    way = shown.place("object_a") - shown.place("heap")
    inside = np.hypot(way[..., 0], way[..., 1]) < shown.of("heap", "size") / 4
    return {4: ~inside[:, 0] & inside[:, -1]}


RULES = {  # by the objects and heaps that a scene has
    ("object_a",): _of_one,
    ("object_a", "object_b"): _of_two,
    ("heap", "object_a"): _of_heap,
}


def observe(scene: Scene, orders: np.ndarray | None = None) -> np.ndarray:
    """Return which class each re-ordering of a scene's frames shows: (N,) int64, -1 for none.

    orders: (N, T) int, frame numbers in the order shown; by default one, the frames as they are.
    Raises ValueError for orders that the scene does not have.

    >>> from vidlib.rendered.something.scripts import compose
    >>> scene = compose(93, np.random.default_rng(0))
    >>> observe(scene), observe(scene, np.arange(len(scene))[None, ::-1])  # 94 is its reverse
    (array([93]), array([94]))
    """
    shown = Shown(scene, checked_orders(scene, orders))
    right, down = turned = _change(scene.camera[shown.orders]).T
    furthest = abs(turned).max(0)
    proved = {
        165: (down > PANNED) & (down >= furthest),
        166: (right < -PANNED) & (-right >= furthest),
        167: (right > PANNED) & (right >= furthest),
        168: (down < -PANNED) & (-down >= furthest),
    }
    things = sorted(one.name for one in scene.tracks if one.role in ("object", "heap"))
    if rules := RULES.get(tuple(things)):  # of a camera that does not turn
        proved |= {k: seen & (furthest <= PANNED) for k, seen in rules(shown).items()}
    return verdicts(proved)

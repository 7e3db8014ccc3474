"""The ideal observer of `something-mini`: one plain rule per class over the states of a scene.

It sees only what the frames show: where objects and hands are, where the camera points, what
touches what and what is in view. It never sees the label or the time of the event. For frozen,
reversed or otherwise re-ordered frames it says whether the class is still there.

Most rules compare the last frame shown with the first, since most classes are about such a change.
Freezing the middle of a push leaves it a push, because the thing has moved; only hiding its start
or its end removes the class. Two classes need something in between: *colliding* needs a touch after
the things were apart, *pretending to take* a hand that touches and leaves with nothing.
"""

from collections.abc import Callable
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

    def turned(self) -> np.ndarray:
        """Return how far the camera has turned from first to last, (N, 2): right, down."""
        return _change(self.scene.camera[self.orders])

    def gap(self) -> np.ndarray:
        """Return the way from the first object to the second, (N, T, 2)."""
        return self.place("object_b") - self.place("object_a")


Rule = Callable[[Shown], np.ndarray]  # returns (N,) bool


def _change(values: np.ndarray) -> np.ndarray:
    """Return the last frame's values minus the first's; frames are the second axis."""
    return values[:, -1] - values[:, 0]


def _about(things: str, rule: Rule) -> Rule:
    """Require exactly these objects and heaps, and a camera that does not turn."""

    def whole(shown: Shown) -> np.ndarray:
        found = {one.name for one in shown.scene.tracks if one.role in ("object", "heap")}
        if found != set(things.split()):
            return np.zeros(len(shown.orders), bool)
        return rule(shown) & (abs(shown.turned()).max(1) <= PANNED)

    return whole


def _pan(axis: int, sign: int) -> Rule:
    def rule(shown: Shown) -> np.ndarray:
        turned = shown.turned()
        return (sign * turned[:, axis] > PANNED) & (abs(turned[:, axis]) >= abs(turned).max(1))

    return rule


def _moves(axis: int, sign: int) -> Rule:
    """In view in the first and last frame, and moved along the axis more than across it."""

    def rule(shown: Shown) -> np.ndarray:
        moved, there = _change(shown.place("object_a")), shown.in_view("object_a")
        along = sign * moved[:, axis]
        further = (along > MOVED) & (along > abs(moved[:, 1 - axis]))
        return further & there[:, 0] & there[:, -1]

    return _about("object_a", rule)


def _turned(shown: Shown) -> np.ndarray:
    """Upside down at the end, compared with the start."""
    return np.cos(_change(shown.of("object_a", "angle"))) < -0.7


def _taken(shown: Shown) -> np.ndarray:
    """In view first, out of view last, and moved: a camera may also lose a thing that is still."""
    there = shown.in_view("object_a")
    moved = np.hypot(*_change(shown.place("object_a")).T) > MOVED
    return there[:, 0] & ~there[:, -1] & moved


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


def _buried(shown: Shown) -> np.ndarray:
    """Outside the heap first, inside last."""
    away = np.hypot(*np.moveaxis(shown.place("object_a") - shown.place("heap"), -1, 0))
    inside = away < shown.of("heap", "size") / 4
    return ~inside[:, 0] & inside[:, -1]


def _passed(shown: Shown) -> np.ndarray:
    """The objects have changed sides."""
    gap = shown.gap()
    return (gap[:, 0] * gap[:, -1]).sum(-1) < 0


def _distance(shown: Shown) -> np.ndarray:
    return np.hypot(*np.moveaxis(shown.gap(), -1, 0))


def _collided(shown: Shown) -> np.ndarray:
    """The objects touch in some frame after being further apart in an earlier one."""
    distance = _distance(shown)
    size = (shown.of("object_a", "size") + shown.of("object_b", "size")) / 2
    apart = np.maximum.accumulate(distance, axis=1) - distance > MOVED
    return (apart & (distance - size < TOUCH)).any(1) & ~_passed(shown)


def _separates(sign: int) -> Rule:
    """The distance grows, or with sign -1 shrinks, and the objects neither pass nor collide."""

    def rule(shown: Shown) -> np.ndarray:
        changed = sign * _change(_distance(shown)) > MOVED
        return changed & ~_passed(shown) & ~_collided(shown)

    return rule


_TWO = "object_a object_b"
RULES: dict[int, Rule] = {
    4: _about("object_a heap", _buried),
    36: _about(_TWO, _separates(1)),
    37: _about(_TWO, _separates(-1)),
    38: _about(_TWO, _collided),
    39: _about(_TWO, _passed),
    43: _moves(1, 1),
    45: _moves(1, -1),
    81: _about("object_a", _pretended),
    93: _moves(0, 1),
    94: _moves(0, -1),
    147: _about("object_a", _taken),
    164: _about("object_a", _turned),
    165: _pan(1, 1),
    166: _pan(0, -1),
    167: _pan(0, 1),
    168: _pan(1, -1),
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
    return verdicts({label: rule(shown) for label, rule in RULES.items()})

"""The ideal observer of `something-mini`: a plain rule per class over sequences of scene states.

It sees what is shown, frame by frame: where objects and hands are, where the camera points, what
touches what and what is in view; never the label, nor when the event is. Applied to a scene whose
frames are frozen, reversed or otherwise re-ordered, it says whether the class is still there.

Most classes say how things stand afterwards against before, and so do their rules: first frame
shown against last. Freezing the middle of a push leaves it a push, since the thing has moved; what
removes it must hide where it ended, or where it began. Two classes live on something in between:
*colliding* needs a touch after the things were apart, *pretending to take* a hand that touches and
leaves with nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vidlib.rendered.observers import checked_orders, verdicts
from vidlib.rendered.scene import TOUCH, Scene

MOVED = 0.13  # half of the least that a script moves a thing, in frame heights
PANNED = 0.2  # the same of the camera; swaying and drifting stay below


class Shown(NamedTuple):
    """What is shown of a scene, (N, T) each: N re-orderings of its frames, T frames."""

    scene: Scene
    orders: np.ndarray

    def of(self, name: str, value: str) -> np.ndarray:
        """Return a value of a thing in each shown frame."""
        return getattr(self.scene[name], value)[self.orders]

    def change(self, name: str, value: str) -> np.ndarray:
        """Return how a value of a thing differs from first to last, (N,)."""
        values = self.of(name, value)
        return values[:, -1] - values[:, 0]

    def camera(self, axis: int) -> np.ndarray:
        """Return how far the camera has turned from first to last, (N,); positive: right, down."""
        position = self.scene.camera[:, axis][self.orders]
        return position[:, -1] - position[:, 0]

    def in_view(self, name: str) -> np.ndarray:
        """Tell in which shown frames a thing is in view."""
        return self.scene.in_view(self.scene[name])[self.orders]

    def touches(self, one: str, other: str) -> np.ndarray:
        """Tell in which shown frames a thing touches another one."""
        return (self.scene.contacts(self.scene[one]) == other)[self.orders]

    def count(self) -> int:
        """Return how many objects there are to act on."""
        return sum(track.role == "object" for track in self.scene.tracks)

    def gap(self) -> np.ndarray:
        """Return from the first object to the second, (N, T, 2)."""
        x = self.of("object_b", "x") - self.of("object_a", "x")
        return np.stack([x, self.of("object_b", "y") - self.of("object_a", "y")], axis=-1)


def _pan(axis: int, sign: int) -> Callable[[Shown], np.ndarray]:
    def rule(shown: Shown) -> np.ndarray:
        turned = np.stack([shown.camera(0), shown.camera(1)])
        return (sign * turned[axis] > PANNED) & (abs(turned[axis]) >= abs(turned).max(0))

    return rule


def _still(shown: Shown) -> np.ndarray:
    """Tell where the camera has not turned."""
    return np.maximum(abs(shown.camera(0)), abs(shown.camera(1))) <= PANNED


def _one_object(rule: Callable[[Shown], np.ndarray]) -> Callable[[Shown], np.ndarray]:
    """Make a rule that asks for one object to act on, no heap, and a camera that does not turn."""

    def whole(shown: Shown) -> np.ndarray:
        if shown.count() != 1 or "heap" in shown.scene:
            return np.zeros(len(shown.orders), bool)
        return rule(shown) & _still(shown)

    return whole


def _two_objects(rule: Callable[[Shown], np.ndarray]) -> Callable[[Shown], np.ndarray]:
    """Make a rule that asks for two objects to act on, and a camera that does not turn."""

    def whole(shown: Shown) -> np.ndarray:
        if shown.count() != 2:
            return np.zeros(len(shown.orders), bool)
        return rule(shown) & _still(shown)

    return whole


def _moves(value: str, sign: int) -> Callable[[Shown], np.ndarray]:
    """In view at first and at last, and then farther along, more than across."""

    def rule(shown: Shown) -> np.ndarray:
        along = sign * shown.change("object_a", value)
        across = abs(shown.change("object_a", "y" if value == "x" else "x"))
        there = shown.in_view("object_a")
        return (along > MOVED) & (along > across) & there[:, 0] & there[:, -1]

    return _one_object(rule)


def _turned(shown: Shown) -> np.ndarray:
    """Ends upside down against how it began."""
    return np.cos(shown.change("object_a", "angle")) < -0.7


def _taken(shown: Shown) -> np.ndarray:
    """There at first, gone at last; and it has moved: the camera may lose what lies still."""
    there = shown.in_view("object_a")
    moved = np.hypot(shown.change("object_a", "x"), shown.change("object_a", "y")) > MOVED
    return there[:, 0] & ~there[:, -1] & moved


def _pretended(shown: Shown) -> np.ndarray:
    """A hand touches the object and is gone at last; the object is there and has not moved."""
    if "hand_a" not in shown.scene:
        return np.zeros(len(shown.orders), bool)
    there = shown.in_view("object_a")
    touched = shown.touches("hand_a", "object_a") & there
    x, y = shown.of("object_a", "x"), shown.of("object_a", "y")
    unmoved = np.maximum(np.ptp(x, axis=1), np.ptp(y, axis=1)) < MOVED / 2
    # A hand that has turned the thing over, or not yet, is about something else.
    upright = np.cos(shown.of("object_a", "angle") - shown.of("object_a", "angle")[:, :1])
    left = there[:, -1] & ~shown.in_view("hand_a")[:, -1]
    return touched.any(1) & left & unmoved & (upright.min(1) > 0.9)


def _buried(shown: Shown) -> np.ndarray:
    """Outside the heap at first, inside at last."""
    if "heap" not in shown.scene:
        return np.zeros(len(shown.orders), bool)
    x = shown.of("object_a", "x") - shown.of("heap", "x")
    y = shown.of("object_a", "y") - shown.of("heap", "y")
    inside = np.hypot(x, y) < shown.of("heap", "size") / 4
    return ~inside[:, 0] & inside[:, -1] & _still(shown)


def _passed(shown: Shown) -> np.ndarray:
    """On the other side of each other at last."""
    gap = shown.gap()
    return (gap[:, 0] * gap[:, -1]).sum(-1) < 0


def _collided(shown: Shown) -> np.ndarray:
    """They touch in some frame, having been apart in one before."""
    distance = np.hypot(*np.moveaxis(shown.gap(), -1, 0))
    size = (shown.of("object_a", "size") + shown.of("object_b", "size")) / 2
    apart = np.maximum.accumulate(distance, axis=1) - distance > MOVED
    return (apart & (distance - size < TOUCH)).any(1) & ~_passed(shown)


def _distance_change(shown: Shown) -> np.ndarray:
    distance = np.hypot(*np.moveaxis(shown.gap(), -1, 0))
    return distance[:, -1] - distance[:, 0]


def _parted(shown: Shown) -> np.ndarray:
    """Farther from each other at last than at first."""
    return (_distance_change(shown) > MOVED) & ~_passed(shown) & ~_collided(shown)


def _closer(shown: Shown) -> np.ndarray:
    """Nearer to each other at last than at first, without having touched."""
    return (_distance_change(shown) < -MOVED) & ~_passed(shown) & ~_collided(shown)


RULES: dict[int, Callable[[Shown], np.ndarray]] = {
    4: _buried,
    36: _two_objects(_parted),
    37: _two_objects(_closer),
    38: _two_objects(_collided),
    39: _two_objects(_passed),
    43: _moves("y", 1),
    45: _moves("y", -1),
    81: _one_object(_pretended),
    93: _moves("x", 1),
    94: _moves("x", -1),
    147: _one_object(_taken),
    164: _one_object(_turned),
    165: _pan(1, 1),
    166: _pan(0, -1),
    167: _pan(0, 1),
    168: _pan(1, -1),
}


def observe(scene: Scene, orders: np.ndarray | None = None) -> np.ndarray:
    """Return which class each re-ordering of a scene's frames shows: (N,) int64, -1 for none.

    orders: (N, T) int, numbers of frames of the scene in the order in which they are shown; by
    default one, the frames as they are. ValueError for orders that are none of this scene.
    """
    shown = Shown(scene, checked_orders(scene, orders))
    return verdicts({label: rule(shown) for label, rule in RULES.items()})

"""What happens in the clips of `something-mini`: a script per class, which fills a `Shot`.

Classes that differ only in direction (up/down, left/right, closer/away) play the *same* script
forwards or backwards, so that their single frames have the same distribution: a network that
separates them has used the order of the frames.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from vidlib.rendered.scene import Scene, smooth
from vidlib.rendered.something.shot import BLEND, OUT, Shot

FRAMES = (24, 72)  # shortest and longest clip
DURATION = (0.22, 0.5)  # shortest and longest event, as shares of a clip
EARLIEST = 0.14  # least share of a clip before an event, and after it: time has no arrow


def _two_objects(shot: Shot, gap, size: float, *, offset: float = 0.0) -> None:
    """Two hands move two objects along one line.

    gap: between the objects, (T,). offset: the distance at which they pass; 0 if they do not.
    """
    tilt = shot.uniform(-0.35, 0.35)
    x0, y0 = shot.uniform(0.44, 0.56), shot.uniform(0.4, 0.6)
    side = shot.rng.choice([-1, 1])
    along, across = (np.cos(tilt), np.sin(tilt)), (-np.sin(tilt), np.cos(tilt))
    for name, sign in (("a", -side), ("b", side)):
        x = x0 + sign * (gap / 2 * along[0] + offset / 2 * across[0])
        y = y0 + sign * (gap / 2 * along[1] + offset / 2 * across[1])
        shot.add_object(f"object_{name}", x, y, size)
        # An arm from the object's own side when they pass, or the arms would hide the passing.
        upright = -np.pi / 2 if offset and sign < 0 else np.pi / 2
        lean = 0.0 if offset else -0.7 * sign
        shot.add_hand(f"hand_{name}", x, y, arm=upright + lean + shot.uniform(-0.25, 0.25))


def _away(shot: Shot) -> None:
    near, far = shot.uniform(0.25, 0.31), shot.uniform(0.57, 0.72)
    _two_objects(shot, near + (far - near) * shot.progress, shot.uniform(0.16, 0.2))


def _collide(shot: Shot) -> None:
    """Faster and faster until they touch; a moment together; then both spring back a little."""
    size = shot.uniform(0.16, 0.2)
    far, touch, rest = shot.uniform(0.57, 0.72), 0.85 * size, size + shot.uniform(0.05, 0.08)
    meet = shot.start + 0.45 * (shot.stop - shot.start)
    part = meet + 0.07  # the longest gap between sixteen sampled frames
    into = np.clip((shot.clock - shot.start) / (meet - shot.start), 0, 1) ** 1.6
    back = smooth((shot.clock - part) / (shot.stop - part))
    _two_objects(shot, far + (touch - far) * into + (rest - touch) * back, size)


def _pass(shot: Shot) -> None:
    reach, size = shot.uniform(0.5, 0.68), shot.uniform(0.16, 0.2)
    offset = size + shot.uniform(0.04, 0.08)
    _two_objects(shot, reach * (1 - 2 * shot.progress), size, offset=offset)


def _up(shot: Shot) -> None:
    low, high = shot.uniform(0.66, 0.8), shot.uniform(0.2, 0.36)
    y = low + (high - low) * shot.progress
    x = shot.uniform(0.3, 0.7) + shot.uniform(-0.06, 0.06) * shot.progress
    shot.add_object("object_a", x, y)
    shot.add_hand("hand_a", x, y, arm=shot.arm())


def _push_right(shot: Shot) -> None:
    left, right = shot.uniform(0.16, 0.34), shot.uniform(0.66, 0.84)
    x = left + (right - left) * shot.progress
    y = shot.uniform(0.35, 0.72) + shot.uniform(-0.05, 0.05) * shot.progress
    shot.add_object("object_a", x, y)
    # On top of the object and from below: a hand behind it would give the direction away.
    shot.add_hand("hand_a", x, y, arm=shot.arm(spread=0.6))


def _take(shot: Shot, *, pretend: bool) -> None:
    """A hand reaches in, closes on the object and leaves, with the object or without."""
    x0, y0 = shot.uniform(0.32, 0.68), shot.uniform(0.3, 0.6)
    arm = shot.arm(spread=0.7)
    out = OUT * shot.progress
    moved = 0.0 if pretend else out
    shot.add_object("object_a", x0 + moved * np.cos(arm), y0 + moved * np.sin(arm))
    sets_out, there = max(0.0, shot.start - 2 * BLEND), shot.start - 0.5 * BLEND
    reach = OUT * (1 - smooth((shot.clock - sets_out) / (there - sets_out)))
    away = np.where(shot.clock < shot.start, reach, out)
    x, y = x0 + away * np.cos(arm), y0 + away * np.sin(arm)
    grip = smooth((shot.clock - shot.start + BLEND / 2) / (BLEND / 2))
    shot.add("hand_a", "hand", x, y, 0.24, arm, grip)


def _bury(shot: Shot) -> None:
    """Over the heap first, then down into it; the heap closes over the object."""
    heap_x, heap_y, heap = shot.uniform(0.3, 0.7), shot.uniform(0.66, 0.74), 0.46
    side = 1 if heap_x < 0.5 else -1  # where there is room beside it
    x0, y0 = heap_x + side * shot.uniform(0.28, 0.36), shot.uniform(0.26, 0.36)
    middle = 0.5 * (shot.start + shot.stop)
    over = smooth((shot.clock - shot.start) / (middle - shot.start))
    down = smooth((shot.clock - middle) / (shot.stop - middle))
    above = heap_y - 0.3
    x = x0 + (heap_x - x0) * over
    y = y0 + (above - y0) * over + (heap_y + 0.05 - above) * down
    shot.add_object("object_a", x, y, shot.uniform(0.15, 0.19))
    shot.add_hand("hand_a", x, np.minimum(y, heap_y - 0.06), arm=shot.arm(-np.pi / 2, 0.7))
    shot.add("heap", "heap", heap_x, heap_y, heap * (1 + 0.12 * down))


def _turn_over(shot: Shot) -> None:
    x, y = shot.uniform(0.35, 0.65), shot.uniform(0.35, 0.6)
    turn = shot.rng.choice([-1, 1]) * np.pi * shot.progress
    angle = shot.uniform(-0.3, 0.3) + turn
    shot.add_object("object_a", x, y, shot.uniform(0.26, 0.34), angle)
    shot.add_hand("hand_a", x, y, arm=shot.arm(shot.rng.choice([0.0, np.pi]), 0.4))


def _film(shot: Shot) -> None:
    """Only the camera decides: it turns."""
    shot.add_object("object_a", shot.uniform(0.3, 0.7), shot.uniform(0.3, 0.7))
    if shot.rng.random() < 0.3:
        x, y = shot.uniform(0.25, 0.75), shot.uniform(0.3, 0.7)
        shot.add_hand("hand_a", x, y, arm=shot.arm())


@dataclass(frozen=True)
class Class:
    """One of the classes: its official number and words, its script and how to play it.

    pan: the direction in which the camera turns, as (x, y), if it does. backwards: whether the
    script is played in reverse.
    """

    number: int
    template: str
    script: Callable[[Shot], None]
    backwards: bool = False
    pan: tuple[int, int] = (0, 0)


_CLASSES = (
    Class(4, "Burying [something] in [something]", _bury),
    Class(36, "Moving [something] and [something] away from each other", _away),
    Class(37, "Moving [something] and [something] closer to each other", _away, True),
    Class(38, "Moving [something] and [something] so they collide with each other", _collide),
    Class(39, "Moving [something] and [something] so they pass each other", _pass),
    Class(43, "Moving [something] down", _up, True),
    Class(45, "Moving [something] up", _up),
    Class(81, "Pretending to take [something] from [somewhere]", partial(_take, pretend=True)),
    Class(93, "Pushing [something] from left to right", _push_right),
    Class(94, "Pushing [something] from right to left", _push_right, True),
    Class(147, "Taking [something] from [somewhere]", partial(_take, pretend=False)),
    Class(164, "Turning [something] upside down", _turn_over),
    Class(165, "Turning the camera downwards while filming [something]", _film, pan=(0, 1)),
    Class(166, "Turning the camera left while filming [something]", _film, True, pan=(1, 0)),
    Class(167, "Turning the camera right while filming [something]", _film, pan=(1, 0)),
    Class(168, "Turning the camera upwards while filming [something]", _film, True, pan=(0, 1)),
)
CLASSES = {one.number: one for one in _CLASSES}


def compose(label: int, rng: np.random.Generator) -> Scene:
    """Return a random scene of a class, numbered as in `CLASSES`."""
    kind = CLASSES[label]
    frames = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    duration = float(rng.uniform(*DURATION))
    start = float(rng.uniform(EARLIEST, 1 - EARLIEST - duration))
    shot = Shot(rng, frames, start, start + duration)
    shot.add_bystanders()
    kind.script(shot)
    shot.add_distractors()
    first, last = round(shot.start * (frames - 1)), round(shot.stop * (frames - 1))
    scene = Scene(label, shot.tracks, shot.camera(kind.pan), (first, last + 1))
    return scene.reversed(label) if kind.backwards else scene

"""What happens in a rendered clip: for each class, the scene state of every frame.

A scene is a set of tracks over the frames of a clip. Positions are in units of the frame's side,
x to the right and y downwards, (0, 0) the top left corner; sizes are diameters in the same unit;
angles are in radians, clockwise as seen. Nothing is drawn here: `vidlib.data.draw` does that.

Classes that only direction tells apart (up/down, left/right, closer/away) are made by playing the
*same* script backwards, so that their single frames are identically distributed: a network that
separates them has used the order of the frames.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

FRAMES = (24, 72)  # shortest and longest clip
BLEND = 0.12  # share of a clip in which a hand enters or leaves


@dataclass
class Track:
    """One thing over T frames; every array has shape (T,), float64.

    role: "object" (acts or is acted on), "hand", "heap", "bystander" (still, decides nothing) or
    "distractor" (moves, decides nothing). x, y: centre (of a hand: where it grips). size: diameter.
    angle: of an object, its turn; of a hand, the direction its arm comes from. grip: 0 an open
    hand, 1 a closed one; 0 for everything else.
    """

    name: str
    role: str
    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    angle: np.ndarray
    grip: np.ndarray


@dataclass
class Scene:
    """The state of every frame of one clip.

    camera: (T, 2), where the camera's centre has moved to, in frame sides; things appear at their
    position minus this. event: first frame of the deciding motion and the one after its last.
    """

    label: int
    tracks: list[Track]
    camera: np.ndarray
    event: tuple[int, int]

    def __len__(self) -> int:
        """Return the number of frames, T."""
        return len(self.camera)

    def __getitem__(self, name: str) -> Track:
        """Return the track of that name."""
        return next(track for track in self.tracks if track.name == name)

    def reversed(self, label: int) -> "Scene":
        """Return the scene played backwards, as an example of another class."""
        tracks = [
            Track(t.name, t.role, *(v[::-1] for v in (t.x, t.y, t.size, t.angle, t.grip)))
            for t in self.tracks
        ]
        start, stop = self.event
        event = (len(self) - stop, len(self) - start)
        return Scene(label, tracks, self.camera[::-1], event)

    def states(self) -> pd.DataFrame:
        """Return the truth as a table: a row per frame and track.

        Columns: frame, name, role, x, y, size, angle, grip, visible. x and y are as seen, the
        camera's motion subtracted; visible tells whether the centre is inside the frame.
        """
        parts = []
        for track in self.tracks:
            x, y = track.x - self.camera[:, 0], track.y - self.camera[:, 1]
            columns = {
                "frame": np.arange(len(self)),
                "name": track.name,
                "role": track.role,
                "x": x,
                "y": y,
                "size": track.size,
                "angle": track.angle,
                "grip": track.grip,
                "visible": (x > 0) & (x < 1) & (y > 0) & (y < 1),
            }
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)


def smooth(values: np.ndarray) -> np.ndarray:
    """Return the smoothstep of values clipped to [0, 1]: still at both ends."""
    u = np.clip(values, 0.0, 1.0)
    return u * u * (3 - 2 * u)


@dataclass
class Stage:
    """A clip being composed: its clock, its random numbers and what is on the table so far."""

    rng: np.random.Generator
    frames: int
    start: float  # of the event, as a share of the clip
    stop: float
    tracks: list[Track] = field(default_factory=list)

    @property
    def clock(self) -> np.ndarray:
        """Time of every frame in [0, 1]."""
        return np.linspace(0.0, 1.0, self.frames)

    @property
    def progress(self) -> np.ndarray:
        """How far the event is at every frame: 0 before, 1 after."""
        return smooth((self.clock - self.start) / (self.stop - self.start))

    def uniform(self, low: float, high: float) -> float:
        """Draw a number."""
        return float(self.rng.uniform(low, high))

    def add(self, name, role, x, y, size, angle=0.0, grip=0.0) -> Track:
        """Put a thing on the table; numbers stand for things that stay as they are."""
        values = [np.broadcast_to(np.asarray(v, float), self.frames) for v in (x, y, size)]
        values += [np.broadcast_to(np.asarray(v, float), self.frames) for v in (angle, grip)]
        track = Track(name, role, *(v.copy() for v in values))
        self.tracks.append(track)
        return track

    def add_object(self, name: str, x, y, size: float | None = None, angle=None) -> Track:
        """Put an acting object on the table, of a size and a turn of its own."""
        size = self.uniform(0.17, 0.25) if size is None else size
        angle = self.uniform(-0.3, 0.3) if angle is None else angle
        return self.add(name, "object", x, y, size, angle)

    def add_hand(self, name: str, x, y, *, arm: float, held=None) -> Track:
        """Let a hand come in, be at x, y during the event and leave the way it came.

        arm is the direction the arm comes from. held: when the hand is closed, as shares of the
        clip (default: the event).
        """
        away_before = 1 - smooth((self.clock - (self.start - BLEND)) / BLEND)
        away_after = smooth((self.clock - self.stop) / BLEND)
        away = 1.3 * np.maximum(away_before, away_after)
        begin, end = held or (self.start, self.stop)
        half = BLEND / 2
        grip = smooth((self.clock - begin + half) / half) * smooth((end + half - self.clock) / half)
        x, y = np.asarray(x) + away * np.cos(arm), np.asarray(y) + away * np.sin(arm)
        return self.add(name, "hand", x, y, 0.24, arm, grip)


def _arm(stage: Stage, towards: float = np.pi / 2, spread: float = 0.8) -> float:
    """Direction an arm comes from: by default from below, as one's own arms do."""
    return towards + stage.uniform(-spread, spread)


def _two_objects(stage: Stage, gap, *, offset: float = 0.0, cross: bool = False) -> None:
    """Two hands move two objects along one line, gap apart (in frame sides) at every frame."""
    size = stage.uniform(0.16, 0.2)
    tilt = stage.uniform(-0.35, 0.35)
    x0, y0 = stage.uniform(0.44, 0.56), stage.uniform(0.4, 0.6)
    side = stage.rng.choice([-1, 1])
    along, across = (np.cos(tilt), np.sin(tilt)), (-np.sin(tilt), np.cos(tilt))
    for name, sign in (("a", -side), ("b", side)):
        x = x0 + sign * (gap / 2 * along[0] + offset / 2 * across[0])
        y = y0 + sign * (gap / 2 * along[1] + offset / 2 * across[1])
        stage.add_object(f"object_{name}", x, y, size)
        # An arm from the object's own side when they pass, or the arms would hide the passing.
        outward = np.pi / 2 if not cross else (np.pi / 2 if sign * offset > 0 else -np.pi / 2)
        lean = 0.0 if cross else -0.7 * sign
        arm = outward + lean + stage.uniform(-0.25, 0.25)
        stage.add_hand(f"hand_{name}", x, y, arm=arm)


def _away(stage: Stage) -> None:
    near, far = stage.uniform(0.24, 0.3), stage.uniform(0.56, 0.72)
    _two_objects(stage, near + (far - near) * stage.progress)


def _collide(stage: Stage) -> None:
    """Fast until they touch, then both spring back a little: the touch is the middle."""
    far, touch, rest = stage.uniform(0.56, 0.72), 0.14, stage.uniform(0.2, 0.26)
    meet = stage.start + 0.7 * (stage.stop - stage.start)
    into = np.clip((stage.clock - stage.start) / (meet - stage.start), 0, 1) ** 1.6
    back = smooth((stage.clock - meet) / (stage.stop - meet))
    _two_objects(stage, far + (touch - far) * into + (rest - touch) * back)


def _pass(stage: Stage) -> None:
    reach = stage.uniform(0.5, 0.68)
    offset = stage.uniform(0.2, 0.26)
    _two_objects(stage, reach * (1 - 2 * stage.progress), offset=offset, cross=True)


def _up(stage: Stage) -> None:
    low, high = stage.uniform(0.66, 0.8), stage.uniform(0.2, 0.38)
    y = low + (high - low) * stage.progress
    x = stage.uniform(0.3, 0.7) + stage.uniform(-0.06, 0.06) * stage.progress
    stage.add_object("object_a", x, y)
    stage.add_hand("hand_a", x, y, arm=_arm(stage))


def _push_right(stage: Stage) -> None:
    left, right = stage.uniform(0.16, 0.34), stage.uniform(0.66, 0.84)
    x = left + (right - left) * stage.progress
    y = stage.uniform(0.35, 0.72) + stage.uniform(-0.05, 0.05) * stage.progress
    stage.add_object("object_a", x, y)
    # On top of the object and from below: a hand behind it would give the direction away.
    stage.add_hand("hand_a", x, y, arm=_arm(stage, spread=0.6))


def _take(stage: Stage, *, pretend: bool) -> None:
    """A hand reaches in, closes on the object and leaves, with the object or without."""
    x0, y0 = stage.uniform(0.32, 0.68), stage.uniform(0.3, 0.6)
    arm = _arm(stage, spread=0.7)
    out = 1.3 * stage.progress * (stage.clock >= stage.start)
    moved = 0.0 if pretend else out
    stage.add_object("object_a", x0 + moved * np.cos(arm), y0 + moved * np.sin(arm))
    reach = 1.3 * (1 - smooth((stage.clock - (stage.start - 2 * BLEND)) / (1.5 * BLEND)))
    away = np.where(stage.clock < stage.start, reach, out)
    x, y = x0 + away * np.cos(arm), y0 + away * np.sin(arm)
    grip = smooth((stage.clock - stage.start + BLEND / 2) / (BLEND / 2))
    stage.add("hand_a", "hand", x, y, 0.24, arm, grip)


def _bury(stage: Stage) -> None:
    """Over the heap first, then down into it; the heap closes over the object."""
    heap_x, heap_y, heap = stage.uniform(0.3, 0.7), stage.uniform(0.66, 0.74), 0.46
    side = stage.rng.choice([-1, 1])
    x0, y0 = heap_x + side * stage.uniform(0.28, 0.36), stage.uniform(0.26, 0.36)
    middle = 0.5 * (stage.start + stage.stop)
    over = smooth((stage.clock - stage.start) / (middle - stage.start))
    down = smooth((stage.clock - middle) / (stage.stop - middle))
    above = heap_y - 0.3
    x = x0 + (heap_x - x0) * over
    y = y0 + (above - y0) * over + (heap_y + 0.05 - above) * down
    stage.add_object("object_a", x, y, stage.uniform(0.15, 0.19))
    stage.add_hand("hand_a", x, np.minimum(y, heap_y - 0.06), arm=_arm(stage, -np.pi / 2, 0.7))
    stage.add("heap", "heap", heap_x, heap_y, heap * (1 + 0.12 * down))


def _turn_over(stage: Stage) -> None:
    x, y = stage.uniform(0.35, 0.65), stage.uniform(0.35, 0.6)
    turn = stage.rng.choice([-1, 1]) * np.pi * stage.progress
    angle = stage.uniform(-0.3, 0.3) + turn
    stage.add_object("object_a", x, y, stage.uniform(0.26, 0.34), angle)
    stage.add_hand("hand_a", x, y, arm=_arm(stage, stage.rng.choice([0.0, np.pi]), 0.4))


def _camera(stage: Stage) -> None:
    """Nothing on the table decides: the camera's own motion is added by `compose`."""
    stage.add_object("object_a", stage.uniform(0.3, 0.7), stage.uniform(0.3, 0.7))
    if stage.rng.random() < 0.3:
        x, y = stage.uniform(0.25, 0.75), stage.uniform(0.3, 0.7)
        stage.add_hand("hand_a", x, y, arm=_arm(stage))


@dataclass(frozen=True)
class Class:
    """One of the classes: its official number and words, its script and how to play it.

    placeholders: how many objects its template names. somewhere: whether the last is a place.
    pan: the direction in which the camera turns, as (x, y), if it does. backwards: whether the
    script is played in reverse.
    """

    number: int
    template: str
    script: Callable[[Stage], None]
    backwards: bool = False
    pan: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """The label's text without brackets, as the label list spells it."""
        return self.template.replace("[", "").replace("]", "")


CLASSES = {
    c.number: c
    for c in (
        Class(4, "Burying [something] in [something]", _bury),
        Class(36, "Moving [something] and [something] away from each other", _away),
        Class(37, "Moving [something] and [something] closer to each other", _away, True),
        Class(38, "Moving [something] and [something] so they collide with each other", _collide),
        Class(39, "Moving [something] and [something] so they pass each other", _pass),
        Class(43, "Moving [something] down", _up, True),
        Class(45, "Moving [something] up", _up),
        Class(
            81,
            "Pretending to take [something] from [somewhere]",
            lambda stage: _take(stage, pretend=True),
        ),
        Class(93, "Pushing [something] from left to right", _push_right),
        Class(94, "Pushing [something] from right to left", _push_right, True),
        Class(147, "Taking [something] from [somewhere]", lambda s: _take(s, pretend=False)),
        Class(164, "Turning [something] upside down", _turn_over),
        Class(165, "Turning the camera downwards while filming [something]", _camera, pan=(0, 1)),
        Class(166, "Turning the camera left while filming [something]", _camera, True, pan=(1, 0)),
        Class(167, "Turning the camera right while filming [something]", _camera, pan=(1, 0)),
        Class(
            168, "Turning the camera upwards while filming [something]", _camera, True, pan=(0, 1)
        ),
    )
}


def _wander(rng: np.random.Generator, frames: int, amplitude: float) -> np.ndarray:
    """Smooth random motion of a held camera, (T, 2)."""
    knots = rng.normal(0, amplitude, size=(max(3, frames // 6), 2))
    at = np.linspace(0, len(knots) - 1, frames)
    return np.stack([np.interp(at, np.arange(len(knots)), k) for k in knots.T], axis=1)


def _add_bystanders(stage: Stage) -> None:
    for i in range(stage.rng.integers(1, 4)):
        edge, along = stage.rng.integers(4), stage.uniform(0.05, 0.95)
        depth = stage.uniform(0.03, 0.2)
        x, y = [(along, depth), (along, 1 - depth), (depth, along), (1 - depth, along)][edge]
        stage.add(f"bystander_{i}", "bystander", x, y, stage.uniform(0.1, 0.2), stage.uniform(0, 6))


def _add_distractors(stage: Stage) -> None:
    """Small things that roll across in a straight line, at any time, in any direction."""
    for i in range(stage.rng.integers(0, 3)):
        heading, speed = stage.uniform(0, 2 * np.pi), stage.uniform(0.4, 1.4)
        moment = stage.uniform(0, 1)
        x0, y0 = stage.uniform(0.1, 0.9), stage.uniform(0.1, 0.9)
        way = speed * (stage.clock - moment) * 1.2
        x, y = x0 + way * np.cos(heading), y0 + way * np.sin(heading)
        size = stage.uniform(0.07, 0.12)
        stage.add(f"distractor_{i}", "distractor", x, y, size, 2 * way / size)


def compose(label: int, rng: np.random.Generator) -> Scene:
    """Return a random scene of a class, numbered as in `CLASSES`."""
    kind = CLASSES[label]
    frames = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    start = float(rng.uniform(0.18, 0.42))
    stage = Stage(rng, frames, start, start + float(rng.uniform(0.3, 0.44)))
    _add_bystanders(stage)
    kind.script(stage)
    _add_distractors(stage)
    camera = _wander(rng, frames, 0.012)
    drift = rng.normal(0, 0.03, size=2) * np.linspace(-1, 1, frames)[:, None]
    if kind.pan != (0, 0):
        drift = stage.uniform(0.4, 0.7) * (stage.progress[:, None] - 0.5) * np.array(kind.pan)
    first, last = round(stage.start * (frames - 1)), round(stage.stop * (frames - 1))
    scene = Scene(label, stage.tracks, camera + drift, (first, last + 1))
    return scene.reversed(label) if kind.backwards else scene

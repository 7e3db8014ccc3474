"""The state of every frame of a rendered clip: the truth about it is read from this.

A scene is a set of tracks over the frames of a clip. Positions and sizes are in units of the
frame's *height*, x to the right and y downwards, (0, 0) the top left corner, so that x runs to
`aspect`; angles are in radians, clockwise as seen.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

ACTING = ("object", "hand", "heap", "joint", "marker")  # roles that may decide; the rest do not
DISTRACTING = ("bystander", "distractor")
ROLES = ACTING + DISTRACTING
TOUCH = 0.03  # gap below which two things touch


@dataclass
class Track:
    """One thing over T frames; every array has shape (T,), float64.

    role: "object" (acts or is acted on), "hand", "heap", "joint" (of a figure), "marker",
    "bystander" (still, decides nothing) or "distractor" (moves, decides nothing). x, y: centre (of
    a hand: where it grips). size: diameter. angle: of an object, its turn; of a hand, the direction
    its arm comes from. grip: 0 an open hand, 1 a closed one; 0 for everything else. shown: 1 while
    the thing exists, else 0 (a marker before it appears).
    """

    name: str
    role: str
    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    angle: np.ndarray
    grip: np.ndarray
    shown: np.ndarray


VALUES = ("x", "y", "size", "angle", "grip", "shown")


def track(name: str, role: str, frames: int, x, y, size, angle=0.0, grip=0.0, shown=1.0) -> Track:
    """Return a track of that many frames; a number as a value stays constant.

    >>> track("cup", "object", 3, [0.1, 0.2, 0.3], 0.5, size=0.2).y.tolist()
    [0.5, 0.5, 0.5]
    """
    values = (x, y, size, angle, grip, shown)
    return Track(name, role, *(np.broadcast_to(np.asarray(v, float), frames) for v in values))


@dataclass
class Scene:
    """The state of every frame of one clip.

    camera: (T, 2), how far the camera's centre has moved; things appear at their position minus
    this. event: first frame of the deciding motion and the one after its last. phase: (T,) of a
    cyclic action, in [0, 1), NaN where there is none. aspect: width of the frame over its height.
    """

    label: int
    tracks: list[Track]
    camera: np.ndarray
    event: tuple[int, int]
    phase: np.ndarray = None  # type: ignore[assignment]  # becomes NaN
    aspect: float = 1.0

    def __post_init__(self):
        """Fill in NaN where no phase is given."""
        if self.phase is None:
            self.phase = np.full(len(self.camera), np.nan)

    def __len__(self) -> int:
        """Return the number of frames, T."""
        return len(self.camera)

    def __getitem__(self, name: str) -> Track:
        """Return the track of that name; KeyError if there is none."""
        if name not in self:
            raise KeyError(f"no {name!r} in this scene: {', '.join(t.name for t in self.tracks)}")
        return next(one for one in self.tracks if one.name == name)

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a track of that name."""
        return any(one.name == name for one in self.tracks)

    def take(self, order: np.ndarray) -> "Scene":
        """Return the scene whose frame i is frame order[i] of this one; the event is unchanged.

        order: (T',) int, in any order and with repeats, such as a perturbation's.
        """
        tracks = [
            replace(t, **{name: getattr(t, name)[order] for name in VALUES}) for t in self.tracks
        ]
        return replace(self, tracks=tracks, camera=self.camera[order], phase=self.phase[order])

    def reversed(self, label: int) -> "Scene":
        """Return the scene played backwards, as an example of another class."""
        start, stop = self.event
        event = (len(self) - stop, len(self) - start)
        return replace(self.take(np.arange(len(self))[::-1]), label=label, event=event)

    def seen(self, one: Track) -> tuple[np.ndarray, np.ndarray]:
        """Return where a thing appears in the picture: x and y, each (T,)."""
        return one.x - self.camera[:, 0], one.y - self.camera[:, 1]

    def in_view(self, one: Track) -> np.ndarray:
        """Tell in which frames a thing is shown with its centre in the picture: (T,) bool."""
        x, y = self.seen(one)
        return (one.shown > 0) & (x > 0) & (x < self.aspect) & (y > 0) & (y < 1)

    def contacts(self, one: Track) -> np.ndarray:
        """Return the name of the object that a hand or object touches in each frame: (T,) str.

        "" where it touches none. A hand touches the object at the point that it grips.
        """
        names = np.full(len(self), "", dtype=object)
        if one.role not in ("hand", "object"):
            return names
        reach = 0.0 if one.role == "hand" else one.size / 2
        for other in self.tracks:
            if other.role in ("object", "heap") and other.name != one.name:
                gap = np.hypot(one.x - other.x, one.y - other.y) - reach - other.size / 2
                names[(gap < TOUCH) & (names == "")] = other.name
        return names

    def moving(self, slowest: float = 0.002) -> np.ndarray:
        """Tell in which frames the camera or a thing that may decide the class moves: (T,) bool.

        slowest: motion per frame that still counts as rest, as a hand-held camera always moves.
        """
        speed = np.zeros(len(self))
        for one in (one for one in self.tracks if one.role in ACTING):
            step = np.hypot(np.gradient(one.x), np.gradient(one.y))
            step = np.maximum(step, one.size / 2 * np.abs(np.gradient(one.angle)))
            speed = np.maximum(speed, np.where(self.in_view(one), step, 0))
        camera = np.hypot(*np.gradient(self.camera, axis=0).T)
        return (speed > slowest) | (camera > 4 * slowest)

    def cycles(self) -> np.ndarray:
        """Return the frames in which a cycle of the action begins, by its phase: (n,) int."""
        return np.flatnonzero(np.diff(self.phase, prepend=self.phase[0]) < -0.5)


def intervals(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return the runs of True in (T,) flags: first frame and the one after the last.

    >>> intervals(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, int), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def states(*scenes: Scene) -> pd.DataFrame:
    """Return scenes as a table: a row per scene, thing and frame.

    Columns: frame, name, role, those of `Track`, seen_x and seen_y (in the picture), in_view,
    contact (the name of the thing that it touches, or "").

    >>> cup = track("cup", "object", 2, [0.5, 1.5], 0.5, size=0.2)
    >>> table = states(Scene(0, [cup], np.zeros((2, 2)), (0, 2)))
    >>> table[["frame", "x", "in_view"]].to_numpy().tolist()
    [[0, 0.5, True], [1, 1.5, False]]
    """
    parts = [(scene, one) for scene in scenes for one in scene.tracks]
    seen = [scene.seen(one) for scene, one in parts]
    lengths = [len(scene) for scene, _ in parts]
    return pd.DataFrame(
        {
            "frame": np.concatenate([np.arange(length) for length in lengths]),
            "name": np.repeat([one.name for _, one in parts], lengths),
            "role": np.repeat([one.role for _, one in parts], lengths),
            **{name: np.concatenate([getattr(one, name) for _, one in parts]) for name in VALUES},
            "seen_x": np.concatenate([x for x, _ in seen]),
            "seen_y": np.concatenate([y for _, y in seen]),
            "in_view": np.concatenate([scene.in_view(one) for scene, one in parts]),
            "contact": np.concatenate([scene.contacts(one) for scene, one in parts]),
        }
    )


def smooth(values: np.ndarray) -> np.ndarray:
    """Return the smoothstep 3 u^2 - 2 u^3 of values clipped to [0, 1].

    >>> smooth(np.array([-1.0, 0.5, 2.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    u = np.clip(values, 0.0, 1.0)
    return u * u * (3 - 2 * u)

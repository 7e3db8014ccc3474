"""The tools of the scripts of `something-mini`: a clock, objects, hands, distractors."""

from dataclasses import dataclass, field

import numpy as np

from vidlib.rendered.scene import Track, smooth, track

BLEND = 0.12  # share of a clip in which a hand enters or leaves
OUT = 1.3  # distance of a hand that is out of view, in frame heights


@dataclass
class Shot:
    """A clip while it is composed: its clock, its random numbers and the tracks so far.

    start and stop of the event are shares of the clip.
    """

    rng: np.random.Generator
    frames: int
    start: float
    stop: float
    tracks: list[Track] = field(default_factory=list)

    @property
    def clock(self) -> np.ndarray:
        """Time of every frame in [0, 1]."""
        return np.linspace(0.0, 1.0, self.frames)

    @property
    def progress(self) -> np.ndarray:
        """Progress of the event at every frame: 0 before, 1 after."""
        return smooth((self.clock - self.start) / (self.stop - self.start))

    def uniform(self, low: float, high: float) -> float:
        """Draw a number."""
        return float(self.rng.uniform(low, high))

    def add(self, name, role, x, y, size, angle=0.0, grip=0.0) -> None:
        """Add a thing; a number as a value stays constant."""
        self.tracks.append(track(name, role, self.frames, x, y, size, angle, grip))

    def add_object(self, name: str, x, y, size: float | None = None, angle=None) -> None:
        """Add an acting object; by default its size and its angle are random."""
        size = self.uniform(0.17, 0.25) if size is None else size
        angle = self.uniform(-0.3, 0.3) if angle is None else angle
        self.add(name, "object", x, y, size, angle)

    def add_hand(self, name: str, x, y, *, arm: float) -> None:
        """Add a hand that comes in, grips the point x, y during the event and leaves the same way.

        arm: the direction that the arm comes from.
        """
        away_before = 1 - smooth((self.clock - (self.start - BLEND)) / BLEND)
        away_after = smooth((self.clock - self.stop) / BLEND)
        away = OUT * np.maximum(away_before, away_after)
        half = BLEND / 2
        grip = smooth((self.clock - self.start + half) / half)
        grip = grip * smooth((self.stop + half - self.clock) / half)
        x, y = np.asarray(x) + away * np.cos(arm), np.asarray(y) + away * np.sin(arm)
        self.add(name, "hand", x, y, 0.24, arm, grip)

    def arm(self, towards: float = np.pi / 2, spread: float = 0.8) -> float:
        """Draw the direction an arm comes from: by default from below, like the viewer's own."""
        return towards + self.uniform(-spread, spread)

    def add_bystanders(self) -> None:
        """Add still things near the edges, which play no part."""
        for i in range(self.rng.integers(1, 4)):
            edge, along = self.rng.integers(4), self.uniform(0.05, 0.95)
            depth = self.uniform(0.03, 0.2)
            x, y = [(along, depth), (along, 1 - depth), (depth, along), (1 - depth, along)][edge]
            self.add(
                f"bystander_{i}", "bystander", x, y, self.uniform(0.1, 0.2), self.uniform(0, 6)
            )

    def add_distractors(self) -> None:
        """Add small things that roll along a straight line, at any time, in any direction."""
        for i in range(self.rng.integers(0, 4)):
            heading, speed = self.uniform(0, 2 * np.pi), self.uniform(0.5, 1.7)
            moment = self.uniform(0, 1)
            x0, y0 = self.uniform(0.1, 0.9), self.uniform(0.1, 0.9)
            way = speed * (self.clock - moment)
            x, y = x0 + way * np.cos(heading), y0 + way * np.sin(heading)
            size = self.uniform(0.07, 0.12)
            # In either direction: a fixed one would show the direction of time.
            turn = self.rng.choice([-1, 1]) * 2 * way / size
            self.add(f"distractor_{i}", "distractor", x, y, size, turn)

    def camera(self, pan: tuple[int, int]) -> np.ndarray:
        """Return the path of a hand-held camera, (T, 2): it sways a little, and pans or drifts."""
        knots = np.clip(self.rng.normal(0, 0.012, size=(max(3, self.frames // 6), 2)), -0.03, 0.03)
        at = np.linspace(0, len(knots) - 1, self.frames)
        sway = np.stack([np.interp(at, np.arange(len(knots)), k) for k in knots.T], axis=1)
        drift = np.clip(self.rng.normal(0, 0.03, size=2), -0.055, 0.055)
        drift = drift * np.linspace(-1, 1, self.frames)[:, None]
        if pan != (0, 0):
            drift = self.uniform(0.4, 0.7) * (self.progress[:, None] - 0.5) * np.array(pan)
        return sway + drift

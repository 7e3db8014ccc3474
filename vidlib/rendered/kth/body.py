"""The bodies of kth-mini and their motion: joints of people who walk, jog, run, box, clap, wave.

A pose is in body heights, the ground at 0, x forward (seen from the front: to the person's left)
and y up; `vidlib.rendered.kth.film` places it in the frame. Positions of feet and hip determine the
legs, so that a foot on the ground stays still; angles determine the arms of gaits. Phase 0: in a
gait the left foot lands, in boxing the left fist starts, in clapping the hands meet, in waving the
arms hang.
"""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import yaml

from vidlib import check
from vidlib.rendered.scene import smooth

SIDES = ("left", "right")
JOINTS = (
    "head", "neck", "hip",
    *(f"{side}_{part}" for part in ("shoulder", "elbow", "hand", "knee", "foot") for side in SIDES),
)  # fmt: skip
TABLE = yaml.safe_load((Path(__file__).parent / "tables" / "body.yaml").read_text("utf-8"))
THICKNESS = TABLE["thickness"]
GAITS = {name: SimpleNamespace(**values) for name, values in TABLE["gaits"].items()}
# Of the tops of subjects 1 to 16, who are for training, and of the others.
PATTERNS = (("plain", "plain", "yoke"), ("stripes", "panel"))
GROUND = 0.9  # where feet stand, in frame heights
ANKLE = 0.04  # a foot's joint is its ankle, this high above a flat sole
BALL = 0.09  # from the point below the ankle to the ball of the foot
TRUNK = 0.29
HEAD = 0.11  # from the neck to the head's centre
UPPER_ARM, FOREARM = 0.18, 0.185  # the forearm up to the middle of the hand
SHOULDER, HIP = 0.115, 0.05  # half the distances across, seen from the front


class Subject:
    """One of the 25 people, always the same by number; ValueError for another number.

    height: in frame heights, as filmed when walking. legs, arms: their length, 1 the average.
    width: of the body, 1 the average. pace, tempo: habitual speed and frequency of motions; style:
    size of the motions; 1 the average. skin, hair: greys. tops, trousers: greys of the usual
    clothes and of those worn in d3. shoes: grey. pattern: of the top: "plain", "yoke", or, in none
    of the subjects 1 to 16, "stripes" or "panel". long_hair. extra: "coat", "bag" or "hat", in d3.
    thigh: its length, and that of the shank; arm: (2,), lengths of upper arm and forearm; all in
    body heights.

    >>> Subject(1).pattern in ("plain", "yoke"), Subject(25).height == Subject(25).height
    (True, True)
    """

    def __init__(self, number: int):
        check.count("subject", number, most=25)
        rng = np.random.default_rng([2004, number])

        def grey(dark: float) -> int:  # the greys between belong to the grounds
            return int(rng.integers(18, 54) if rng.random() < dark else rng.integers(190, 236))

        self.height = rng.uniform(0.6, 0.74)
        self.legs = rng.uniform(0.97, 1.03)
        self.arms = rng.uniform(0.95, 1.05)
        self.width = rng.uniform(0.86, 1.2)
        self.pace = rng.uniform(0.92, 1.08)
        self.tempo = rng.uniform(0.95, 1.05)
        self.style = rng.uniform(0.92, 1.08)
        self.skin = int(rng.integers(182, 214) if rng.random() < 0.7 else rng.integers(52, 76))
        self.hair = int(rng.integers(15, 60))
        self.tops = (top := grey(0.6), grey(0.9 if top > 128 else 0.3))
        self.trousers = (grey(0.8), grey(0.7))
        self.shoes = int(rng.choice([25, 220]))
        self.pattern = str(rng.choice(PATTERNS[int(number > 16)]))
        self.long_hair = rng.random() < 0.35
        self.extra = ("coat", "bag", "hat")[number % 3]
        self.thigh = 0.245 * self.legs
        self.arm = np.array([UPPER_ARM, FOREARM]) * self.arms


def _direction(degrees) -> np.ndarray:
    """Return unit vectors that many degrees forward of straight down: (T, 2)."""
    angle = np.radians(degrees)
    return np.stack([np.sin(angle), -np.cos(angle)], axis=-1)


def _bend(start: np.ndarray, end: np.ndarray, bones: Iterable[float], to: tuple) -> tuple:
    """Return middle and end of a limb, (T, D) each; an end out of its reach comes closer.

    bones: the lengths of the two bones. to: the direction, (D,), that the middle bends to.
    """
    first, second = bones
    way = end - start
    far = np.linalg.norm(way, axis=-1, keepdims=True)
    reach = np.clip(far, abs(first - second) + 1e-3, 0.998 * (first + second))
    way = way / np.maximum(far, 1e-9)
    along = (first**2 - second**2 + reach**2) / (2 * reach)
    across = to - (way @ np.array(to))[:, None] * way
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    bulge = np.sqrt(np.maximum(first**2 - along**2, 0))
    return start + along * way + bulge * across, start + reach * way


def _swing_curve(s: np.ndarray, values: np.ndarray, slopes: tuple) -> np.ndarray:
    """Return the smooth curve through four values at s = 0, 0.35, 0.7 and 1, slopes at its ends."""
    at = np.array([0, 0.35, 0.7, 1])
    inner = (values[2:] - values[:2]) / (at[2:] - at[:2])
    slope = np.concatenate([[slopes[0]], inner, [slopes[1]]])
    k = np.clip(np.searchsorted(at, s, side="right") - 1, 0, 2)
    width = at[k + 1] - at[k]
    u = (s - at[k]) / width
    return (
        (1 + 2 * u) * (1 - u) ** 2 * values[k]
        + u * (1 - u) ** 2 * width * slope[k]
        + u**2 * (3 - 2 * u) * values[k + 1]
        + u**2 * (u - 1) * width * slope[k + 1]
    )


def _ankle(gait: SimpleNamespace, phase: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ankle, from the point below the hip, (T, 2), and the foot's pitch, (T,)."""

    def rolled(x, lift) -> tuple:  # the ankle when the foot turns about its ball
        x = x + BALL * (1 - np.cos(lift)) + ANKLE * np.sin(lift)
        return x, ANKLE * np.cos(lift) + BALL * np.sin(lift)

    def swing(values: list, slopes: tuple, standing: np.ndarray) -> np.ndarray:
        return np.where(swinging, _swing_curve(s, np.array(values), slopes), standing)

    stride = gait.speed / (gait.cadence / 2)
    ground = gait.duty * stride  # how far the hip moves while the foot stands
    front = 0.42 * ground
    u = np.minimum(phase / gait.duty, 1)
    roll = np.radians(gait.roll)
    lift = roll * smooth((u - 0.55) / 0.45)
    x, y = rolled(front - u * ground, lift)
    x0, y0 = rolled(front - ground, roll)
    (x1, y1), (x2, y2) = gait.lift
    s = np.clip((phase - gait.duty) / (1 - gait.duty), 0, 1)
    swinging = phase >= gait.duty
    fall = -(1 - gait.duty) * stride
    x = swing([x0, x1, x2, front], (0, 0.7 * fall), x)
    y = swing([y0, y1, y2, ANKLE], (y1, -0.1), y)
    pitch = swing([roll, roll, 0, -0.25], (0, 0), lift)
    return np.stack([x, y], axis=-1), pitch - 0.25 * (1 - smooth(u / 0.15)) * ~swinging


def _upper_body(person: Subject, hip: np.ndarray, lean, nod=0.6) -> dict[str, np.ndarray]:
    """Return hip, neck and head; lean: of the trunk, in degrees forward."""
    neck = hip - (2 - person.legs) * TRUNK * _direction(-np.asarray(lean))
    return {"hip": hip, "neck": neck, "head": neck - HEAD * _direction(-nod * np.asarray(lean))}


def gait_pose(person: Subject, gait: SimpleNamespace, phase: np.ndarray) -> dict[str, np.ndarray]:
    """Return the joints of a gait, the hip above x = 0, and the pitch of the feet in degrees.

    gait: one of `GAITS`, or with its own values.
    """
    thigh, (upper_arm, forearm) = person.thigh, person.arm
    feet = {side: _ankle(gait, (phase + k / 2) % 1) for k, side in enumerate(SIDES)}
    height = ANKLE + 2 * thigh - gait.hip + gait.bob * np.cos(4 * np.pi * (phase - gait.duty / 2))
    for k, (ankle, _) in enumerate(feet.values()):  # limited by the reach of the standing leg
        reach = ankle[:, 1] + np.sqrt((1.995 * thigh) ** 2 - ankle[:, 0] ** 2)
        height = np.where((phase + k / 2) % 1 < gait.duty, np.minimum(height, reach), height)
    hip = np.stack([np.zeros_like(phase), height], axis=-1)
    pose = _upper_body(person, hip, gait.lean + 0.7 * np.cos(4 * np.pi * phase))
    for k, side in enumerate(SIDES):
        ankle, pitch = feet[side]
        pose[f"{side}_knee"], pose[f"{side}_foot"] = _bend(hip, ankle, (thigh, thigh), (1, 0.1))
        pose[f"{side}_pitch"] = np.degrees(pitch)
        forward = -np.cos(2 * np.pi * (phase + k / 2))  # opposite to the leg of that side
        upper = gait.back + gait.swing * forward
        pose[f"{side}_shoulder"] = pose["neck"] - (0, 0.015)
        elbow = pose[f"{side}_shoulder"] + upper_arm * _direction(upper)
        lower = upper + gait.elbow + 8 * forward
        pose[f"{side}_elbow"] = elbow
        pose[f"{side}_hand"] = elbow + forearm * _direction(lower)
    return pose


def boxing_pose(person: Subject, size: float, phase: np.ndarray) -> dict[str, np.ndarray]:
    """Return the joints of a boxing person, seen from the side; size: of the motion."""
    thigh, arm = person.thigh, person.arm
    punch = [np.sin(np.pi * np.clip(2 * ((phase + k / 2) % 1), 0, 1)) ** 1.5 for k in (0, 1)]
    ahead = 0.02 * (punch[0] + punch[1])
    height = ANKLE + 2 * thigh - 0.035 + 0.006 * np.cos(4 * np.pi * phase)
    hip = np.stack([ahead, height], axis=-1)
    pose = _upper_body(person, hip, 3 + 3 * (punch[0] + punch[1]), nod=1)
    for k, side in enumerate(SIDES):
        foot = np.broadcast_to([(0.13, -0.15)[k], ANKLE], hip.shape)
        pose[f"{side}_knee"], pose[f"{side}_foot"] = _bend(hip, foot, (thigh, thigh), (1, 0))
        pose[f"{side}_pitch"] = np.full(len(phase), (0.0, 12.0)[k])
        shoulder = pose["neck"] - (0, 0.015)
        guard, out = np.array([0.13, 0.035]), np.array([0.97 * arm.sum() * min(size, 1), 0.02])
        fist = shoulder + guard + punch[k][:, None] * (out - guard)
        pose[f"{side}_shoulder"] = shoulder
        pose[f"{side}_elbow"], pose[f"{side}_hand"] = _bend(shoulder, fist, arm, (0, -1))
    return pose


def front_pose(person: Subject, action: str, size: float, phase: np.ndarray) -> dict:
    """Return the joints of a clapping or waving person, seen from the front."""
    zero, arm = np.zeros_like(phase), person.arm
    hip = np.stack([zero, zero + ANKLE + 1.99 * person.thigh], axis=-1)
    pose = _upper_body(person, hip, 0.8 * np.sin(2 * np.pi * phase))
    out = 0.5 - 0.5 * np.cos(2 * np.pi * phase)
    for k, side in enumerate(SIDES):
        outward = np.array([(1, -1)[k], 1])
        stance = np.array([HIP + 0.01, (ANKLE + hip[0, 1]) / 2])
        pose[f"{side}_knee"] = np.broadcast_to(outward * stance, hip.shape)
        pose[f"{side}_foot"] = np.broadcast_to(outward * (HIP + 0.02, ANKLE), hip.shape)
        pose[f"{side}_pitch"] = zero
        shoulder = pose["neck"] + outward * (SHOULDER * person.width, -0.015)
        pose[f"{side}_shoulder"] = shoulder
        if action == "handwaving":
            raised = 10 + 142 * smooth(out) * min(size, 1.03)
            pose[f"{side}_elbow"] = shoulder + arm[0] * outward * _direction(raised)
            straight = raised + 6 + 26 * out
            pose[f"{side}_hand"] = pose[f"{side}_elbow"] + arm[1] * outward * _direction(straight)
        else:
            # The hands meet in front of the chest, where the arms look shorter.
            meet, apart = np.array([0.014, -0.1, 0.22]), np.array([0.41 * size, -0.03, 0.1])
            hand = meet + smooth(out)[:, None] * (apart - meet)
            start = np.broadcast_to((SHOULDER * person.width, -0.015, 0), hand.shape)
            joints = _bend(start, hand, arm, (0.6, -1, -0.2))
            for part, joint in zip(("elbow", "hand"), joints, strict=True):
                pose[f"{side}_{part}"] = pose["neck"] + outward * joint[:, :2]
    return pose

"""An ideal observer of kth-mini: which action the frames shown prove, judged by the joints alone.

Every rule asks which postures are seen, none in which order: played backwards, or shuffled, these
actions are what they were. That is so of KTH Actions too, where classes differ in posture and in
range of motion, not in the direction of time.
"""

import numpy as np

from vidlib.data.kth import ACTIONS
from vidlib.rendered.kth.film import in_view
from vidlib.rendered.observers import checked_orders, verdicts
from vidlib.rendered.scene import Scene

STRAIGHT = 45  # degrees: arms bent less, both of them, are a walker's
UPRIGHT = 9  # degrees: a trunk that leans forward more is a runner's


def _turn(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the angle between vectors, (T, 2) each, in degrees: (T,)."""
    dot = (first * second).sum(axis=1)
    return np.degrees(
        np.arccos(dot / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1))
    )


def postures(scene: Scene) -> dict[str, np.ndarray]:
    """Return in which frames what is seen of a figure that is wholly in view: (T,) bool each.

    "straight", "upright", "leaning": from the side, as in walking, jogging and running. "left",
    "right": from the side, fists up, that fist ahead of the other by a quarter of the trunk at
    least. "together", "apart": from the front, hands between hip and head, closer to each other
    than the shoulders are, or half as far again. "up", "down": from the front, both hands above the
    head's centre, or below the shoulders and outside of them.
    """
    at = {one.name: np.stack([one.x, one.y], axis=1) for one in scene.tracks}
    whole = in_view(scene).all(axis=0)
    trunk = np.linalg.norm(at["neck"] - at["hip"], axis=1)
    left, right = at["left_hand"], at["right_hand"]
    across = np.abs(at["left_shoulder"] - at["right_shoulder"])[:, 0]
    front, side = whole & (across > 0.3 * trunk), whole & (across <= 0.3 * trunk)
    highest, lowest = np.minimum(left[:, 1], right[:, 1]), np.maximum(left[:, 1], right[:, 1])

    fists = side & (lowest < at["neck"][:, 1] + 0.3 * trunk)
    ahead = [
        np.linalg.norm(at[f"{name}_hand"] - at[f"{name}_shoulder"], axis=1)
        for name in ("left", "right")
    ]
    bent = np.max(
        [
            _turn(
                at[f"{name}_elbow"] - at[f"{name}_shoulder"],
                at[f"{name}_hand"] - at[f"{name}_elbow"],
            )
            for name in ("left", "right")
        ],
        axis=0,
    )
    lean = _turn(at["neck"] - at["hip"], np.array([[0.0, -1.0]]))
    bends = side & ~fists & (bent >= STRAIGHT)

    chest = front & (highest > at["head"][:, 1]) & (lowest < at["hip"][:, 1])
    gap = np.abs(left - right)[:, 0]
    return {
        "straight": side & ~fists & (bent < STRAIGHT),
        "upright": bends & (lean < UPRIGHT),
        "leaning": bends & (lean >= UPRIGHT),
        "left": fists & (ahead[0] - ahead[1] > 0.25 * trunk),
        "right": fists & (ahead[1] - ahead[0] > 0.25 * trunk),
        "together": chest & (gap < across),
        "apart": chest & (gap > 1.5 * across),
        "up": front & (lowest < at["head"][:, 1]),
        "down": front & (highest > at["left_shoulder"][:, 1]) & (gap > across),
    }


def observe(scene: Scene, orders: np.ndarray | None = None) -> np.ndarray:
    """Return which action is seen in each of N re-orderings of a scene's frames: (N,) int64.

    Labels as in `vidlib.data.kth.ACTIONS`, -1 where no action is proved. orders: (N, T') frame
    numbers, with repeats or gaps; by default one, the frames as they are. Joints decide, in frames
    that show the whole figure; an action of the arms only where both ends of its motion are shown:

    - walking: from the side, arms almost straight;
    - jogging: from the side, an arm bent by `STRAIGHT` or more, the trunk upright;
    - running: as jogging, but the trunk leans forward by `UPRIGHT` or more;
    - boxing: from the side, fists up, the left ahead in one frame, the right in another;
    - handwaving: from the front, both hands above the head in one frame, hanging in another;
    - handclapping: from the front, hands together before the chest in one frame, apart in another,
      never overhead.
    """
    orders = checked_orders(scene, orders)
    flags = postures(scene)
    seen = dict(zip(flags, np.stack(list(flags.values()))[:, orders].any(axis=2), strict=True))
    rules = {
        "walking": seen["straight"],
        "jogging": seen["upright"],
        "running": seen["leaning"],
        "boxing": seen["left"] & seen["right"],
        "handwaving": seen["up"] & seen["down"],
        "handclapping": seen["together"] & seen["apart"] & ~seen["up"],
    }
    return verdicts({ACTIONS.index(action): proved for action, proved in rules.items()})

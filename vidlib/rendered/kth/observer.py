"""An ideal observer of kth-mini: which action the frames prove, judged only from the joints.

The rules ask which postures are seen, not in which order: an action played backwards or shuffled is
the same action. This holds for KTH Actions too, where classes differ in posture and in range of
motion, not in the direction of time.
"""

import numpy as np

from vidlib.data.kth import ACTIONS
from vidlib.rendered.kth.body import SIDES
from vidlib.rendered.kth.film import in_view
from vidlib.rendered.observers import checked_orders, verdicts
from vidlib.rendered.scene import Scene

STRAIGHT = 45  # degrees: if both arms are bent less, the person walks
UPRIGHT = 9  # degrees: if the trunk leans forward more, the person runs


def _turn(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the angle between vectors, (..., 2) each, in degrees: (...)."""
    dot = (first * second).sum(axis=-1)
    lengths = np.linalg.norm(first, axis=-1), np.linalg.norm(second, axis=-1)
    return np.degrees(np.arccos(dot / lengths[0] / lengths[1]))


def postures(scene: Scene) -> dict[str, np.ndarray]:
    """Return the frames that show each posture of a figure wholly in view: (T,) bool each.

    "straight", "upright", "leaning": from the side, as in walking, jogging and running. "left",
    "right": from the side, fists up, this fist ahead of the other by more than a quarter of the
    trunk. "together", "apart": from the front, hands between hip and head, closer to each other
    than the shoulders, or more than 1.5 times as far. "up", "down": from the front, both hands
    above the head's centre, or below the shoulders and further apart than these.
    """
    at = {one.name: np.stack([one.x, one.y], axis=1) for one in scene.tracks}
    whole = in_view(scene).min(axis=0)
    trunk = np.linalg.norm(at["neck"] - at["hip"], axis=1)
    left, right = at["left_hand"], at["right_hand"]
    across = np.abs(at["left_shoulder"] - at["right_shoulder"])[:, 0]
    front, side = whole & (across > 0.3 * trunk), whole & (across <= 0.3 * trunk)
    highest, lowest = np.minimum(left[:, 1], right[:, 1]), np.maximum(left[:, 1], right[:, 1])

    fists = side & (lowest < at["neck"][:, 1] + 0.3 * trunk)
    upper, lower, whole_arm = (
        np.stack([at[f"{name}_{end}"] - at[f"{name}_{start}"] for name in SIDES])
        for start, end in (("shoulder", "elbow"), ("elbow", "hand"), ("shoulder", "hand"))
    )
    bent = _turn(upper, lower).max(axis=0)
    left_ahead = np.subtract(*np.linalg.norm(whole_arm, axis=-1))
    lean = _turn(at["neck"] - at["hip"], np.array([[0.0, -1.0]]))
    bends = side & ~fists & (bent >= STRAIGHT)

    chest = front & (highest > at["head"][:, 1]) & (lowest < at["hip"][:, 1])
    gap = np.abs(left - right)[:, 0]
    return {
        "straight": side & ~fists & (bent < STRAIGHT),
        "upright": bends & (lean < UPRIGHT),
        "leaning": bends & (lean >= UPRIGHT),
        "left": fists & (left_ahead > 0.25 * trunk),
        "right": fists & (left_ahead < -0.25 * trunk),
        "together": chest & (gap < across),
        "apart": chest & (gap > 1.5 * across),
        "up": front & (lowest < at["head"][:, 1]),
        "down": front & (highest > at["left_shoulder"][:, 1]) & (gap > across),
    }


def observe(scene: Scene, orders: np.ndarray | None = None) -> np.ndarray:
    """Return which action is seen in each of N re-orderings of a scene's frames: (N,) int64.

    Labels as in `vidlib.data.kth.ACTIONS`, -1 where no action is proved. orders: (N, T') frame
    numbers, with repeats or gaps; by default one, the frames as they are. Only frames that show the
    whole figure count; an action of the arms needs both ends of its motion:

    - walking: from the side, arms almost straight;
    - jogging: from the side, an arm bent by `STRAIGHT` or more, the trunk upright;
    - running: as jogging, but the trunk leans forward by `UPRIGHT` or more;
    - boxing: from the side, fists up, the left ahead in one frame, the right in another;
    - handwaving: from the front, both hands above the head in one frame, hanging in another;
    - handclapping: from the front, hands together before the chest in one frame, apart in another,
      never overhead.
    """
    orders = checked_orders(scene, orders)
    seen = {name: frames[orders].any(axis=1) for name, frames in postures(scene).items()}
    rules = {
        "walking": seen["straight"],
        "jogging": seen["upright"],
        "running": seen["leaning"],
        "boxing": seen["left"] & seen["right"],
        "handwaving": seen["up"] & seen["down"],
        "handclapping": seen["together"] & seen["apart"] & ~seen["up"],
    }
    return verdicts({ACTIONS.index(action): proved for action, proved in rules.items()})

"""What only rendered clips allow: explanations compared with what happens in the clip."""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
import torch

from vidlib.compare.survival import Observer, removing, window_answers
from vidlib.data.sampling import sample_frames
from vidlib.explain.perturb import frame_order, freeze
from vidlib.rendered.scene import ACTING, DISTRACTING, Scene
from vidlib.rendered.truth import InstanceMasks, Truth


def saliency_on_actors(saliency: np.ndarray, masks: InstanceMasks) -> dict[str, float]:
    """Return how much of a clip's Grad-CAM is on the things that act, and on those that do not.

    saliency: (T, H, W), not negative. masks: of the whole clip. Returns actors and distractors
    (still or moving): the share of the saliency on them divided by their share of the area; NaN if
    none are in view or the map is empty. A uniform map scores 1. Things that act tend to be in the
    middle, so a map that merely favours the middle scores more: compare with maps of other clips.

    >>> numbers = np.zeros((4, 8, 8), np.uint8)
    >>> numbers[:, :4] = 1  # one thing covers the upper half
    >>> masks = InstanceMasks(numbers, ["hand_a"], ["hand"])
    >>> saliency_on_actors((numbers == 1).astype(float), masks)
    {'actors': 2.0, 'distractors': nan}
    """
    sampled = sample_frames(len(masks.numbers), len(saliency))
    size = saliency.shape[:0:-1]  # width, height
    shares = {}
    for name, roles in (("actors", ACTING), ("distractors", DISTRACTING)):
        there = masks.of(*roles)[sampled].astype(np.float32)  # then the share of each cell covered
        where = np.stack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in there])
        area, mass = where.mean(), saliency.sum()
        on_them = float((saliency * where).sum())
        shares[name] = on_them / float(mass) / float(area) if area and mass else np.nan
    return shares


def removes_class(scene: Scene, label: int, mask: np.ndarray, observe: Observer) -> bool:
    """Return whether freezing where a mask, (T,) in [0, 1], is above 0.5 removes a clip's class.

    An ideal observer decides, by frames sampled from the scene.
    """
    on = torch.from_numpy((np.asarray(mask) > 0.5).astype(np.float32))[None]
    orders = frame_order(freeze(on)).numpy()
    return bool(observe(scene, sample_frames(len(scene), len(mask))[orders])[0] != label)


def mask_survival(
    scene: Scene, label: int, mask: np.ndarray, start: np.ndarray, observe: Observer
) -> dict[str, object]:
    """Return whether freezing where a temporal mask is on removes the class, by an ideal observer.

    mask and start, the window it was learned from: (T,) in [0, 1], on above 0.5, over frames
    sampled from the scene. Returns mask_removes and start_removes (1.0 or 0.0), random_removes (of
    all windows as long as the mask, the share that remove; 0 for an empty mask) and shortest
    (frames of the shortest window that removes the class; NaN if none does).

    >>> from vidlib.rendered.something.observer import observe
    >>> from vidlib.rendered.something.scripts import compose
    >>> scene = compose(45, np.random.default_rng(0))
    >>> found = mask_survival(scene, 45, np.ones(8), np.zeros(8), observe)
    >>> found["mask_removes"], found["start_removes"]
    (1.0, 0.0)
    """
    removes = removing(window_answers(scene, observe, len(mask), "freeze"), label)
    length = int((mask > 0.5).sum())
    as_long = removes.diagonal(length - 1) if length else np.zeros(1)
    first, last = np.nonzero(removes)
    return {
        "mask_removes": float(removes_class(scene, label, mask, observe)),
        "start_removes": float(removes_class(scene, label, start, observe)),
        "random_removes": float(as_long.mean()),
        "shortest": float((last - first + 1).min()) if len(first) else np.nan,
    }


def against_truth(
    truth: Truth,
    observe: Observer,
    clip_ids: Sequence[str],
    saliency: np.ndarray,
    masks: np.ndarray,
    starts: np.ndarray,
) -> pd.DataFrame:
    """Compare the explanations of some clips with what happens in them: a row per clip.

    saliency: (N, T, H, W) uint8. masks and starts, the windows that they were learned from: (N, T)
    in [0, 1]. Columns: those of `saliency_on_actors` and `mask_survival`, and for the former also
    <name>_blind, the value for the average map of the other clips, which knows nothing of this one.

    >>> from vidlib.rendered.something.observer import observe
    >>> ids = study.table("explain-i3d", "clips")["clip_id"][:2]
    >>> arrays = study.arrays("explain-i3d", "arrays")
    >>> some = (arrays[name][:2] for name in ("saliency", "mask", "start"))
    >>> len(against_truth(study.truth, observe, ids, *some))
    2
    """
    total = saliency.sum(0, dtype=float)
    rows = []
    for clip_id, maps, mask, start in zip(clip_ids, saliency, masks, starts, strict=True):
        things, label = truth.masks(clip_id), int(truth.clips.loc[clip_id, "label"])
        blind = saliency_on_actors(total - maps, things)
        rows.append(
            {
                **saliency_on_actors(maps.astype(float), things),
                **{f"{name}_blind": value for name, value in blind.items()},
                **mask_survival(truth.scene(clip_id), label, mask, start, observe),
            }
        )
    return pd.DataFrame(rows)

"""What only rendered clips allow: explanations held against what happened in the clip."""

from pathlib import Path

import numpy as np
import pandas as pd

from vidlib.data.video import sample_frames

ACTORS = ("object", "hand", "heap")


def _discs(states: pd.DataFrame, frames: np.ndarray, side: int) -> np.ndarray:
    """Return where the things of a table of states are, as discs: (T, side, side) bool."""
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side
    masks = np.zeros((len(frames), side, side), bool)
    for i, frame in enumerate(frames):
        for row in states[states["frame"] == frame].itertuples():
            masks[i] |= np.hypot(x - row.x, y - row.y) < row.size / 2
    return masks


def saliency_on_actors(saliency: np.ndarray, states: pd.DataFrame) -> dict[str, float]:
    """Say how much of a clip's Grad-CAM lies on the things that act, and on those that do not.

    saliency: (T, H, H) in [0, 1]. states: the clip's rows of the truth table. Things are discs of
    their size. Returns actors and distractors (still or moving): the share of the saliency on them
    divided by the share of the area that they cover; NaN where there are none in view or the map is
    empty. A uniform map scores 1. Things that act tend to be in the middle, so a map that merely
    favours the middle scores more: compare with maps of other clips.
    """
    total = states["frame"].max() + 1
    frames = sample_frames(total, len(saliency))
    side = saliency.shape[-1]
    shares = {}
    acting = states["role"].isin(ACTORS)
    for name, rows in (("actors", states[acting]), ("distractors", states[~acting])):
        where = _discs(rows, frames, side)
        area, mass = where.mean(), saliency.sum()
        shares[name] = float(saliency[where].sum() / mass / area) if area and mass else np.nan
    return shares


def event_overlap(
    mask: np.ndarray, start: np.ndarray, frames: int, event: tuple[int, int]
) -> dict[str, float]:
    """Say how a temporal mask lies to the deciding event, and how ignorant ones would.

    mask, and the window it was learned from, start: (T,) in [0, 1], on above 0.5, over sampled
    frames of a clip of `frames`. event: first frame and the one after the last. Returns shares of
    frames that lie in the event: mask_in_event, of the mask; start_in_event, of its start window;
    random_in_event, of one stretch as long as the mask, on average over all places it can have.
    Events lie near the middle of clips, so a random stretch scores more the longer it is. NaN for
    an empty mask.
    """
    sampled = sample_frames(frames, len(mask))
    inside = (sampled >= event[0]) & (sampled < event[1])
    on, began = np.asarray(mask) > 0.5, np.asarray(start) > 0.5
    stretches = np.lib.stride_tricks.sliding_window_view(inside, max(1, on.sum()))
    return {
        "mask_in_event": float(inside[on].mean()) if on.any() else np.nan,
        "start_in_event": float(inside[began].mean()) if began.any() else np.nan,
        "random_in_event": float(stretches.mean()) if on.any() else np.nan,
    }


def against_truth(
    folder: Path,
    clip_ids: pd.Series,
    saliency: np.ndarray,
    masks: np.ndarray,
    starts: np.ndarray,
) -> pd.DataFrame:
    """Return how the explanations of some clips lie to what happened in them, a row per clip.

    folder: of the truth tables. saliency: (N, T, H, H) uint8, 255 for 1. masks and the windows that
    they were learned from, starts: (N, T) in [0, 1]. Columns: those of `saliency_on_actors` and
    `event_overlap`, and for the former also <name>_blind, what the network's average map of the
    other clips scores, which knows nothing of this one.
    """
    clips = pd.read_parquet(folder / "clips.parquet").set_index("clip_id")
    states = pd.read_parquet(folder / "states.parquet")
    by_clip = dict(tuple(states[states["clip_id"].isin(clip_ids)].groupby("clip_id")))
    total = saliency.sum(0, dtype=float)
    rows = []
    for clip_id, maps, mask, start in zip(clip_ids, saliency, masks, starts, strict=True):
        true = clips.loc[clip_id]
        event = (true["event_start"], true["event_stop"])
        blind = saliency_on_actors(total - maps, by_clip[clip_id])
        rows.append(
            {
                **saliency_on_actors(maps / 255, by_clip[clip_id]),
                **{f"{name}_blind": value for name, value in blind.items()},
                **event_overlap(mask, start, true["frames"], event),
            }
        )
    return pd.DataFrame(rows)

"""The truth beside a rendered set: its renderer writes it, the comparisons read it.

truth/clips.parquet: a row per clip: clip_id, label, frames, aspect, event_start, event_stop (first
frame of the deciding motion, and the one after its last) and columns that the renderer adds.
truth/frames.parquet: a row per clip and frame: clip_id, frame, camera_x, camera_y, phase (of a
cyclic action, else NaN), moving.
truth/states.parquet: a row per clip, thing and frame, with the columns of `vidlib.rendered.states`.
truth/masks/<clip_id>.npz: `masks`, (T, H, W) uint8 at the size of the video: the number of the
thing on top in each pixel, 0 for the ground; number k has names[k - 1] and roles[k - 1].
truth/settings.json: everything except its number that a clip depends on.
"""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vidlib.files import write_arrays, write_table
from vidlib.rendered.scene import ROLES, VALUES, Scene, Track, states

FOLDER = "truth"


class InstanceMasks(NamedTuple):
    """Which thing is on top where.

    numbers: (T, H, W) uint8, 0 for the ground; number k is the thing names[k - 1], of roles[k - 1].
    """

    numbers: np.ndarray
    names: list[str]
    roles: list[str]

    def of(self, *roles: str) -> np.ndarray:
        """Return where things of these roles (or of these names) are seen: (T, H, W) bool.

        Raises ValueError for a word that is neither a role nor the name of one of these things.

        >>> masks = InstanceMasks(np.array([[[0, 1, 2]]]), ["cup", "hand_a"], ["object", "hand"])
        >>> masks.of("object").tolist(), masks.of("hand_a", "cup").tolist()
        ([[[False, True, False]]], [[[False, True, True]]])
        """
        for word in roles:
            if word not in (*ROLES, *self.names):
                raise ValueError(f"no {word!r}: there are {', '.join([*ROLES, *self.names])}")
        things = enumerate(zip(self.names, self.roles, strict=True), 1)
        return np.isin(self.numbers, [k for k, words in things if set(words) & set(roles)])


def masks_file(root: Path, clip_id: str) -> Path:
    """Return the path of a clip's masks."""
    return Path(root) / FOLDER / "masks" / f"{clip_id}.npz"


def write_masks(root: Path, clip_id: str, masks: InstanceMasks) -> None:
    """Write the masks of a clip, as one whole file or not at all."""
    names, roles = np.array(masks.names), np.array(masks.roles)
    write_arrays(masks_file(root, clip_id), masks=masks.numbers, names=names, roles=roles)


def write_truth(root: Path, scenes: Sequence[tuple[str, Scene]], extra: Sequence[dict]) -> None:
    """Write the tables of clips, (clip_id, scene); extra: more columns of the table of clips."""
    names, all_scenes = zip(*scenes, strict=True)
    rows = [(clip_id, one.label, len(one), one.aspect, *one.event) for clip_id, one in scenes]
    columns = ["clip_id", "label", "frames", "aspect", "event_start", "event_stop"]
    clips = pd.DataFrame(rows, columns=columns).join(pd.DataFrame(extra))
    lengths = [len(scene) for scene in all_scenes]
    camera = np.concatenate([scene.camera for scene in all_scenes])
    frames = {
        "clip_id": np.repeat(names, lengths),
        "frame": np.concatenate([np.arange(length) for length in lengths]),
        "camera_x": camera[:, 0],
        "camera_y": camera[:, 1],
        "phase": np.concatenate([scene.phase for scene in all_scenes]),
        "moving": np.concatenate([scene.moving() for scene in all_scenes]),
    }
    things = states(*all_scenes)
    things.insert(0, "clip_id", np.repeat(names, [len(s) * len(s.tracks) for s in all_scenes]))
    folder = Path(root) / FOLDER
    write_table(folder / "states.parquet", things)
    write_table(folder / "frames.parquet", pd.DataFrame(frames))
    write_table(folder / "clips.parquet", clips)  # last: `Truth` looks for it


class Truth:
    """What is known about the clips of a rendered set.

    clips: the table of clips, by clip_id. Raises FileNotFoundError if root has no truth.
    """

    def __init__(self, root: Path):
        self.root = Path(root)
        if not (self.root / FOLDER / "clips.parquet").is_file():
            raise FileNotFoundError(
                f"{self.root} has no truth beside its clips: only rendered sets have one"
            )
        self.clips = pd.read_parquet(self.root / FOLDER / "clips.parquet").set_index("clip_id")

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """What the clips were rendered with, such as the seed."""
        return json.loads((self.root / FOLDER / "settings.json").read_text())

    @functools.cached_property
    def _by_clip(self) -> dict[str, Any]:
        """The tables of frames and states, grouped by clip."""
        paths = {name: self.root / FOLDER / f"{name}.parquet" for name in ("frames", "states")}
        return {name: pd.read_parquet(path).groupby("clip_id") for name, path in paths.items()}

    def states(self, clip_id: str) -> pd.DataFrame:
        """Return the rows of a clip in the table of states."""
        return self._by_clip["states"].get_group(clip_id)

    def scene(self, clip_id: str) -> Scene:
        """Return the scene of a clip, exactly as it was drawn."""
        clip, frames = self.clips.loc[clip_id], self._by_clip["frames"].get_group(clip_id)
        things = self.states(clip_id).groupby(["name", "role"], sort=False)[list(VALUES)]
        tracks = [Track(*about, *values.to_numpy().T) for about, values in things]
        label, start, stop = map(int, clip[["label", "event_start", "event_stop"]])
        camera, phase = frames[["camera_x", "camera_y"]].to_numpy(), frames["phase"].to_numpy()
        return Scene(label, tracks, camera, (start, stop), phase, float(clip["aspect"]))

    def masks(self, clip_id: str) -> InstanceMasks:
        """Return which thing is on top where in each frame of a clip."""
        with np.load(masks_file(self.root, clip_id)) as arrays:
            names, roles = arrays["names"].tolist(), arrays["roles"].tolist()
            return InstanceMasks(arrays["masks"], names, roles)

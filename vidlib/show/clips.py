"""Players of a study's clips, and of what explanations say about them."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from vidlib.compare.paper import NUMBERS
from vidlib.data.clips import Clips, to_network
from vidlib.explain.objective import Perturbation
from vidlib.explain.perturb import freeze, perturb
from vidlib.show.names import TITLES, short
from vidlib.show.player import Row, overlay, player, upscale
from vidlib.show.sprites import Figure

SHOWN = 112  # pixels of the longer side of a clip in a player


def enlarged(clip: np.ndarray, side: int = SHOWN) -> np.ndarray:
    """Return (T, H, W, 3) uint8 frames resized so that the longer side is `side`."""
    height, width = clip.shape[1:3]
    scale = side / max(height, width)
    return upscale(clip, (round(height * scale), round(width * scale)))


def frames_after(
    frames: np.ndarray, mask: np.ndarray, perturbation: Perturbation = freeze
) -> np.ndarray:
    """Return a clip's frames, (T, H, W, 3) uint8, perturbed by a mask, (T,) in [0, 1].

    >>> clip = np.zeros((3, 1, 1, 3), np.uint8) + np.uint8([[[[0]]], [[[50]]], [[[90]]]])
    >>> frames_after(clip, np.array([0, 0, 1]))[:, 0, 0, 0].tolist()
    [0, 50, 50]
    """
    matrix = perturbation(torch.from_numpy(np.asarray(mask, np.float32))[None])
    clip = perturb(to_network(frames)[None], matrix)[0]
    values = ((clip + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return values.movedim(0, -1).numpy()


def in_rows(columns: Sequence[tuple[str, np.ndarray]], *, caption: str, wide: int = 4) -> Figure:
    """Return a figure in which clips play in step under their titles, `wide` to a row."""
    rows = [Row("", dict(columns[i : i + wide])) for i in range(0, len(columns), wide)]
    return player(rows, caption=caption)


def clips_player(clips: Clips, *, caption: str, titles: Sequence[str] | None = None) -> Figure:
    """Return a figure in which clips play side by side, in step, four to a row.

    titles: one per clip, by default its class in short; equal titles are numbered.

    >>> clips_player(study.explained_clips().subset([0]), caption="One clip.").figure["frames"]
    16
    """
    titles = list(clips.index["label_name"].map(short) if titles is None else titles)
    columns = []
    for i, title in zip(range(len(clips)), titles, strict=True):
        number = f" ({titles[:i].count(title) + 1})" if titles.count(title) > 1 else ""
        columns.append((title + number, enlarged(clips.frames[i])))
    return in_rows(columns, caption=caption)


def explanation_row(
    title: str,
    frames: np.ndarray,
    mask: np.ndarray,
    *,
    saliency: np.ndarray | None = None,
    perturbation: Perturbation = freeze,
    perturbed: str = "frozen",
    scores: Mapping[str, str | float],
    side: int = SHOWN,
) -> Row:
    """Return a network's view of a clip: original, Grad-CAM, perturbed; with mask and scores.

    frames: (T, H, W, 3) uint8. mask: (T,) in [0, 1]. saliency: (T, H, W) in [0, 1]; without it
    there is no such column. perturbed: the title of the last column. side: the longer, in pixels.

    >>> row = explanation_row("I3D", np.zeros((3, 8, 8, 3), np.uint8), np.ones(3), scores={})
    >>> {title: frames.shape for title, frames in row.columns.items()}
    {'original': (3, 112, 112, 3), 'frozen': (3, 112, 112, 3)}
    """
    columns = {"original": enlarged(frames, side)}
    if saliency is not None:
        grey = np.repeat(np.rint(saliency * 255).astype(np.uint8)[..., None], 3, axis=-1)
        heat = upscale(grey, columns["original"].shape[1:3])[..., 0] / 255
        columns["Grad-CAM"] = overlay(columns["original"], heat)
    columns[perturbed] = enlarged(frames_after(frames, mask, perturbation), side)
    return Row(title, columns, mask, scores)


def explanation_player(study, position: int) -> Figure:
    """Return original, Grad-CAM and frozen clip of both networks, with mask line and scores.

    position: of the clip among those that are explained. Scores: OS, FS and RS of the guessed
    class on the original, frozen and reversed clip; where the guess is wrong also CS, the score of
    the true class, and P, the guess.

    >>> [row["title"] for row in explanation_player(study, 0).figure["rows"]]
    ['I3D', 'C-LSTM']
    """
    clips = study.explained_clips()
    clip, rows = clips.frames[position], []
    for network, title in TITLES.items():
        told = study.table(f"explain-{network}", "clips").iloc[position]
        arrays = study.arrays(f"explain-{network}", "arrays")
        scores: dict[str, str | float] = {name: float(told[name]) for name in ("OS", "FS", "RS")}
        if told["guess"] != told["label"]:
            scores |= {"CS": float(told["CS"]), "P": short(clips.names[told["guess"]])}
        saliency, mask = arrays["saliency"][position] / 255, arrays["mask"][position]
        rows.append(explanation_row(title, clip, mask, saliency=saliency, scores=scores))
    return player(rows, caption=caption_of(study, clips, position))


def caption_of(study, clips: Clips, position: int) -> str:
    """Return the caption of a validation clip: its class, its id and the paper's own number."""
    clip = clips.index.iloc[position]
    number = None if study.rendered else NUMBERS.get(clip["clip_id"])
    theirs = f" The paper's sequence {number}." if number else ""
    return f"{clip['label_name']}: clip {clip['clip_id']} of the validation split.{theirs}"

"""A temporal mask to scrub in a page without a kernel: the figure itself holds all answers.

A clip has few windows of frames to perturb. From the score of each, the order of frames under it,
and the clip's frames, ``scrubber.js`` shows every perturbed clip and its exact score.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from vidlib import check
from vidlib.explain.objective import penalty
from vidlib.explain.perturb import PERTURBATIONS, frame_order, window_masks
from vidlib.show import sprites
from vidlib.show.clips import caption_of, enlarged
from vidlib.show.names import TITLES, short

FPS = 5  # of the clip, at 1x
DIGITS = 5  # of scores


@dataclass(frozen=True)
class Answers:
    """A network's score of one class on one clip: original, and under every mask that was tried.

    network: its title. guess: the class's name. score: on the original clip. landscapes: by the
    name of a perturbation, scores (T, T) by first and last frame of the perturbed window (both
    included), NaN where none was tried. mask: learned, (T,) in [0, 1], if any; mask_scores: its
    scores by perturbation, where known.
    """

    network: str
    guess: str
    score: float
    landscapes: Mapping[str, np.ndarray]
    mask: np.ndarray | None = None
    mask_scores: Mapping[str, float] = field(default_factory=dict)


def scrubber_figure(
    frames: np.ndarray,
    answers: Sequence[Answers],
    *,
    caption: str,
    l1: float = 0.01,
    tv: float = 0.02,
    autoplay: bool = False,
) -> sprites.Figure:
    """Return a figure in which readers scrub a clip's mask; tables give the networks' answers.

    frames: (T, H, W, 3) uint8 RGB, the original clip. answers: one per network, all for the same
    perturbations, which must reorder frames without mixing them. ``caption`` appears under the
    figure. The best window has the least loss by Eq. 1, with the weights ``l1`` and ``tv``; ties
    go to the earliest, then shortest. With ``autoplay`` it starts by itself, otherwise at the first
    touch, except for readers who asked for less motion. Titles and names are shown as text: markup
    in them is not interpreted.

    Raises ValueError that names the network and perturbation for invalid answers.

    >>> scores = np.array([[0.9, 0.2], [np.nan, 0.7]])
    >>> answers = [Answers("I3D", "Boxing", 0.9, {"freeze": scores})]
    >>> scrubber_figure(np.zeros((2, 8, 8, 3), np.uint8), answers, caption="A clip.").text[-51:]
    'clip, 0.200 with frames 1 to 2 perturbed by freeze.'
    """
    sprites.check_clip("frames", frames)
    length = len(frames)
    _check(answers, length, caption)
    tables = [table for one in answers for table in one.landscapes.values()]
    windows = np.argwhere(~np.isnan(tables).all(0))
    first, last = torch.from_numpy(windows).T
    masks = window_masks(first, last, length).float()
    penalties, names = penalty(masks, l1, tv), list(answers[0].landscapes)
    networks = []
    for one in answers:
        told = {"title": one.network, "guess": one.guess, "score": round(float(one.score), DIGITS)}
        scores = {name: one.landscapes[name][tuple(windows.T)] for name in names}
        told["tables"] = {name: score_table(scores[name], penalties) for name in names}
        networks.append({**told, "learned": _learned(one)})
    figure = {"caption": caption, "frames": length, "fps": FPS, "autoplay": autoplay}
    figure |= sprites.sprite_sheet(frames)
    figure |= {"perturbations": names, "windows": windows.tolist(), "networks": networks}
    figure["orders"] = {name: _orders(name, masks) for name in names}
    text = _in_words(figure)
    return sprites.Figure("temporal-mask-scrubber", figure, text, [scrubber_module()])


def most_harmed(study) -> int:
    """Return the position of the searched clip that some frozen window harms most.

    The harm is the largest drop in score under any window, for the less affected network.

    >>> position = most_harmed(study)
    >>> 0 <= position < len(study.explained_clips())
    True
    """
    taken = []
    for network in TITLES:
        landscapes = study.arrays(f"search-{network}", "landscapes")
        told = study.table(f"explain-{network}", "clips")["OS"].to_numpy()[landscapes["clips"]]
        taken.append(told - np.nanmin(landscapes["freeze"], axis=(1, 2)))
    return int(landscapes["clips"][np.min(taken, axis=0).argmax()])


def mask_scrubber(study, position: int, *, autoplay: bool = False) -> sprites.Figure:
    """Return the figure of one of the study's explained clips, with its networks' answers.

    position: of the clip among those that are explained. The class followed is each network's
    guess. Raises ValueError for a clip whose windows were not all scored.

    >>> figure = mask_scrubber(study, most_harmed(study)).figure
    >>> [network["title"] for network in figure["networks"]]
    ['I3D', 'C-LSTM']
    """
    clips = study.explained_clips()
    answers = []
    for network, title in TITLES.items():
        told = study.table(f"explain-{network}", "clips").iloc[position]
        landscapes = study.arrays(f"search-{network}", "landscapes")
        searched = landscapes.pop("clips").tolist()
        check.one_of("position", position, searched)
        row, guess = searched.index(position), short(clips.names[told["guess"]])
        mine = {name: scores[row] for name, scores in landscapes.items()}
        mask = study.arrays(f"explain-{network}", "arrays")["mask"][position]
        under = {"freeze": told["FS"], "reverse": told["RS"]}
        answers.append(Answers(title, guess, told["OS"], mine, mask, under))
    frames, caption = enlarged(clips.frames[position]), caption_of(study, clips, position)
    weights = {"l1": study.profile.mask_l1, "tv": study.profile.mask_tv}
    return scrubber_figure(frames, answers, caption=caption, autoplay=autoplay, **weights)


def scrubber_module() -> str:
    """Return the module that draws scrubbers, in static pages and, with a kernel, in JupyterLab."""
    return sprites.script_module("landscape.js", "mask_line.js", "tables.js", "scrubber.js")


def _orders(name: str, masks: torch.Tensor) -> str:
    """Return the frame displayed at each time, per mask (N, T): N times T bytes, as base64."""
    matrices = PERTURBATIONS[name](masks)
    if not (matrices.amax(-1) == 1).all():
        remedy = "give one that reorders them, or use the live Scrubber"
        raise ValueError(f"{name} mixes frames: {remedy}")
    return _bytes(frame_order(matrices))


def _bytes(values: torch.Tensor) -> str:
    return base64.b64encode(values.round().numpy().astype(np.uint8).tobytes()).decode("ascii")


def score_table(scores: np.ndarray, penalties: torch.Tensor) -> dict:
    """Return the scores (N,) of N windows, None where not tried, and the window of least loss."""
    listed = [None if np.isnan(s) else round(float(s), DIGITS) for s in scores]
    return {"scores": listed, "best": int(np.nanargmin(scores + penalties.numpy()))}


def _learned(one: Answers) -> dict | None:
    """Return a learned mask and, by perturbation, its score and how it mixes frames, in 255ths."""
    if one.mask is None:
        return None
    mask = torch.as_tensor(np.asarray(one.mask, np.float32))
    answers = {}
    for name, score in one.mask_scores.items():
        if name in one.landscapes:
            weights = _bytes(255 * PERTURBATIONS[name](mask[None]))
            answers[name] = {"score": round(float(score), DIGITS), "weights": weights}
    return {"mask": [round(m, DIGITS) for m in mask.tolist()], "answers": answers}


def _in_words(figure: dict) -> str:
    said = [figure["caption"]]
    for network in figure["networks"]:
        left = []
        for name, table in network["tables"].items():
            first, last = figure["windows"][table["best"]]
            score = table["scores"][table["best"]]
            which = f"frame {first + 1}" if first == last else f"frames {first + 1} to {last + 1}"
            left.append(f"{score:.3f} with {which} perturbed by {name}")
        said.append(
            f"{network['title']}'s score for {network['guess']} is {network['score']:.3f} on the "
            f"untouched clip, {', '.join(left)}."
        )
    return " ".join(said)


def _check(answers: Sequence[Answers], length: int, caption: str) -> None:
    check.filled("caption", caption, "words that say what the figure shows")
    check.count("the number of frames", length, most=256)
    check.filled("answers", answers, "those of at least one network")
    first = answers[0]
    check.filled(f"landscapes of {first.network}", first.landscapes, "at least one")
    for one in answers:
        check.unit(f"the score of {one.network}", np.asarray(one.score))
        if list(one.landscapes) != list(first.landscapes):
            these, those = (", ".join(a.landscapes) or "nothing" for a in (one, first))
            found = f"{one.network} has landscapes of {these}, {first.network} of {those}"
            raise ValueError(f"{found}: give all networks the same")
        for name, table in one.landscapes.items():
            check.one_of("perturbation", name, PERTURBATIONS)
            what = f"the landscape of {one.network} under {name}"
            size = (length, length)
            check.shape(what, table, f"scores by first and last frame, {size}", table.shape == size)
            if np.isnan(table).all():
                raise ValueError(f"{what} has no score: leave the perturbation out")
            if not np.isnan(table[np.tril_indices(length, -1)]).all():
                raise ValueError(f"{what} has scores of windows that end before they begin")
            check.unit(what, table[~np.isnan(table)])
        if one.mask is not None:
            what = f"the mask of {one.network}"
            sprites.check_mask(what, one.mask, length)
            for name, score in one.mask_scores.items():
                check.unit(f"{what}'s score under {name}", np.asarray(score))

"""A temporal mask to scrub in a page without a kernel: all answers are in the figure itself.

A clip has few windows of frames to perturb. With the score of each, the order of frames that each
leads to, and the clip's frames, ``scrubber.js`` shows every perturbed clip and its exact score.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from vidlib.explain.objective import penalty
from vidlib.explain.perturb import PERTURBATIONS, frame_order, window_masks
from vidlib.check import unknown
from vidlib.show.figures import TITLES, enlarged, short
from vidlib.show.sprites import check_clip, check_unit, element, script_module, sprite_sheet

FPS = 5  # of the clip, at 1x
DIGITS = 5  # of scores


@dataclass(frozen=True)
class Answers:
    """A network's score of one class on one clip: untouched, and under every mask that was tried.

    network: its title. guess: the class's name. score: on the untouched clip. landscapes: by the
    name of a perturbation, scores (T, T) by first and last frame of the perturbed window (both
    included), NaN where none was tried. mask: learned, (T,) in [0, 1], if any; mask_scores: under
    it, by perturbation, where known.
    """

    network: str
    guess: str
    score: float
    landscapes: Mapping[str, np.ndarray]
    mask: np.ndarray | None = None
    mask_scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ScrubberFigure:
    """A mask to scrub, shown by Jupyter and in the book; made by :func:`scrubber_figure`.

    ``sheet`` holds the WebP bytes of the clip's frames; ``figure`` what ``scrubber.js`` reads;
    ``text`` says the figure in words.
    """

    figure: dict
    sheet: bytes
    text: str

    def _repr_html_(self) -> str:
        """Return the figure as HTML that works alone, beside others, and more than once a page."""
        tag = "temporal-mask-scrubber"
        return element(tag, self.figure, self.sheet, self.text, scrubber_module())

    def __repr__(self) -> str:
        """Describe the figure in words, for readers of plain text."""
        return f"<ScrubberFigure: {self.text}>"


def scrubber_figure(
    frames: np.ndarray,
    answers: Sequence[Answers],
    *,
    caption: str,
    l1: float = 0.01,
    tv: float = 0.02,
    autoplay: bool = False,
) -> ScrubberFigure:
    """Return a figure in which a clip's mask is scrubbed and networks answer, out of tables.

    frames: (T, H, W, 3) uint8 RGB, untouched. answers: of each network, all for the same
    perturbations, which must re-order frames without mixing them. ``caption`` stands under the
    figure. The best window is that of least loss by Eq. 1, with the weights ``l1`` and ``tv``; ties
    go to the earliest, then shortest. With ``autoplay`` it plays of itself, and without it once it
    is touched, except for readers who asked for less motion. Titles and names are shown as text:
    markup in them is not interpreted.

    Raises ValueError that names the network and perturbation for what it cannot use.
    """
    check_clip("frames", frames)
    length = len(frames)
    _check(answers, length, caption)
    tried = np.any(
        [~np.isnan(table) for one in answers for table in one.landscapes.values()], axis=0
    )
    windows = np.argwhere(tried)
    sheet, layout = sprite_sheet(frames)
    figure = {
        "caption": caption,
        "frames": length,
        "fps": FPS,
        "autoplay": autoplay,
        **layout,
        "perturbations": list(answers[0].landscapes),
        "windows": windows.tolist(),
        "orders": {name: _orders(name, windows, length) for name in answers[0].landscapes},
        "networks": [
            {
                "title": one.network,
                "guess": one.guess,
                "score": round(float(one.score), DIGITS),
                "tables": {
                    name: score_table(table[tuple(windows.T)], windows, length, l1, tv)
                    for name, table in one.landscapes.items()
                },
                "learned": _learned(one),
            }
            for one in answers
        ],
    }
    return ScrubberFigure(figure, sheet, _in_words(figure))


def most_harmed(study) -> int:
    """Return the position of the searched clip that some frozen window harms most.

    By the least, over both networks, of what the best window takes of the network's score.
    """
    taken = []
    for network in TITLES:
        landscapes = study.arrays(f"search-{network}", "landscapes")
        told = study.table(f"explain-{network}", "clips")["OS"].to_numpy()[landscapes["clips"]]
        taken.append(told - np.nanmin(landscapes["freeze"], axis=(1, 2)))
    return int(landscapes["clips"][np.min(taken, axis=0).argmax()])


def mask_scrubber(study, position: int, *, autoplay: bool = False) -> ScrubberFigure:
    """Return the figure of one of the study's explained clips, with its networks' answers.

    position: of the clip among those that are explained. The class followed is each network's
    guess. Raises ValueError for a clip whose windows were not all scored.
    """
    clips = study.explained_clips()
    answers = []
    for network, title in TITLES.items():
        told = study.table(f"explain-{network}", "clips").iloc[position]
        landscapes = study.arrays(f"search-{network}", "landscapes")
        searched = landscapes.pop("clips").tolist()
        if position not in searched:
            raise ValueError(
                f"position is {position}: give one of {', '.join(map(str, searched))}, or score "
                "the windows of more clips (searched_clips)"
            )
        answers.append(
            Answers(
                title,
                short(clips.names[told["guess"]]),
                told["OS"],
                {name: scores[searched.index(position)] for name, scores in landscapes.items()},
                study.arrays(f"explain-{network}", "arrays")["mask"][position],
                {"freeze": told["FS"], "reverse": told["RS"]},
            )
        )
    label = clips.index["label_name"].iloc[position]
    return scrubber_figure(
        enlarged(clips.frames[position]),
        answers,
        caption=f"{label}: clip {clips.index['clip_id'].iloc[position]} of the validation split.",
        l1=study.profile.mask_l1,
        tv=study.profile.mask_tv,
        autoplay=autoplay,
    )


def scrubber_module() -> str:
    """Return the module that draws scrubbers, in a static page and, by a kernel, in JupyterLab."""
    return script_module("landscape.js", "mask_line.js", "tables.js", "scrubber.js")


def windows_as_masks(windows: np.ndarray, length: int) -> torch.Tensor:
    """Turn N first and last frames, (N, 2) int, both included, into on/off masks (N, length)."""
    return window_masks(*torch.as_tensor(windows).T, length).float()


def _orders(name: str, windows: np.ndarray, length: int) -> str:
    """Return which frame is shown when, for each window: N times length bytes, as base64."""
    matrices = PERTURBATIONS[name](windows_as_masks(windows, length))
    if not (matrices.amax(-1) == 1).all():
        raise ValueError(
            f"{name} mixes frames: only perturbations that re-order them can be shown without a "
            "kernel; vidlib.show.scrubber.Scrubber shows all"
        )
    return _bytes(frame_order(matrices))


def _bytes(values: torch.Tensor) -> str:
    return base64.b64encode(values.round().numpy().astype(np.uint8)).decode("ascii")


def score_table(scores: np.ndarray, windows: np.ndarray, length: int, l1: float, tv: float) -> dict:
    """Return the scores (N,) of N windows, None where not tried, and which has the least loss."""
    loss = scores + penalty(windows_as_masks(windows, length), l1, tv).numpy()
    listed = [None if np.isnan(s) else round(float(s), DIGITS) for s in scores]
    return {"scores": listed, "best": int(np.nanargmin(loss))}


def _learned(one: Answers) -> dict | None:
    """Return a learned mask and, by perturbation, its score and how it mixes frames, in 255ths."""
    if one.mask is None:
        return None
    mask = torch.as_tensor(np.asarray(one.mask, np.float32))
    answers = {
        name: {
            "score": round(float(score), DIGITS),
            "weights": _bytes(255 * PERTURBATIONS[name](mask[None])),
        }
        for name, score in one.mask_scores.items()
        if name in one.landscapes
    }
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
    if not caption.strip():
        raise ValueError("caption is empty: say what the figure shows")
    if length > 256:
        raise ValueError(f"the clip has {length} frames: 256 at most can be scrubbed")
    if not answers:
        raise ValueError("answers is empty: give those of at least one network")
    for one in answers:
        check_unit(f"the score of {one.network}", np.asarray(one.score))
        if list(one.landscapes) != list(answers[0].landscapes) or not one.landscapes:
            raise ValueError(
                f"{one.network} has landscapes of {', '.join(one.landscapes) or 'nothing'}, "
                f"{answers[0].network} of {', '.join(answers[0].landscapes) or 'nothing'}: "
                "give all networks the same, at least one"
            )
        for name, table in one.landscapes.items():
            what = f"the landscape of {one.network} under {name}"
            if name not in PERTURBATIONS:
                raise ValueError(unknown("perturbation", name, PERTURBATIONS))
            if table.shape != (length, length):
                raise ValueError(
                    f"{what} has shape {table.shape}: give first by last frame, {(length, length)}"
                )
            if np.isnan(table).all():
                raise ValueError(f"{what} has no score: leave the perturbation out")
            if not np.isnan(table[np.tril_indices(length, -1)]).all():
                raise ValueError(f"{what} has scores of windows that end before they begin")
            check_unit(what, table[~np.isnan(table)])
        if one.mask is not None:
            what = f"the mask of {one.network}"
            if np.shape(one.mask) != (length,):
                raise ValueError(
                    f"{what} has shape {np.shape(one.mask)}: give one value per frame, {(length,)}"
                )
            check_unit(what, np.asarray(one.mask))
            for name, score in one.mask_scores.items():
                check_unit(f"{what}'s score under {name}", np.asarray(score))

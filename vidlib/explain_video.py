"""Explain what any network says of any video: scores, Grad-CAM, a temporal mask, and checks.

What chapter 8 shows and what ``python -m vidlib explain`` writes.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidlib import check
from vidlib.explain import PERTURBATIONS, REORDERINGS, find_masks, grad_cam, perturb, score_clips
from vidlib.show import Answers, Chart, Figure, explanation_row, landscape_chart, player
from vidlib.show.scrubber_figure import scrubber_figure
from vidlib.video_network import VideoNetwork, class_number, read_frames, window_scores

SIDES = (112, 224)  # pixels of the longer side of a figure's pictures, at least and at most


@dataclass(frozen=True)
class VideoExplanation:
    """A network's answer on a video, what explains it, and what can be checked without truth.

    model: the network's name. frames: (T, H, W, 3) uint8, as the network sees them. saliency: (T,
    H, W) in [0, 1], None without a layer for Grad-CAM. numbers: in a form that JSON holds, `top`:
    the five best classes, each with its score; `class`: the explained one; `score`, `score_masked`,
    `score_all_perturbed`: of that class; `mask`: (T,) in [0, 1]; `mask_length`: how many of its
    values exceed 0.5; `landscape`: (T, T), the score by first and last perturbed frame, None where
    not tried; `saliency_by_frame`: (T,) means; `class_on_frames_between`,
    `score_on_frames_between`: what the network says of the frames between those shown;
    `scores_of_windows_as_long`: the scores with each window of the mask's length perturbed.
    """

    model: str
    perturbation: str
    frames: np.ndarray
    saliency: np.ndarray | None
    numbers: dict[str, Any]

    def finding(self) -> str:
        """Return what the mask shows, as a sentence."""
        told, on = self.numbers, np.flatnonzero(np.array(self.numbers["mask"]) > 0.5) + 1
        name = f"the score of “{told['class']}”"
        if not len(on):
            return (
                f"No mask pays off: no window under {self.perturbation} costs as much of {name}, "
                f"{told['score']:.3f}, as Eq. 1 charges for its length."
            )
        runs = np.split(on, np.flatnonzero(np.diff(on) > 1) + 1)
        which = ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
        return (
            f"With {self.perturbation} on {len(on)} of {len(self.frames)} frames ({which}), {name} "
            f"goes from {told['score']:.3f} to {told['score_masked']:.3f}; on all frames, to "
            f"{told['score_all_perturbed']:.3f}."
        )

    def checks(self) -> list[str]:
        """Return what can be checked without knowing the truth, a sentence or two each."""
        told, left = self.numbers, np.array(self.numbers["scores_of_windows_as_long"])
        said = [
            "Would the frames between have said the same? They are called "
            f"“{told['class_on_frames_between']}”; “{told['class']}” scores "
            f"{told['score_on_frames_between']:.3f} on them, {told['score']:.3f} on those shown.",
            "Does the network know what it sees? A softmax has no class “none of these”: a high "
            "score means that a class beats its rivals, not that it is there.",
        ]
        if len(left):
            said.append(
                f"Would any window have done? The {len(left)} windows as long as the mask leave "
                f"scores from {left.min():.3f} to {left.max():.3f}, with a median of "
                f"{np.median(left):.3f}: the closer these are, the less the mask's place means."
            )
        return said

    def player(self) -> Figure:
        """Return the frames as the network sees them, the map, and the frames under the mask."""
        told = self.numbers
        scores = {"OS": told["score"], "masked": told["score_masked"]}
        row = explanation_row(
            self.model,
            self.frames,
            np.array(told["mask"]),
            saliency=self.saliency,
            perturbation=PERTURBATIONS[self.perturbation],
            perturbed=f"perturbed: {self.perturbation}",
            scores={**scores, "all": told["score_all_perturbed"]},
            side=int(np.clip(max(self.frames.shape[1:3]), *SIDES)),
        )
        caption = (
            f"What {self.model} sees, and why it says: {told['class']}. The score of that is OS on "
            "the clip itself, then with the mask, then with all frames perturbed."
        )
        return player([row], caption=caption)

    def windows(self) -> Figure | Chart:
        """Return the score of each window that was tried; to drag, if frames are not mixed."""
        told, name = self.numbers, self.perturbation
        mask, score = np.array(told["mask"]), told["score"]
        tried, masked = {name: np.array(told["landscape"], float)}, {name: told["score_masked"]}
        if name not in REORDERINGS:
            return landscape_chart(tried[name], told["class"], mask, doing=name)
        answers = Answers(self.model, told["class"], score, tried, mask, masked)
        caption = "Drag the mask: the score that each window leaves, where the search tried it."
        return scrubber_figure(self.frames, [answers], caption=caption)


def explain_video(
    video: str | Path,
    network: VideoNetwork,
    target: int | str | None = None,
    *,
    model: str = "the network",
    perturbation: str = "freeze",
    start: int = 0,
    stop: int | None = None,
) -> VideoExplanation:
    """Ask a network about a video and explain its answer by Grad-CAM and a temporal mask.

    target: the class to explain, by number or name; by default the guess. model: the network's
    name in figures. perturbation: a name in `vidlib.explain.PERTURBATIONS`. start, stop: frames of
    the video, by default all. Raises ValueError for invalid arguments and `VideoError` for a file
    that cannot be read.

    >>> from vidlib.models import CLSTM
    >>> from vidlib.video_network import STREET
    >>> net = CLSTM(3, frames=8, size=(24, 32), layers=1, hidden=2).eval()
    >>> asked = VideoNetwork(net, 8, (24, 32), classes=["walk", "run", "stand"])
    >>> len(explain_video(STREET, asked, "run").numbers["mask"])
    8
    """
    check.one_of("perturbation", perturbation, PERTURBATIONS)
    change, wanted = PERTURBATIONS[perturbation], class_number(network, target)
    frames = read_frames(video, network, start, stop)
    clip, asked = network.clip(frames), network.network
    scores = score_clips(asked, clip)[0]
    followed = int(scores.argmax()) if wanted is None else wanted
    targets, saliency = torch.tensor([followed]), None
    if network.layer is not None:
        maps = grad_cam(asked, clip, targets, layer=network.layer, reshape=network.reshape)
        saliency = maps[0].cpu().numpy()
    found = find_masks(asked, clip, targets, perturbation=change)
    whole = perturb(clip, change(torch.ones_like(found.mask)))
    everywhere = score_clips(asked, whole)[0]
    twice = read_frames(video, replace(network, frames=2 * network.frames), start, stop)
    between = score_clips(asked, network.clip(twice[1::2]))[0]
    assert found.landscape is not None
    length, top = int((found.mask > 0.5).sum()), scores.topk(min(5, len(scores)))
    left = window_scores(asked, clip, followed, length, change).tolist() if length else []
    numbers = {
        "top": [(network.classes[k], s) for k, s in zip(top[1], top[0].tolist(), strict=True)],
        "class": network.classes[followed],
        "score": float(scores[followed]),
        "score_masked": float(found.score),
        "score_all_perturbed": float(everywhere[followed]),
        "mask": found.mask[0].tolist(),
        "mask_length": length,
        "landscape": [[None if s != s else s for s in row] for row in found.landscape[0].tolist()],
        "saliency_by_frame": None if saliency is None else saliency.mean((1, 2)).tolist(),
        "class_on_frames_between": network.classes[int(between.argmax())],
        "score_on_frames_between": float(between[followed]),
        "scores_of_windows_as_long": left,
    }
    return VideoExplanation(model, perturbation, frames, saliency, numbers)

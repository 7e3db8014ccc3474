"""Scrub a temporal mask by hand, with the network answering: a live widget for JupyterLab."""

import io

import ipywidgets as widgets
import numpy as np
import torch
from PIL import Image

from vidlib.data.clips import to_network
from vidlib.explain.perturb import freeze, perturb, reverse
from vidlib.explain.scores import score_clips
from vidlib.show.figures import TITLES, frames_after, short

PERTURBATIONS = {"freeze": freeze, "reverse": reverse}


def window(length: int, first: int, last: int) -> np.ndarray:
    """Return the on/off mask, (length,) float32, that is on from first to last, both included."""
    frame = np.arange(length)
    return ((frame >= first) & (frame <= last)).astype(np.float32)


class Scrubber(widgets.VBox):
    """Choose a clip, a network, a perturbation and the frames it acts on; read the score.

    The score is of the class that the network guesses on the untouched clip. Attributes that tests
    and readers may use: clip, network, perturbation, frames (the controls) and score (a float).
    """

    def __init__(self, study):
        self.study = study
        self.clips = study.explained()
        self.networks = {title: study.network(name) for name, title in TITLES.items()}
        length = self.clips.frames.shape[1]
        names = self.clips.index["label_name"]
        self.clip = widgets.Dropdown(
            options=[(f"{i}: {short(name)}", i) for i, name in enumerate(names)],
            description="clip",
        )
        self.network = widgets.ToggleButtons(options=list(self.networks), description="network")
        self.perturbation = widgets.ToggleButtons(options=list(PERTURBATIONS), description="do")
        self.frames = widgets.IntRangeSlider(
            value=(length // 3, 2 * length // 3),
            max=length - 1,
            description="frames",
            continuous_update=False,
            layout={"width": "32em"},
        )
        self.strip = widgets.Image(format="png", layout={"width": "100%"})
        self.answer = widgets.HTML()
        controls = (self.clip, self.network, self.perturbation, self.frames)
        for control in controls:
            control.observe(self._update, "value")
        super().__init__([*controls, self.strip, self.answer])
        self._update()

    def _update(self, _change=None) -> None:
        frames = self.clips.frames[self.clip.value]
        net = self.networks[self.network.value]
        mask = window(len(frames), *self.frames.value)
        change = PERTURBATIONS[self.perturbation.value]
        clip = to_network(frames)[None]
        before = score_clips(net, clip)[0]
        guess = int(before.argmax())
        after = score_clips(net, perturb(clip, change(torch.from_numpy(mask)[None])))[0]
        self.score = float(after[guess])
        name = short(self.clips.names[self.clips.classes[guess]])
        now = short(self.clips.names[self.clips.classes[int(after.argmax())]])
        self.answer.value = (
            f"<b>{name}</b>: {before[guess]:.3f} untouched, <b>{self.score:.3f}</b> now"
            f" (best now: {now}, {after.max():.3f})"
        )
        shown = frames_after(frames, mask, change)
        edge = np.full((len(frames), 4, shown.shape[2], 3), (60, 150, 80), np.uint8)
        edge[mask > 0.5] = (200, 40, 40)
        strip = np.concatenate(list(np.concatenate([shown, edge], axis=1)), axis=1)
        file = io.BytesIO()
        Image.fromarray(strip).save(file, "png")
        self.strip.value = file.getvalue()

"""Scrub a temporal mask by hand while the network answers: a live widget for JupyterLab."""

import copy
import threading
from collections.abc import Callable
from functools import partial

import anywidget
import ipywidgets as widgets
import torch
import traitlets

from vidlib.data.clips import to_network
from vidlib.explain.masks import TemporalMasks, learn_masks, search_masks
from vidlib.explain.objective import penalty
from vidlib.explain.perturb import PERTURBATIONS, perturb, window_masks
from vidlib.explain.scores import score_clips
from vidlib.models.store import best_device
from vidlib.show.clips import enlarged
from vidlib.show.names import TITLES, short
from vidlib.show.scrubber_figure import FPS, score_table, scrubber_module
from vidlib.show.sprites import sprite_sheet


class MaskView(anywidget.AnyWidget):
    """The state that ``scrubber.js`` shows and sets; the script explains the attributes."""

    _esm = scrubber_module()
    live = traitlets.Bool(True).tag(sync=True)
    network = traitlets.Int(0).tag(sync=True)
    figure = traitlets.Dict().tag(sync=True)
    perturbation = traitlets.Enum(list(PERTURBATIONS), "freeze").tag(sync=True)
    mask = traitlets.List(traitlets.Float()).tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)
    landscape = traitlets.Dict().tag(sync=True)
    busy = traitlets.Unicode().tag(sync=True)


class Scrubber(widgets.VBox):
    """Choose a clip, a network, a class, a perturbation and a mask; read the score.

    Attributes that tests and readers may use: clip, network and target (controls; target is the
    number of the network's output that is scored, at first its guess); view, with the choices made
    by dragging: ``perturbation``, a name, and ``mask``, a value in [0, 1] for each frame; score, a
    float. The slow tasks, learning a mask and scoring all windows, run in the thread ``work``.
    """

    def __init__(self, study):
        self.study = study
        self.clips = study.explained_clips()
        self.networks = {t: study.network(name).to(best_device()) for name, t in TITLES.items()}
        explained = {t: study.arrays(f"explain-{name}", "arrays") for name, t in TITLES.items()}
        self.learned = {title: arrays["mask"] for title, arrays in explained.items()}
        self.work: threading.Thread | None = None
        length = self.clips.frames.shape[1]
        first, last = torch.triu_indices(length, length)
        self.windows = torch.stack([first, last], dim=1).numpy()
        self.weights = {"l1": study.profile.mask_l1, "tv": study.profile.mask_tv}
        masks = window_masks(first, last, length).float()
        self.penalties = penalty(masks, **self.weights)
        options = [(f"{i}: {short(n)}", i) for i, n in enumerate(self.clips.index["label_name"])]
        self.clip = widgets.Dropdown(options=options, description="clip")
        self.network = widgets.ToggleButtons(options=list(self.networks), description="network")
        self.network.add_class("widget-inline-hbox")  # puts its label in front, as for the others
        classes = [(short(self.clips.names[c]), k) for k, c in enumerate(self.clips.classes)]
        self.target = widgets.Dropdown(options=classes, description="class")
        middle = [float(length // 3 <= frame <= 2 * length // 3) for frame in range(length)]
        self.view = MaskView(mask=middle)
        for control in (self.clip, self.network):
            control.observe(self._guess, "value")
        self.target.observe(self._follow, "value")
        self.view.observe(self._perturbed, "perturbation")
        self.view.observe(self._score, "mask")
        self.view.on_msg(self._asked)
        super().__init__([self.clip, self.network, self.target, self.view])
        self._guess()

    def _guess(self, _change=None) -> None:
        """Start with another clip or network: score the class that it guesses."""
        self._frames = to_network(self.clips.frames[self.clip.value])[None]
        self._before = score_clips(self._net, self._frames)[0]
        guess = int(self._before.argmax())
        if guess == self.target.value:
            self._follow()
        else:
            self.target.value = guess

    def _follow(self, _change=None) -> None:
        """Start with another class."""
        title, clip = self.network.value, self.clip.value
        name, frames = self.clips.index["label_name"].iloc[clip], enlarged(self.clips.frames[clip])
        score = float(self._before[self.target.value])
        learned = {"mask": self.learned[title][clip].tolist()}
        told = {"title": title, "guess": self.target.label, "score": score, "learned": learned}
        figure = {"caption": name, "frames": len(frames), "fps": FPS, "networks": [told]}
        figure |= {"perturbations": list(PERTURBATIONS), "windows": self.windows.tolist()}
        with self.view.hold_sync():
            self.view.figure = figure | sprite_sheet(frames)
            self._perturbed()

    def _perturbed(self, _change=None) -> None:
        """Start with another perturbation, with no window scored."""
        self.view.landscape = {}
        self._score()

    def _score(self, _change=None) -> None:
        """Score the clip under the mask."""
        matrix = PERTURBATIONS[self.view.perturbation](torch.tensor([self.view.mask]))
        scores = score_clips(self._net, perturb(self._frames, matrix))[0]
        self.score = float(scores[self.target.value])
        now = int(scores.argmax())
        self.view.answer = {
            "perturbation": self.view.perturbation,
            "mask": self.view.mask,
            "score": self.score,
            "rows": matrix[0].double().numpy().round(4).tolist(),
            "note": f"Best now: {self.target.options[now][0]}, {scores[now]:.3f}",
        }

    @property
    def _net(self) -> torch.nn.Module:
        return self.networks[self.network.value]

    @property
    def _question(self) -> tuple:
        """All choices that an answer depends on, except the mask."""
        return self.clip.value, self.network.value, self.target.value, self.view.perturbation

    def _asked(self, _view, message: dict, _buffers) -> None:
        """Do in the background what the page asks for, one thing at a time."""
        if self.view.busy:
            return
        self.view.busy = message["do"]
        p, make = self.study.profile, search_masks
        options = {"perturbation": PERTURBATIONS[self.view.perturbation], **self.weights}
        if message["do"] == "learn":
            make = learn_masks
            options |= {"iterations": p.mask_iterations, "lr": p.mask_lr}
            options["start"] = torch.tensor([self.view.mask])
        # A copy of the network: meanwhile scoring continues, and each changes its state briefly.
        asked = copy.deepcopy(self._net), self._frames, torch.tensor([self.target.value])
        work = partial(make, *asked, **options)
        self.work = threading.Thread(target=self._run, args=(work, self._question), daemon=True)
        self.work.start()

    def _run(self, work: Callable[[], TemporalMasks], question: tuple) -> None:
        """Work, and show the result unless the reader has chosen something else by then."""
        try:
            found = work()
            if question != self._question:
                return
            if found.path is not None:
                done = found.path[0].isfinite().all(1)
                self.view.send({"path": [*found.path[0][done].tolist(), found.mask[0].tolist()]})
            if found.landscape is not None:
                scores = found.landscape[0].numpy()[tuple(self.windows.T)]
                self.view.landscape = score_table(scores, self.penalties)
        finally:
            self.view.busy = ""

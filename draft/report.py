"""Explain videos with any network, in one page: python -m vidlib explain my.mp4 --out report.html.

The page needs nothing else: players, masks, maps, scores and what can be checked without truth. A
JSON file beside it holds the numbers. Each finished video is kept in a folder beside the page until
all are done, so that a stopped run resumes.
"""

import argparse
import hashlib
import html
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidlib import check
from vidlib.explain.gradcam import grad_cam
from vidlib.explain.masks import TemporalMasks, find_masks
from vidlib.explain.perturb import PERTURBATIONS, REORDERINGS, perturb
from vidlib.explain.scores import score_clips
from vidlib.files import write_text
from vidlib.show.figures import explanation_row
from vidlib.show.player import player
from vidlib.show.scrubber_figure import Answers, scrubber_figure
from vidlib.study import open_study
from vidlib.video_network import (
    VideoNetwork,
    check_video,
    class_number,
    load_video_network,
    read_frames,
    window_scores,
)
from vidlib.workflow.keys import versions

SUFFIXES = ".3gp .avi .flv .gif .m4v .mkv .mov .mp4 .mpeg .mpg .ogv .ts .webm .wmv".split()
STYLE = """body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto;
padding: 0 1rem; color-scheme: light dark } table { border-collapse: collapse }
td, th { padding: .1rem .8rem .1rem 0; text-align: left } section { margin: 3rem 0 }
small { opacity: .8 }"""


@dataclass(frozen=True)
class VideoExplanation:
    """What a network says of a video, why, and what can be checked of that without truth.

    frames: (T, H, W, 3) uint8, as the network sees them. scores (K,); target, the class followed.
    saliency: (T, H, W) in [0, 1], or None without a layer. found: the temporal mask. everywhere:
    the score with all frames perturbed. between (K,): the scores on the frames between those shown.
    windows: the scores with each window as long as the mask perturbed, (T - length + 1,), empty for
    an empty mask.
    """

    frames: np.ndarray
    scores: Tensor
    target: int
    saliency: np.ndarray | None
    found: TemporalMasks
    everywhere: float
    between: Tensor
    windows: Tensor

    @property
    def mask(self) -> np.ndarray:
        """The temporal mask, (T,) in [0, 1]."""
        return self.found.mask[0].cpu().numpy()

    @property
    def length(self) -> int:
        """How many frames the mask perturbs by more than half."""
        return int((self.mask > 0.5).sum())


def explain_video(
    video: str | Path,
    network: VideoNetwork,
    target: int | str | None = None,
    *,
    perturbation: str = "freeze",
    start: int = 0,
    stop: int | None = None,
) -> VideoExplanation:
    """Ask a network about a video and explain its answer, or another class, by Grad-CAM and a mask.

    target: a class by number or name, by default the guess. perturbation: a name in
    `vidlib.explain.PERTURBATIONS`. start, stop: frames of the video, by default all of it. Raises
    ValueError for invalid arguments and `VideoError` for an unreadable file.

    >>> from vidlib.models import CLSTM
    >>> from vidlib.video_network import STREET
    >>> net = CLSTM(3, frames=8, size=(24, 32), layers=1, hidden=2).eval()
    >>> asked = VideoNetwork(net, 8, (24, 32), classes=["walk", "run", "stand"])
    >>> explain_video(STREET, asked, "run").mask.shape
    (8,)
    """
    check.one_of("perturbation", perturbation, PERTURBATIONS)
    change, wanted = PERTURBATIONS[perturbation], class_number(network, target)
    frames = read_frames(video, network, start, stop)
    clip, model = network.clip(frames), network.network
    scores = score_clips(model, clip)[0]
    followed = int(scores.argmax()) if wanted is None else wanted
    targets = torch.tensor([followed])
    saliency = None
    if network.layer is not None:
        maps = grad_cam(model, clip, targets, layer=network.layer, reshape=network.reshape)
        saliency = maps[0].cpu().numpy()
    found = find_masks(model, clip, targets, perturbation=change)
    everywhere = perturb(clip, change(torch.ones_like(found.mask)))
    denser = replace(network, frames=2 * network.frames)
    between = network.clip(read_frames(video, denser, start, stop)[1::2])
    length = int((found.mask > 0.5).sum())
    return VideoExplanation(
        frames,
        scores,
        followed,
        saliency,
        found,
        float(score_clips(model, everywhere)[0, followed]),
        score_clips(model, between)[0],
        window_scores(model, clip, followed, length, change) if length else scores[:0],
    )


def record(told: VideoExplanation, network: VideoNetwork) -> dict[str, object]:
    """Return the numbers of an explanation as JSON can hold them."""
    best = told.scores.topk(min(5, len(told.scores)))
    return {
        "top": {
            network.classes[k]: v for k, v in zip(best[1].tolist(), best[0].tolist(), strict=True)
        },
        "class": network.classes[told.target],
        "score": float(told.scores[told.target]),
        "score_masked": float(told.found.score),
        "score_all_perturbed": told.everywhere,
        "mask": told.mask.tolist(),
        "mask_length": told.length,
        "score_on_frames_between": float(told.between[told.target]),
        "class_on_frames_between": network.classes[int(told.between.argmax())],
        "scores_of_windows_as_long": told.windows.tolist(),
    }


def section(told: VideoExplanation, network: VideoNetwork, model: str, perturbation: str) -> str:
    """Return an explanation as HTML: sentence, scores, player, scrubber and checks."""
    facts, name = record(told, network), network.classes[told.target]
    on = [str(i + 1) for i in np.flatnonzero(told.mask > 0.5)]
    said = "No mask pays: no window costs the class more than the mask's own length."
    if on:
        said = (
            f"{perturbation.capitalize()} frames {', '.join(on)} of {len(told.mask)}, and the score "
            f"of <b>{html.escape(name)}</b> falls from {facts['score']:.3f} to "
            f"{facts['score_masked']:.3f}; with all frames perturbed it is {told.everywhere:.3f}."
        )
    scores = {"OS": facts["score"], "masked": facts["score_masked"], "all": told.everywhere}
    row = explanation_row(
        model,
        told.frames,
        told.mask,
        saliency=told.saliency,
        perturbation=PERTURBATIONS[perturbation],
        perturbed=f"perturbed: {perturbation}",
        scores=scores,
        side=224,
    )
    parts = [player([row], caption=f"What {model} sees, and its explanation of: {name}.")]
    if perturbation in REORDERINGS:
        landscapes = {perturbation: told.found.landscape[0].cpu().numpy()}
        masked = {perturbation: facts["score_masked"]}
        answers = Answers(model, name, facts["score"], landscapes, told.mask, masked)
        caption = "Drag the mask: the score of every window that the search tried."
        parts.append(scrubber_figure(told.frames, [answers], caption=caption))
    checks = [
        f"On the frames between those shown, it says {facts['class_on_frames_between']}; "
        f"{name} scores {facts['score_on_frames_between']:.3f}.",
        "A softmax has no class for “none of these”: a high score means that a class beats its "
        "rivals, not that it is there.",
    ]
    if len(told.windows):
        low, middle, high = (f(told.windows).item() for f in (torch.min, torch.median, torch.max))
        checks.insert(
            0,
            f"The {len(told.windows)} windows as long as the mask leave scores from {low:.3f} to "
            f"{high:.3f} (median {middle:.3f}): close together, the mask's place means little.",
        )
    rows = "".join(f"<tr><td>{html.escape(n)}<td>{s:.3f}" for n, s in facts["top"].items())
    listed = "".join(f"<li>{html.escape(line)}" for line in checks)
    figures = "".join(part._repr_html_() for part in parts)
    return (
        f"<p>{said}</p><table><tr><th>class<th>score{rows}</table>{figures}"
        f"<h3>What can be checked without truth</h3><ul>{listed}</ul>"
    )


def _files(paths: Sequence[str]) -> list[Path]:
    """Return the videos that are named, and those in folders that are named."""
    found = []
    for path in map(Path, paths):
        inside = [p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()]
        if path.is_dir() and not inside:
            raise ValueError(f"{path} holds no video: name files, or a folder with some")
        found += sorted(inside) if path.is_dir() else [path]
    return found


def write_report(
    videos: Sequence[str], network: VideoNetwork, model: str, out: Path, **options
) -> list[str]:
    """Explain videos, write the page `out` and its JSON; return why some could not be explained.

    videos: files and folders. model: the network's name, for readers. options: as `explain_video`
    takes them. A finished video is not explained again if the run was stopped.
    """
    out, paths = Path(out), _files(videos)
    parts = out.with_suffix(".parts")
    parts.mkdir(parents=True, exist_ok=True)
    kept = []
    for number, path in enumerate(paths, 1):
        state = path.stat() if path.exists() else None
        what = [str(path.absolute()), state and [state.st_size, state.st_mtime_ns], model, options]
        part = parts / f"{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]}.json"
        if not part.exists():
            begin = time.time()
            try:
                told = explain_video(path, network, **options)
                body = section(told, network, model, options.get("perturbation", "freeze"))
                facts = {"video": str(path), **record(told, network)}
            except (ValueError, OSError, RuntimeError) as error:
                body, facts = f"<p>{html.escape(str(error))}</p>", {"video": str(path)}
                facts["error"] = str(error)
            facts["seconds"] = round(time.time() - begin, 1)
            write_text(part, json.dumps({"facts": facts, "body": body}))
        kept.append(json.loads(part.read_text(encoding="utf-8")))
        last = kept[-1]["facts"]
        result = last.get("error") or f"{last['class']} {last['score']:.3f}"
        print(f"{number}/{len(paths)} {path}: {result}", flush=True)
    made = {"model": model, "options": options, "versions": versions()}
    facts = [one["facts"] for one in kept]
    sections = "".join(
        f"<section><h2>{html.escape(one['facts']['video'])}</h2>{one['body']}</section>"
        for one in kept
    )
    write_text(
        out,
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>What {html.escape(model)} '
        f'sees</title><meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<h1>What {html.escape(model)} sees</h1>{sections}<h2>How this was made</h2>"
        f"<small><pre>{html.escape(json.dumps(made, indent=1))}</pre></small></html>",
    )
    write_text(out.with_suffix(".json"), json.dumps({**made, "videos": facts}, indent=1))
    shutil.rmtree(parts)
    return [one["error"] for one in facts if "error" in one]


def main(arguments: Sequence[str] | None = None) -> int:
    """Explain the videos that the arguments name; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m vidlib explain", description=__doc__)
    add = parser.add_argument
    add("videos", nargs="+", help="video files, or folders of them")
    add(
        "--model",
        default="kinetics",
        help="kinetics, torchvision:r3d_18, package.module:function"
        " (returns a VideoNetwork), or a network of the study: i3d, clstm; default: %(default)s",
    )
    add("--out", default="report.html", help="the page; default: %(default)s")
    add("--target", help="a class, by name or number; default: the network's guess")
    add("--perturbation", default="freeze", choices=PERTURBATIONS, help="default: %(default)s")
    add("--frames", type=int, help="how many frames the network sees; default: its own number")
    add("--start", type=int, default=0, help="first frame of the video; default: 0")
    add("--stop", type=int, help="frame to stop before; default: the end")
    add("--dataset", default="something-mini", help="of the study's networks; default: %(default)s")
    add("--profile", default="quick", help="of the study's networks; default: %(default)s")
    given = parser.parse_args(arguments)
    options = {"perturbation": given.perturbation, "start": given.start, "stop": given.stop}
    try:
        for path in (files := _files(given.videos)):
            if len(files) == 1:
                check_video(path)
        network = load_video_network(
            given.model, open_study(given.dataset, given.profile), frames=given.frames
        )
        target = given.target
        if target is not None and target not in network.classes and target.isdecimal():
            target = int(target)
        options["target"] = class_number(network, target)
        failed = write_report(given.videos, network, given.model, Path(given.out), **options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"vidlib: {error}", file=sys.stderr)
        return 2
    print(given.out)
    return 1 if failed else 0

"""Explain videos with any network, in one page: python -m vidlib explain my.mp4 --out report.html.

The page needs nothing else: players, maps, masks, scores, what can be checked without truth, and
how it was made. The same numbers lie beside it as JSON. A run that was stopped resumes with the
next video.

the networks:
  kinetics                 I3D with DeepMind's weights for the 400 classes of Kinetics
  torchvision:r3d_18       or any other of torchvision's video networks, with its weights
  my_network:load          a function, importable or in a file (folder/my_network.py:load), that
                           returns a vidlib.video_network.VideoNetwork
  i3d, clstm, ...          a network of the study, trained first if need be

examples:
  python -m vidlib explain my.mp4
  python -m vidlib explain my.mp4 --start 250 --stop 310 --model torchvision:mvit_v2_s
  python -m vidlib explain holiday/ --target "ice skating" --perturbation reverse --out skating.html
"""

import argparse
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import plotly.io

from vidlib.explain.perturb import PERTURBATIONS
from vidlib.explain_video import VideoExplanation, explain_video
from vidlib.files import write_text
from vidlib.show.chart import WEB, Chart
from vidlib.study import open_study
from vidlib.video_network import VideoNetwork, check_video, class_number, load_video_network
from vidlib.workflow.keys import versions

SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)


def videos_in(paths: Sequence[str | Path]) -> list[Path]:
    """Return the videos among these files and folders; those of a folder by name, at any depth.

    Raises ValueError for a folder without any.

    >>> [path.name for path in videos_in([Path(__file__).parents[1] / "notebooks/clips"])]
    ['street.webm']
    """
    found = []
    for path in map(Path, paths):
        inside = [p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()]
        if path.is_dir() and not inside:
            raise ValueError(f"{path} holds no video: name files, or a folder with some")
        found += sorted(inside) if path.is_dir() else [path]
    return found


def _section(told: VideoExplanation) -> dict[str, object]:
    """Return what the page shows of a video: sentences as text, figures as HTML."""
    windows = told.windows()
    if isinstance(windows, Chart):
        drawn = plotly.io.to_html(windows.figure, full_html=False)
    else:
        drawn = windows._repr_html_()
    figures = {"player": told.player()._repr_html_(), "windows": drawn}
    return {"finding": told.finding(), "checks": told.checks(), **figures}


def write_report(
    videos: Sequence[str | Path],
    network: VideoNetwork,
    out: str | Path,
    *,
    model: str = "the network",
    **options: Any,
) -> list[str]:
    """Explain videos; write the page `out` and a JSON beside it; return errors of single videos.

    videos: files and folders. model: the network's name. options: of `explain_video`. What is
    explained is kept in a folder beside the page until every video is, so that a stopped run
    resumes. Raises ValueError for invalid arguments.

    >>> import tempfile
    >>> from vidlib.models import CLSTM
    >>> from vidlib.video_network import STREET
    >>> net = CLSTM(2, frames=8, size=(24, 32), layers=1, hidden=2).eval()
    >>> asked = VideoNetwork(net, 8, (24, 32), classes=["walk", "run"])
    >>> page = Path(tempfile.mkdtemp(), "report.html")
    >>> write_report([STREET], asked, page), page.with_suffix(".json").exists()
    1/1 ...street.webm: ...
    ([], True)
    """
    out, paths = Path(out), videos_in(videos)
    parts = out.with_suffix(".parts")
    parts.mkdir(parents=True, exist_ok=True)
    shown, facts, errors = [], [], []
    made: dict[str, Any] = {"model": model, "frames": network.frames, "options": options}
    made["versions"] = versions()
    for number, path in enumerate(paths, 1):
        print(f"{number}/{len(paths)} {path}: ", end="", flush=True)
        state = (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else None
        asked = json.dumps([str(path.absolute()), state, made])
        part = parts / f"{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"
        try:
            if not part.exists():
                told = explain_video(path, network, model=model, **options)
                write_text(part, json.dumps([told.numbers, _section(told)]))
            numbers, section = json.loads(part.read_text(encoding="utf-8"))
            print(f"{numbers['class']} {numbers['score']:.3f}; {section['finding']}", flush=True)
        except (ValueError, OSError, RuntimeError) as error:
            numbers, section = {"error": str(error)}, {}
            errors.append(str(error))
            print(error, flush=True)
        facts.append({"video": str(path), **numbers})
        shown.append(facts[-1] | section)
    page = jinja2.Environment(autoescape=True).from_string((WEB / "report.html").read_text("utf-8"))
    write_text(out, page.render(model=model, videos=shown, made=made))
    write_text(out.with_suffix(".json"), json.dumps({**made, "videos": facts}, indent=1))
    if not errors:
        shutil.rmtree(parts)
    return errors


def _parser() -> argparse.ArgumentParser:
    about, networks, more = __doc__.partition("the networks:\n")
    parser = argparse.ArgumentParser(
        prog="python -m vidlib explain",
        description=about,
        epilog=networks + more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("videos", nargs="+", help="video files, or folders of them")
    add("--model", default="kinetics", help="see below; default: %(default)s")
    add("--out", default="report.html", type=Path, help="the page; default: %(default)s")
    add("--target", help="the class to explain, by name or number; default: the guess")
    add("--perturbation", default="freeze", choices=PERTURBATIONS, help="default: %(default)s")
    add("--frames", type=int, help="how many the network sees; default: its usual number")
    add("--start", type=int, default=0, help="first frame of the video; default: 0")
    add("--stop", type=int, help="the frame to stop before; default: the end")
    add("--dataset", default="something-mini", help="of the study's networks; default: %(default)s")
    add("--profile", default="quick", help="of the study's networks; default: %(default)s")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Explain the videos that the arguments name; return the exit status.

    Raises ValueError, OSError or RuntimeError for what is wrong with all of them.
    """
    given = _parser().parse_args(arguments)
    options = {"perturbation": given.perturbation, "start": given.start, "stop": given.stop}
    if len(files := videos_in(given.videos)) == 1:  # before a network is loaded
        check_video(files[0], given.start, given.stop)
    study = open_study(given.dataset, given.profile)
    network = load_video_network(given.model, study, frames=given.frames)
    target = given.target
    if target is not None and target not in network.classes and target.isdecimal():
        target = int(target)
    options["target"] = class_number(network, target)
    errors = write_report(files, network, given.out, model=given.model, **options)
    print(given.out)
    return 1 if errors else 0

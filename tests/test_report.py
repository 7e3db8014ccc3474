"""python -m vidlib explain: one page of any videos, that needs nothing else, and its JSON."""

import json
import sys

import numpy as np
import pytest
import torch
from browser import chromium
from torch import nn

from vidlib import report
from vidlib.__main__ import main
from vidlib.data import write_webm
from vidlib.explain import freeze, perturb, score_clips
from vidlib.explain.perturb import window_masks
from vidlib.explain_video import explain_video
from vidlib.report import videos_in
from vidlib.video_network import STREET, VideoNetwork, load_video_network, read_frames

MODULE = """
from torch import nn, stack
from vidlib.video_network import VideoNetwork

class Lamp(nn.Module):  # lit if it goes on between the fifth and the sixth frame
    def __init__(self):
        super().__init__()
        self.bulb = nn.Identity()

    def forward(self, clips):
        on = self.bulb(clips)[:, :, 5].mean((1, 2, 3)) - clips[:, :, 4].mean((1, 2, 3))
        return stack([9 * on, 9 - 9 * on], 1)

def load():
    network = Lamp()
    return VideoNetwork(network, 8, (16, 16), classes=["lit <b>", "dark"], layer=network.bulb)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two videos of a lamp that goes on, a file that is no video, and a network."""
    (tmp_path / "lamp_network.py").write_text(MODULE)
    frames = np.zeros((8, 32, 32, 3), np.uint8)
    frames[5:] = 255
    (tmp_path / "films/deep").mkdir(parents=True)
    write_webm(tmp_path / "films/a <i>.webm", frames)
    write_webm(tmp_path / "films/deep/b.webm", frames[::-1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # which loading the network adds to
    yield tmp_path
    sys.modules.pop("lamp_network", None)


def told(path="report.json"):
    return json.loads(open(path, encoding="utf-8").read())


def test_a_folder_of_videos(place, capsys):
    assert main(["explain", "films", "--model", "lamp_network.py:load"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(
        "1/2 films/a <i>.webm: lit <b> 1.000; With freeze on 1 of 8 frames (6)"
    )
    assert said[1].startswith("2/2 films/deep/b.webm: dark 1.000") and said[2] == "report.html"
    first, second = told()["videos"]
    assert first["class"] == "lit <b>" and first["mask_length"] == 1
    assert (
        int(np.argmax(first["mask"])) == 5 and first["score"] > 0.99 > 0.1 > first["score_masked"]
    )
    assert len(first["mask"]) == len(first["landscape"]) == len(first["saliency_by_frame"]) == 8
    assert second["class"] == "dark"
    assert not (place / "report.parts").exists()


def test_the_page_needs_nothing_else(place):
    main(["explain", "films", "--model", "lamp_network.py:load"])
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 900, "height": 800})
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((place / "report.html").as_uri())
        assert page.locator("h2").all_inner_texts()[:2] == ["films/a <i>.webm", "films/deep/b.webm"]
        assert page.locator("section").count() == 3
        assert page.evaluate("document.querySelectorAll('b, i').length") == 0
        player = page.locator("temporal-mask-player").first
        player.get_by_role("button", name="Play").click()
        page.wait_for_function("document.querySelector('temporal-mask-player').frame >= 2")
        assert page.locator("temporal-mask-scrubber").count() == 2
        assert page.locator("table a").count() == 2
        assert not errors and all(url.startswith(("file:", "data:", "blob:")) for url in asked)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 900


def test_a_stopped_run_resumes_and_one_bad_file_stops_none(place, capsys, monkeypatch):
    (place / "films/c.mp4").write_bytes(b"no video")
    arguments = ["explain", "films", "--model", "lamp_network.py:load"]

    def stopped(path, *rest, **options):
        if path.name == "b.webm":
            raise KeyboardInterrupt
        return explain_video(path, *rest, **options)

    monkeypatch.setattr(report, "explain_video", stopped)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    assert not (place / "report.html").exists() and len(list(place.glob("report.parts/*"))) == 1
    asked = []

    def counted(path, *rest, **options):
        asked.append(path.name)
        return explain_video(path, *rest, **options)

    monkeypatch.setattr(report, "explain_video", counted)
    assert main(arguments) == 1  # one could not be explained
    assert asked == ["c.mp4", "b.webm"]  # not a.webm again
    assert "c.mp4: cannot be decoded" in told()["videos"][1]["error"]
    assert "cannot be decoded" in (place / "report.html").read_text("utf-8")
    (place / "films/c.mp4").unlink()
    asked.clear()
    assert main(arguments) == 0 and asked == []
    (place / "films/deep/b.webm").write_bytes(STREET.read_bytes())
    assert main(arguments) == 0 and asked == ["a <i>.webm", "b.webm"]  # nothing is kept once done


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["none.mp4"], "no such video"),
        (["empty"], "holds no video"),
        (["lamp_network.py"], "cannot be decoded"),
        (["films", "--target", "blue"], "target is 'blue'"),
        (["films", "--target", "7"], "target is 7"),
        (["films/a <i>.webm", "--start", "5", "--stop", "6"], "stop is 6"),
        (["films", "--model", "lamp_network.py:nothing"], "cannot be imported"),
        (["films", "--frames", "4"], "cannot be explained with 4 frames"),
    ],
)
def test_what_cannot_be_explained_is_told_at_once(place, arguments, word, capsys):
    (place / "empty").mkdir()
    model = [] if "--model" in arguments else ["--model", "lamp_network.py:load"]
    assert main(["explain", *arguments, *model]) == 2
    assert word in capsys.readouterr().err
    assert not (place / "report.html").exists()


def test_a_stage_is_still_a_stage(capsys):
    assert main(["explain", "i3d", "--profile", "none"]) == 2
    assert "profile is 'none'" in capsys.readouterr().err


def test_help_is_enough(capsys):
    with pytest.raises(SystemExit):
        main(["explain", "--help"])
    said = capsys.readouterr().out
    for word in (
        "torchvision:r3d_18",
        "my_network:load",
        "kinetics",
        "--start",
        "resumes",
        "freeze",
    ):
        assert word in said


@pytest.mark.parametrize("perturbation", ["reverse", "fade", "blur"])
def test_every_perturbation_has_a_picture_of_its_windows(place, perturbation):
    options = ["--model", "lamp_network.py:load", "--perturbation", perturbation]
    assert main(["explain", "films/a <i>.webm", "--target", "0", *options]) == 0
    text = (place / "report.html").read_text("utf-8")
    assert ("temporal-mask-scrubber" in text) == (perturbation == "reverse")
    assert ("Plotly.newPlot" in text) == (perturbation != "reverse")


def test_numbers_are_those_of_the_network(place):
    """The mask's score and those of the windows, computed apart."""
    network = load_video_network("lamp_network.py:load", None)
    video = place / "films/a <i>.webm"
    numbers = explain_video(video, network).numbers
    clip = network.clip(read_frames(video, network))
    mask = torch.tensor([numbers["mask"]])
    score = score_clips(network.network, perturb(clip, freeze(mask)))[0, 0].item()
    assert numbers["score_masked"] == pytest.approx(score, abs=1e-6)
    firsts = torch.arange(8)
    windows = window_masks(firsts, firsts, 8).float()
    left = score_clips(network.network, perturb(clip.expand(8, -1, -1, -1, -1), freeze(windows)))
    assert numbers["scores_of_windows_as_long"] == pytest.approx(left[:, 0].tolist(), abs=1e-6)
    everywhere = perturb(clip, freeze(torch.ones(1, 8)))
    assert numbers["score_all_perturbed"] == pytest.approx(
        score_clips(network.network, everywhere)[0, 0].item(), abs=1e-6
    )


def test_a_network_that_no_mask_changes_says_so():
    class Constant(nn.Module):
        def forward(self, clips):
            return torch.stack([0 * clips.mean((1, 2, 3, 4)) + 3, 0 * clips.mean((1, 2, 3, 4))], 1)

    told = explain_video(STREET, VideoNetwork(Constant(), 4, (8, 8), classes=["a", "b"]))
    assert told.finding().startswith("No mask pays off")
    assert told.numbers["scores_of_windows_as_long"] == [] and len(told.checks()) == 2


def test_folders_are_searched_by_name(tmp_path):
    for name in ("b.MP4", "a.mkv", "notes.txt", "deep/c.mov"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in videos_in([tmp_path, "x.avi"])] == [
        "a.mkv", "b.MP4", "c.mov", "x.avi"]  # fmt: skip
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="holds no video"):
        videos_in([tmp_path / "none"])

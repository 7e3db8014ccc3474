"""The notebooks as people run them: with right and wrong parameters, by papermill or as it does."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from conftest import ROOT, SHARED, real_data
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from vidlib.data import write_webm
from vidlib.explain import freeze, perturb, reverse, score_clips
from vidlib.show.scrubber import Scrubber

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def papermill(notebook, output, *arguments, **environment):
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", str(notebook), str(output)]
    return subprocess.run(
        [*command, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


def test_all_chapters_are_there():
    assert [path.stem for path in NOTEBOOKS] == [
        "01_data_preparation",
        "02_training_i3d",
        "03_training_clstm",
        "04_grad_cam",
        "05_temporal_masks",
        "06_comparative_analysis",
        "07_errata",
        "08_your_own_clip",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_chapter_has_a_parameters_cell(path):
    cells = nbformat.read(path, 4).cells
    tagged = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    values = {}
    exec(tagged[0].source, {}, values)
    if path.stem == "07_errata":
        assert values == {"seed": 0}
        assert "study" not in {
            name for c in cells for name in re.findall(r"vidlib\.(\w+)", c.source)
        }
    else:
        assert (values["dataset"], values["profile"]) == ("something-mini", "quick")


@pytest.fixture
def run():
    """A function that runs a chapter's cells as papermill would, but in this process.

    What the cells say comes back as text; what they raise is raised.
    """
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))

    def run_chapter(name, **parameters):
        told = []

        def run_cell(source):
            with capture_output() as shown:
                done = shell.run_cell(source, store_history=True)
            done.raise_error()
            data = [output.data for output in shown.outputs]
            data.append(shell.display_formatter.format(done.result)[0])
            told.extend(d.get("text/markdown") or d.get("text/html", "") for d in data)

        for cell in nbformat.read(ROOT / f"notebooks/{name}.ipynb", 4).cells:
            if cell.cell_type == "code":
                run_cell(cell.source)
            if "parameters" in cell.metadata.get("tags", []):
                given = [f"{key} = {value!r}" for key, value in parameters.items()]
                run_cell("\n".join(["# Parameters", *given]))
        return "\n".join(told)

    yield run_chapter
    shell.restore_sys_module_state()
    InteractiveShell.clear_instance()


@real_data
def test_chapter_1_shows_the_real_kth(run, monkeypatch, tmp_path):
    monkeypatch.setenv("VIDLIB_DATA", str(SHARED))
    monkeypatch.setenv("VIDLIB_RUNS", str(tmp_path))
    words = run("01_data_preparation", dataset="kth", profile="smoke")
    for expected in (
        "**KTH Actions**",
        "There are 8 train clips of 2 classes",
        "listed videos absent",
        ">597<",
        "A clip of the median length, 95 frames,",
        "None of 8 clips were set aside.",
    ):
        assert expected in words


def test_chapter_1_shows_a_something_with_broken_files(run, mini, monkeypatch, tmp_path):
    monkeypatch.setenv("VIDLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("VIDLIB_RUNS", str(tmp_path / "runs"))
    root = shutil.copytree(mini, tmp_path / "data/something")
    videos = sorted((root / "20bn-something-something-v2").iterdir())
    videos[0].write_bytes(videos[0].read_bytes()[:600])
    videos[1].write_bytes(b"")
    words = run("01_data_preparation", dataset="something", profile="smoke")
    assert "2 of 48 clips were set aside." in words
    assert videos[0].name in words and "is empty; fetch the file again" in words
    assert "Nothing is amiss with its lists." in words


def test_one_notebook_alone_makes_what_it_needs(tmp_path):
    """As the README says it, with nothing there; the parameters of a yet smaller smoke."""
    ones = ("train_clips", "validation_clips", "searched_clips", "mask_iterations")
    sizes = {**dict.fromkeys([*ones, "i3d_epochs", "clstm_epochs"], 1), "frames": 8}
    small = [word for name, value in sizes.items() for word in ("-p", name, str(value))]
    found = papermill(
        "notebooks/05_temporal_masks.ipynb",
        tmp_path / "out.ipynb",
        *("-p", "profile", "smoke", "-p", "dataset", "something-mini", *small),
        VIDLIB_RUNS=str(tmp_path / "runs"),
    )
    assert found.returncode == 0, found.stderr[-3000:]
    made = {p.parent.parent.name for p in (tmp_path / "runs").rglob("provenance.json")}
    assert {"render", "prepare", "train-i3d", "explain-i3d", "explain-clstm"} <= made


def test_papermill_tells_of_a_wrong_parameter_before_any_work(tmp_path):
    found = papermill(
        "notebooks/06_comparative_analysis.ipynb",
        tmp_path / "out.ipynb",
        *("-p", "profile", "smok"),
        VIDLIB_RUNS=str(tmp_path / "runs"),
    )
    assert found.returncode != 0
    assert "ValueError: profile is 'smok' (did you mean 'smoke'?)" in found.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"profle": "smoke"}, "parameter name is 'profle'"),
        ({"dataset": "ucf"}, "dataset is 'ucf': give one of something-mini, kth-mini, cue-"),
        ({"mask_lr": -1}, "mask_lr is -1: give a number above 0"),
    ],
)
def test_a_wrong_parameter_stops_before_any_work(run, parameters, message, monkeypatch, tmp_path):
    monkeypatch.setenv("VIDLIB_RUNS", str(tmp_path / "runs"))
    with pytest.raises(ValueError, match=message):
        run("06_comparative_analysis", **parameters)
    assert not (tmp_path / "runs").exists()


OWN = """
from torch import nn
from vidlib.video_network import VideoNetwork


class Lamp(nn.Module):
    \"\"\"Says how bright the sixth frame is.\"\"\"

    def forward(self, clips):
        bright = clips[:, :, 5].mean((1, 2, 3))
        return 9 * nn.functional.pad(bright[:, None], (0, 1))


def load():
    return VideoNetwork(Lamp(), 8, (16, 16), classes=["lit", "dark"])
"""


@pytest.fixture
def lamp(monkeypatch, tmp_path):
    """A network of one's own, and a video in which a lamp goes on in the sixth of eight frames."""
    (tmp_path / "lamp.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("VIDLIB_RUNS", str(tmp_path / "runs"))
    frames = np.zeros((8, 32, 32, 3), np.uint8)
    frames[5:] = 255
    write_webm(tmp_path / "lamp.webm", frames)
    yield tmp_path
    sys.modules.pop("lamp", None)
    assert not (tmp_path / "runs").exists()  # nothing was trained


def test_chapter_8_explains_ones_own_network_on_ones_own_video(run, lamp):
    """Freezing what holds the sixth frame puts out the lamp; nothing shorter does."""
    words = run("08_your_own_clip", video=str(lamp / "lamp.webm"), model="lamp:load")
    assert "knows 2 classes and was shown 8 frames of 16 by 16 pixels" in words
    assert "explains **lit**, its guess" in words
    assert "freeze on 1 of 8 frames (6), the score of “lit” goes from 1.000 to 0.00" in words
    assert "leave scores from 0.000 to 1.000, with a median of 1.000" in words
    assert "no Grad-CAM" in words


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"video": "README.md"}, r"README\.md: cannot be decoded"),
        ({"clip_frames": 4}, r"lamp:load cannot be explained with 4 frames of \(16, 16\)"),
        ({"perturbation": "melt"}, r"perturbation is 'melt'"),
        ({"start": 3, "stop": 4}, "stop is 4"),
        ({"vdeo": "a.mp4"}, "parameter name is 'vdeo'"),
    ],
)
def test_what_chapter_8_cannot_use_is_told_at_once(run, lamp, parameters, message):
    given = {"video": str(lamp / "lamp.webm"), "model": "lamp:load", **parameters}
    with pytest.raises(Exception, match=message):
        run("08_your_own_clip", **given)


@pytest.mark.parametrize("name", [path.stem for path in NOTEBOOKS])
def test_chapters_ran_without_errors_or_noise(smoke_book, name):
    executed = nbformat.read(Path(smoke_book).parent / f"notebooks/{name}.ipynb", 4)
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
            assert "nan" not in str(output.get("data", {}).get("text/markdown", "")).lower()


def test_the_scrubber_answers_with_the_networks_own_score(smoke_study):
    scrubber = Scrubber(smoke_study)
    clips, _ = smoke_study.explained_clips().batch()
    scrubber.clip.value = 3
    scrubber.network.value = "C-LSTM"
    net = smoke_study.network("clstm")
    guess = score_clips(net, clips[3:4])[0].argmax()
    assert scrubber.target.value == guess
    mask = [float(2 <= t < 10) for t in range(clips.shape[2])]
    for perturbation in (freeze, reverse):
        scrubber.view.perturbation = perturbation.__name__
        scrubber.view.mask = mask
        shown = perturb(clips[3:4], perturbation(torch.tensor([mask])))
        wanted = score_clips(net, shown)[0, guess].item()
        assert scrubber.score == pytest.approx(wanted, abs=1e-5)
        assert abs(score_clips(net, clips[3:4])[0, guess].item() - scrubber.score) > 1e-4

"""The controls: each differs from its family's network in the one thing that it says."""

from dataclasses import replace

import pytest
import torch
from conftest import ROOT

from vidlib.datasets import DATASETS
from vidlib.models.narrow import parameters
from vidlib.models.store import build_network
from vidlib.profiles import PROFILES, Profile
from vidlib.study import open_study
from vidlib.variants import STUDIED, VARIANTS
from vidlib.workflow.graph import stages_of
from vidlib.workflow.runs import Runs

SMALL = {"train_clips": 1, "validation_clips": 1, "clstm_epochs": 1, "gate_batch_size": 2}

QUICK = Profile()


def built(name, profile, original="something"):
    variant = VARIANTS[name]
    arguments = variant.arguments(PROFILES[profile][original], 16)
    with torch.device("meta"):
        return build_network(variant.family, arguments), arguments


@pytest.mark.parametrize("original", ["something", "kth"])
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_can_be_built_at_every_profile(name, profile, original):
    p = PROFILES[profile][original]
    network, _ = built(name, profile, original)
    clips = torch.zeros(1, 3, p.frames, *p.size, device="meta")
    assert network.eval()(clips).shape == (1, 16)


def test_a_control_differs_in_what_it_says():
    def changed(name):
        own = VARIANTS[VARIANTS[name].family].arguments(QUICK, 16)
        return {k: v for k, v in built(name, "quick")[1].items() if own.get(k) != v}

    assert STUDIED == ("i3d", "clstm") and not changed("i3d") and not changed("clstm")
    assert changed("i3d-causal") == {"causal": True}
    assert changed("i3d-sequence") == {"head": "sequence", "frames": 16, "size": (56, 56)}
    assert changed("clstm-average") == {"head": "average"}
    assert changed("clstm-bidirectional") == {"bidirectional": True}
    assert changed("clstm-4") == {"layers": 4, "stride": (2, 1, 1, 1)}
    assert changed("clstm-5") == {"layers": 5, "stride": (1, 1, 1, 1, 1)}
    assert changed("i3d-narrow").keys() == {"width"}
    start = {"width": 1.0, "head": "average"}
    assert changed("i3d-kinetics") == start


def test_settings_of_the_public_code_reach_the_networks():
    _, i3d = built("i3d", "paper")
    assert (i3d["bn_momentum"], i3d["input_range"]) == (0.01, "0 to 255")
    assert i3d["temporal_strides"] == (1, 1, 2)
    assert built("i3d-kinetics", "paper")[1]["input_range"] == "-1 to 1"  # as its weights want
    paper, code = (built("clstm", name, "kth") for name in ("paper", "code"))
    assert (len(paper[0].norms), len(code[0].norms)) == (2, 1)
    assert (paper[0].head, code[0].head) == ("sequence", "last")
    assert {one.input_range for one in (paper[0], code[0])} == {"0 to 255"}


def test_controls_that_cannot_be_are_refused():
    p = replace(QUICK, clstm_hidden=400)
    with pytest.raises(ValueError, match=r"has the C-LSTM's .* parameters: change clstm_hidden"):
        VARIANTS["i3d-narrow"].arguments(p, 16)
    p = replace(QUICK, clstm_strides=(1, 1, 1, 1))
    with pytest.raises(ValueError, match=r"clstm_strides is \(1, 1, 1, 1\): give fewer than 4"):
        VARIANTS["clstm-4"].arguments(p, 16)


@pytest.mark.parametrize("original", ["something", "kth"])
@pytest.mark.parametrize("profile", PROFILES)
def test_the_narrow_i3d_has_the_parameters_of_the_clstm(profile, original):
    counts = [
        parameters(VARIANTS[name].family, built(name, profile, original)[1])
        for name in ("i3d-narrow", "clstm")
    ]
    assert abs(counts[0] / counts[1] - 1) < 0.02


def test_full_networks_are_the_published_ones():
    assert built("clstm-5", "full")[1]["stride"] == (2, 2, 1, 1, 1)
    for name, count in (("i3d", 12_465_614), ("clstm", 1_324_142)):
        assert (
            parameters(name, VARIANTS[name].arguments(PROFILES["full"]["something"], 174)) == count
        )


def test_controls_go_through_the_same_stages_and_the_book_does_not_wait_for_them():
    stages = stages_of(DATASETS["something-mini"])
    for name, variant in VARIANTS.items():
        for step in ("train", "evaluate", "explain"):
            assert stages[f"{step}-{name}"].control == bool(variant.differs)
        own = stages[f"train-{variant.family}"]
        assert set(own.fields) <= set(stages[f"train-{name}"].fields)
    study = open_study("something-mini", "smoke")
    assert not any(study.stages[name].control for name in study.main_stages)
    needed = {up for name in study.main_stages for up in study.stages[name].upstream}
    assert needed <= {*study.main_stages, "files"}
    for page in (ROOT / "notebooks").glob("*.md"):  # which make whatever they ask for
        assert "in study.stages}" not in page.read_text(), page


def test_the_narrow_control_depends_on_the_network_that_it_is_measured_by():
    modules = Runs("something-mini", "smoke").ingredients("train-i3d-narrow")["modules"]
    assert {"vidlib.models.i3d", "vidlib.models.clstm"} <= modules.keys()


@pytest.mark.parametrize(
    ("stage", "overrides", "message"),
    [
        ("train-clstm-5", {"size": 28}, "leaves no pixel after 5 layers"),
        ("explain-clstm-4", {"clstm_strides": (1, 1, 1, 1)}, "give fewer than 4 numbers"),
    ],
)
def test_an_impossible_control_stops_before_any_work(stage, overrides, message, tmp_path):
    study = open_study("something-mini", "quick", overrides, runs=tmp_path)
    with pytest.raises(ValueError, match=message):
        study.ensure(stage)
    assert not list(tmp_path.iterdir())


def test_a_control_is_trained_and_evaluated(tmp_path):
    study = open_study("something-mini", "smoke", SMALL, runs=tmp_path)
    table = study.table("evaluate-clstm-bidirectional", "summary")
    assert table["top1"].between(0, 1).all()
    assert study.network("clstm-bidirectional").bidirectional
    made = {p.parent.parent.name for p in tmp_path.rglob("provenance.json")}
    assert "train-clstm" not in made


def test_kinetics_weights_that_are_not_there_stop_with_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDLIB_CACHE", str(tmp_path / "empty"))
    study = open_study("something-mini", "smoke", SMALL, runs=tmp_path / "runs")
    with pytest.raises(FileNotFoundError, match="download_kinetics_i3d"):
        study.ensure("train-i3d-kinetics")
    assert not (tmp_path / "runs").exists()

"""What a run would take: figures of earlier runs, and nothing made up."""

import json

from vidlib.files import write_text
from vidlib.workflow.jobs import extended_jobs, stage_jobs
from vidlib.workflow.machine import machine
from vidlib.workflow.plan import cost_of, plan
from vidlib.workflow.runs import Runs


def ran(runs, stage, *, seconds, threads=1, where=None, finished="2026-01-01T00:00:00Z"):
    """A record as of a stage that ran."""
    record = {"key": runs.key(stage), "parameters": runs.ingredients(stage)["parameters"]}
    record |= {"machine": where or machine(), "seconds": seconds, "threads": threads}
    record |= {"peak_bytes": 2_000_000_000, "disk_bytes": 3_000_000, "finished": finished}
    runs.path(stage).mkdir(parents=True)
    write_text(runs.path(stage) / "provenance.json", json.dumps(record))


def job(runs, stage, whole=False):
    return stage_jobs(runs, [stage], () if whole else (stage,))[runs.key(stage)]


def test_another_seed_costs_what_a_like_one_took(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDLIB_PRECISION", "float32")  # in which I3D trains on every core
    runs = Runs("kth-mini", "quick", runs=tmp_path)
    assert cost_of(job(runs, "train-i3d"), 2) is None
    ran(runs.with_seed(1), "train-i3d", seconds=100)
    ran(runs.with_seed(2), "train-i3d", seconds=120, finished="2026-02-01T00:00:00Z")
    ran(runs.with_seed(3), "train-i3d", seconds=60, threads=2, finished="2026-03-01T00:00:00Z")
    longer = Runs("kth-mini", "quick", {"i3d_epochs": 9}, tmp_path)
    ran(longer, "train-i3d", seconds=999, finished="2026-03-01T00:00:00Z")
    cost = cost_of(job(runs, "train-i3d"), 2)
    assert (cost["seconds"], cost["note"]) == (120, "")  # the latest that is like it
    assert cost_of(job(runs, "train-i3d", whole=True), 2)["seconds"] == 60


def test_a_figure_of_other_settings_says_so_and_of_another_machine_does_not_count(tmp_path):
    runs = Runs("kth-mini", "quick", runs=tmp_path)
    ran(runs.with_seed(1), "train-clstm", seconds=5, where="another machine")
    assert cost_of(job(runs, "train-clstm"), 2) is None
    longer = Runs("kth-mini", "quick", {"clstm_epochs": 9}, tmp_path)
    ran(longer, "train-clstm", seconds=900)
    assert cost_of(job(runs, "train-clstm"), 2)["note"] == "measured at other clstm_epochs"


def test_the_sums_are_of_what_is_to_do(tmp_path):
    runs = Runs("kth-mini", "quick", runs=tmp_path)
    for stage, seconds in (("render", 36), ("prepare", 72), ("train-clstm", 3600)):
        ran(runs, stage, seconds=seconds)
    jobs = extended_jobs(runs, 3)
    lines = plan(jobs, 2).splitlines()
    told = dict(line.split()[:2] for line in lines)
    assert told["kth-mini/quick/train-clstm"] == told["kth-mini/quick/render"] == "made"
    assert told["kth-mini/quick+train_seed=2/train-clstm"] == "1.000"
    assert told["kth-mini/quick+train_seed=1/train-i3d"] == "?"
    assert told["sum"] == "2.000"  # two seeds to train
    assert "2.00 hours one after another, 1.00 hours on 2 cores" in lines[-2]
    assert "up to 4.0 GB together" in lines[-2]
    assert int(lines[-1].split()[0]) == len(jobs) - 5

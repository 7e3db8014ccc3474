"""Several processes: they train as one would, make each result once, and stop together."""

import concurrent.futures
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from pandas.testing import assert_frame_equal

from vidlib import distributed
from vidlib.study import open_study

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
    "OMP_NUM_THREADS": "1",
}


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process comes to."""
    folder = tmp_path_factory.mktemp("alone")
    found = run("tests/together.py", folder)
    assert found.returncode == 0, found.stderr
    return torch.load(folder / "0.pt")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each of two processes comes to, and the folder of their checkpoints."""
    folder = tmp_path_factory.mktemp("two")
    found = run(*TORCHRUN, "tests/together.py", folder)
    assert found.returncode == 0, found.stderr
    return torch.load(folder / "0.pt"), torch.load(folder / "1.pt"), folder


def difference(one, other):
    """The largest between weights, and between rows of history, of two trainings."""
    weights = max((one[0][name] - other[0][name]).abs().max().item() for name in one[0])
    pairs = zip(one[1], other[1], strict=True)
    return weights, max(abs(a[name] - b[name]) for a, b in pairs for name in a)


@pytest.mark.parametrize("name", ["adamw", "sgd", "plateau", "constant", "broken", "best"])
def test_two_processes_come_to_what_one_does(alone, two, name):
    assert difference(two[0][name], two[1][name]) == (0, 0)
    weights, rows = difference(two[0][name], alone[name])
    assert weights < 1e-5 and rows < 1e-5


def test_the_first_process_may_train_without_the_others(alone, two):
    assert difference(two[0]["by the first"], alone["by the first"]) == (0, 0)


def test_each_process_draws_dropout_of_its_own(alone, two):
    assert torch.equal(two[0]["drawn"], alone["drawn"])
    assert not torch.isclose(two[0]["drawn"], two[1]["drawn"]).any()


def test_two_processes_resume_exactly(two):
    for found in two[:2]:
        assert difference(found["resumed"], found["constant"]) == (0, 0)


def test_two_processes_keep_the_best_epoch(two):
    for found in two[:2]:
        (best, history), (first, _) = found["best"], found["first"]
        assert len(history) == 3
        assert all(torch.equal(best[name], first[name]) for name in first)


def test_a_loss_that_is_not_finite_in_one_process_stops_both(two):
    for found in two[:2]:
        assert found["spoiled"].startswith("the loss is nan in epoch 1; the last checkpoint is")
    kept = torch.load(two[2] / "spoiled/last.ckpt", weights_only=True)
    assert len(kept["history"]) == 1
    assert all(value.isfinite().all() for value in kept["state_dict"].values())


def test_a_batch_that_cannot_be_shared_is_refused(two):
    for found in two[:2]:
        assert found["uneven"].startswith(
            "batch_size is 7: give a multiple of 2, the number of processes"
        )


def by_srun(code, **environment):
    """Start code in two processes that have srun's variables; return what became of each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    slurm = {
        **environment,
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_JOB_ID": "123456",
        "MASTER_PORT": port,
    }
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        tasks = [
            pool.submit(run, "-c", code, **slurm, SLURM_PROCID=n, SLURM_LOCALID=n)
            for n in ("0", "1")
        ]
    return [task.result() for task in tasks]


def test_what_srun_starts_is_one_run(two, tmp_path):
    """As its variables say: two processes that find each other, and one that trains alone."""
    code = f"""
import torch
from pathlib import Path
from together import RECIPE, distributed, replace, train

folder = Path({str(tmp_path)!r})
rank = distributed.rank()
print(rank, distributed.world_size(), distributed.nodes(), distributed.broadcast(rank))
constant = replace(RECIPE, schedule="constant")
found = {{"constant": train(folder / "constant", constant)}}
if distributed.rank() == 0:
    found["by the first"] = train(folder / "first", together=False)
torch.save(found, folder / f"{{distributed.rank()}}.pt")
"""
    for n, found in enumerate(by_srun(code)):
        assert found.stdout.splitlines()[0] == f"{n} 2 1 0", found.stderr
        for name, trained in torch.load(tmp_path / f"{n}.pt").items():
            assert difference(trained, two[n][name]) == (0, 0)


def test_a_process_of_a_job_that_srun_did_not_start_is_alone(monkeypatch):
    """A batch script itself sees the job's variables, those of no step."""
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert (distributed.world_size(), distributed.rank(), distributed.broadcast(7)) == (1, 0, 7)


SMALL = {"train_clips": 1, "validation_clips": 1, "clstm_epochs": 2}


def test_two_processes_make_each_stage_once_and_train_together(tmp_path):
    settings = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    command = ("-m", "vidlib", "evaluate", "clstm", "--profile", "smoke", *settings)
    found = run(*TORCHRUN, *command, VIDLIB_RUNS=str(tmp_path))
    assert found.returncode == 0, found.stderr
    study = open_study("something-mini", "smoke", SMALL, runs=tmp_path)
    stages = ("render", "prepare", "train-clstm", "evaluate-clstm")
    assert [line for line in found.stdout.splitlines() if not line.startswith("epoch")] == [
        *(f"{stage}: making something-mini at {study.name}" for stage in stages),
        str(study.path("evaluate-clstm")),
    ]
    assert [line[:9] for line in found.stdout.splitlines() if "clips/s" in line] == [
        "epoch 1/2",
        "epoch 2/2",
    ]
    for stage in stages:
        assert study.is_current(stage)
        (made,) = (path for path in study.path(stage).parent.iterdir() if path.suffix != ".lock")
        assert made == study.path(stage)
    assert study.provenance("train-clstm")["processes"] == 2
    assert study.provenance("prepare")["processes"] == 1
    history = study.table("train-clstm", "history")
    assert len(history) == 2 and np.isfinite(history).all(axis=None)
    again = run(*TORCHRUN, *command, VIDLIB_RUNS=str(tmp_path))
    assert again.returncode == 0 and again.stdout == f"{study.path('evaluate-clstm')}\n"


EXPLAINED = {**SMALL, "explained_clips": 2, "validation_clips": 2, "mask_iterations": 2}


def test_two_processes_share_masks_and_maps_and_make_the_same_tables(tmp_path, one_thread):
    """32 clips are two parts: one for either process."""
    settings = [word for name, value in EXPLAINED.items() for word in ("--set", f"{name}={value}")]
    command = ("-m", "vidlib", "explain", "clstm", "--profile", "smoke", *settings)
    one, two = (
        open_study("something-mini", "smoke", EXPLAINED, runs=tmp_path / name)
        for name in ("one", "two")
    )
    one.ensure("explain-clstm")
    shutil.copytree(
        tmp_path / "one", tmp_path / "two", ignore=shutil.ignore_patterns("explain-clstm")
    )
    shared = run(*TORCHRUN, *command, VIDLIB_RUNS=str(tmp_path / "two"))
    assert shared.returncode == 0, shared.stderr
    assert two.provenance("explain-clstm")["processes"] == 2
    assert_frame_equal(one.table("explain-clstm", "clips"), two.table("explain-clstm", "clips"))
    arrays, others = (study.arrays("explain-clstm", "arrays") for study in (one, two))
    assert all(np.array_equal(arrays[name], others[name]) for name in arrays)
    assert not [path for path in two.path("explain-clstm").parent.rglob("*part*")]


def test_where_the_first_process_fails_the_others_stop(tmp_path):
    """Without a launcher that would end them."""
    code = """
import sys
from vidlib.__main__ import main
from vidlib.study import Study

def fail(*_):
    raise OSError("the disk is full")

Study._run = fail
sys.exit(main(["render", "--profile", "smoke"]))
"""
    first, other = by_srun(code, VIDLIB_RUNS=str(tmp_path))
    assert first.returncode == other.returncode == 2
    assert first.stderr == "vidlib: the disk is full\n"
    assert other.stderr.splitlines()[-1] == (
        "vidlib: process 1 waited for another one, which stopped: see its own error"
    )

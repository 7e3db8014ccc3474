"""Several processes: they train as one would, make each result once, and stop together."""

import os
import socket
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

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


@pytest.mark.parametrize("name", ["adamw", "sgd", "plateau", "constant", "broken"])
def test_two_processes_come_to_what_one_does(alone, two, name):
    assert difference(two[0][name], two[1][name]) == (0, 0)
    weights, rows = difference(two[0][name], alone[name])
    assert weights < 1e-5 and rows < 1e-5


def test_two_processes_resume_exactly(two):
    for found in two[:2]:
        assert difference(found["resumed"], found["constant"]) == (0, 0)


def test_a_loss_that_is_not_finite_in_one_process_stops_both(two):
    for found in two[:2]:
        assert found["spoiled"].startswith("the loss is nan in epoch 1; the last checkpoint is")
    kept = torch.load(two[2] / "spoiled/last.ckpt", weights_only=True)
    assert len(kept["history"]) == 1
    assert all(value.isfinite().all() for value in kept["state_dict"].values())


def test_a_batch_that_cannot_be_shared_is_refused(two):
    for found in two[:2]:
        assert found["uneven"].startswith("batch_size is 7, which 2 processes cannot share evenly")


def test_what_srun_starts_is_one_run(tmp_path):
    """Its variables, without a Slurm: two processes that find each other."""
    code = (
        "import sys; from vidlib import processes as p;"
        "print(p.rank(), p.count(), p.nodes(), p.agreed(p.rank() + 5))"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    slurm = {
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_JOB_ID": "123456",
        "MASTER_PORT": port,
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**ENVIRONMENT, **slurm, "SLURM_PROCID": str(n), "SLURM_LOCALID": str(n)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(2)
    ]
    said = [process.communicate(timeout=60)[0] for process in started]
    assert [line.split() for line in said] == [["0", "2", "1", "5"], ["1", "2", "1", "5"]]

"""What several tests share: threads that do not fight over cores, and the book at smoke."""

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported

import pytest
import torch
from browser import chromium

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared/data"
real_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real files of shared/data are absent"
)


def snakemake(*arguments: str, cwd: Path = ROOT, **settings) -> subprocess.CompletedProcess:
    """Run snakemake in a folder with this environment's programs; fail with what it printed."""
    config = [f"{name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--rerun-incomplete"]
    # --config takes all words up to the next option
    command += [*arguments[:-1], "--config", *config, "--", arguments[-1]]
    environment = {**os.environ, "PYTHONPATH": str(cwd)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-6000:]
    return result


def files(root: Path) -> dict[str, bytes]:
    """Return the contents of all files under a folder."""
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="session")
def mini(tmp_path_factory) -> Path:
    """A something-mini of 48 clips; not to be changed."""
    from vidlib.rendered import render_something_mini

    root = tmp_path_factory.mktemp("mini")
    counts = {"train": 2, "validation": 1}
    render_something_mini(root, clips_per_class=counts, size=48, seed=3, processes=2)
    return root


@pytest.fixture(scope="session")
def smoke_book() -> Path:
    """The built book of the smoke profile: every stage, every notebook, every page."""
    snakemake("book", profile="smoke")
    return ROOT / "_build/something-mini/smoke/html"


@pytest.fixture(scope="session")
def smoke_study(smoke_book):
    """The study at the smoke profile, with all its results there."""
    from vidlib.study import open_study

    return open_study("something-mini", "smoke")


@pytest.fixture
def one_thread():
    """Tiny tensors gain nothing from threads, which wait on each other where cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def browser():
    """One Chromium for all the pages of a module."""
    with chromium() as browser:
        yield browser

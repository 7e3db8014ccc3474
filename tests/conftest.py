"""What several tests share: threads that do not fight over cores, and the book at smoke."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported
if "PYTEST_XDIST_WORKER" in os.environ:  # of several, each has a core
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from browser import chromium

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared/data"
real_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real files of shared/data are absent"
)


def snakemake_command(*arguments: str, cwd: Path, **settings) -> tuple[list[str], dict[str, str]]:
    """Return the words that run snakemake in a folder, and the environment they need."""
    config = [f"{name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--rerun-incomplete"]
    # --config takes all words up to the next option
    command += [*arguments[:-1], "--config", *config, "--", arguments[-1]]
    environment = {**os.environ, "PYTHONPATH": str(cwd)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return command, environment


def snakemake(*arguments: str, cwd: Path = ROOT, **settings) -> subprocess.CompletedProcess:
    """Run snakemake in a folder with this environment's programs; fail with what it printed."""
    command, environment = snakemake_command(*arguments, cwd=cwd, **settings)
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


class SmokeBook:
    """The build of the smoke book, which runs beside the tests that can do without it.

    The process that the user started owns it; workers of pytest-xdist learn of it by its folder.
    """

    def __init__(self, folder: str):
        self.wanted, self.said, self.ended = (
            Path(folder, name) for name in ("wanted", "said", "ended")
        )
        self.process = None

    def start(self) -> None:
        """Start to build it, if some test wants it and nobody did."""
        if self.process or not self.wanted.exists():
            return
        # A run that was killed leaves Snakemake's lock behind; the lock here goes with its process.
        command, environment = snakemake_command("--nolock", "book", cwd=ROOT, profile="smoke")
        lock = ROOT / "_build/smoke-book.lock"
        lock.parent.mkdir(exist_ok=True)
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "tests/building.py", str(lock), *command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests
            )
        threading.Thread(target=self._note_the_end, daemon=True).start()

    def _note_the_end(self) -> None:
        part = self.ended.with_suffix(".part")
        part.write_text(str(self.process.wait()))
        part.rename(self.ended)

    def stop(self) -> None:
        """End the build if it still runs."""
        if self.process:
            self.process.stdin.close()
            self.process.wait()

    def wait(self) -> Path:
        """Return the folder of its pages once they are built, or fail with what was said."""
        assert self.wanted.exists(), "the book is built for tests that name it among their fixtures"
        starter = os.getppid()
        while not self.ended.exists():
            assert os.getppid() == starter, "the run that built the book was killed"
            time.sleep(0.2)
        assert self.ended.read_text() == "0", self.said.read_text()[-12000:]
        return ROOT / "_build/something-mini/smoke/html"


BOOK = pytest.StashKey[SmokeBook]()


def wants_book(item: pytest.Item) -> bool:
    return "smoke_book" in getattr(item, "fixturenames", ())


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config):
    if is_worker(config):
        config.stash[BOOK] = SmokeBook(config.workerinput["smoke_book"])
    else:
        folder = tempfile.TemporaryDirectory(prefix="smoke-book-")
        config.stash[BOOK] = SmokeBook(folder.name)
        config.add_cleanup(folder.cleanup)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["smoke_book"] = str(node.config.stash[BOOK].wanted.parent)


def pytest_collection_modifyitems(items):
    """Put last what waits for the book, in whole files, of which each is one worker's."""
    late = {item.path for item in items if wants_book(item)}
    items.sort(key=lambda item: (item.path in late, wants_book(item)))


def pytest_collection_finish(session):
    book = session.config.stash[BOOK]
    if not session.config.option.collectonly and any(map(wants_book, session.items)):
        book.wanted.touch()
        if not is_worker(session.config):
            book.start()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node):
    node.config.stash[BOOK].start()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    session.config.stash[BOOK].stop()


@pytest.fixture(scope="session")
def smoke_book(pytestconfig) -> Path:
    """The built book of the smoke profile: every stage, every notebook, every page."""
    return pytestconfig.stash[BOOK].wait()


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

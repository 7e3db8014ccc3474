"""What notebooks read: the results of a study, each made when it is first asked for.

A result with the current key (`vidlib.workflow.keys`) is read; any other is made, once, whether a
notebook, the command line or Snakemake asks. A stage works in <key>.partial; after a kill it
resumes there.
"""

import ast
import contextlib
import functools
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace

import filelock
import numpy as np
import pandas as pd
import torch

from vidlib.data.clips import Clips, load_clips
from vidlib.distributed import broadcast, rank, world_size
from vidlib.files import publish, sweep, write_text
from vidlib.models.store import build_network, load_network
from vidlib.named import function_of
from vidlib.rendered.truth import Truth
from vidlib.stages.chosen import Shared, labels_of
from vidlib.variants import STUDIED, VARIANTS
from vidlib.workflow.keys import folder_hash, folder_state
from vidlib.workflow.machine import measured
from vidlib.workflow.runs import Runs

IMPORTED = time.time()  # this process runs the modules as they were then


class Study(Runs):
    """A data set, a profile and its results; every result is made when it is first asked for.

    Make one with `open_study`, which checks all parameters before any work.
    """

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        for network in STUDIED:
            self._refuse_impossible_network(network)

    def _refuse_impossible_network(self, network: str) -> None:
        """Raise what building a network raises; FileNotFoundError without weights to start from."""
        variant = VARIANTS[network]
        arguments = variant.arguments(self.profile, 2)
        if variant.start:
            function_of(variant.start)(**arguments)
        else:
            with torch.device("meta"):
                build_network(variant.family, arguments)

    def files(self) -> Path:
        """Return the folder of the data set itself, which is rendered first where it can be."""
        return self.ensure("render") if self.rendered else self.data / self.dataset

    @functools.cached_property
    def truth(self) -> Truth:
        """Return what is known of the clips; ValueError where they are not rendered."""
        if not self.rendered:
            raise ValueError(f"nothing is known of the clips of {self.dataset}: use rendered ones")
        return Truth(self.files())

    def observe(self, clip_id: str, orders: np.ndarray | None = None) -> np.ndarray:
        """Return the class that an ideal observer sees in a clip's re-ordered frames: (N,) int64.

        orders: (N, T) int, frame numbers of the file; by default one, the frames as they are. -1
        means no class. Raises ValueError if the clips are not rendered.
        """
        return function_of(self.about.observer)(self.truth.scene(clip_id), orders)

    def index(self) -> pd.DataFrame:
        """Return the index of the data set's files, as its reader returns it."""
        return function_of(self.about.reader)(self.files())

    def class_names(self) -> dict[int, str]:
        """Return the names of the classes by their numbers, in increasing order."""
        known = self.index().dropna(subset="label").drop_duplicates("label").sort_values("label")
        return dict(zip(known["label"].astype(int), known["label_name"], strict=True))

    def ensure(self, stage: str) -> Path:
        """Return the folder of a stage's results; make them, and what they need, if necessary.

        If torchrun or Slurm started several processes, all must ask for the same stage. The first
        decides what to make and makes it while the others wait; they train together.
        """
        if stage == "files":
            return self.files()
        self._refuse_undeclared(stage)
        path = self.path(stage)
        if broadcast(self.is_current(stage)):
            return path
        if self.stage(stage).control:
            self._refuse_impossible_network(stage.partition("-")[2])
        inputs = {name: self.ensure(name) for name in self.stage(stage).upstream}
        partial = path.with_name(f"{path.name}.partial")
        if rank() > 0:
            self._help(stage, inputs, partial)
            return path
        partial.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_name(f"{path.name}.lock")):
            sweep(partial)
            # Another run may have made it while this one waited.
            if broadcast(self.is_current(stage)):
                return path
            print(f"{stage}: making {self.dataset} at {self.name}", flush=True)
            begin = time.time()
            self._run(stage, inputs, partial)
            original = None if self.rendered else inputs.get("files")
            if original and folder_state(original) != self.key("files"):
                what = f"files in {original} changed while {stage} was made"
                raise RuntimeError(f"{what}: restart the kernel")
            self._write_provenance(stage, partial, time.time() - begin)
            publish(partial, path)
        broadcast("made")
        return path

    def _help(self, stage: str, inputs: dict[str, Path], partial: Path) -> None:
        """Train with the first process, or make parts of its work, and wait for it."""
        if broadcast(None):  # the first process says whether the result is there by now
            return
        what = self.stage(stage)
        if what.shared or what.together:
            with tempfile.TemporaryDirectory() as own, contextlib.suppress(Shared):
                # Of what is trained together, the first one's results count.
                self._run(stage, inputs, partial if what.shared else Path(own))
        broadcast(None)  # until it is there

    def _refuse_undeclared(self, stage: str) -> None:
        """Raise RuntimeError where a page reads a stage that its header does not list."""
        name = f"{self.dataset}/{stage}"
        if name not in os.environ.get("VIDLIB_PAGE_STAGES", name).split():  # by book/execute.py
            raise RuntimeError(f"this page reads {name}: add it to the `stages` in its header")

    def _run(self, stage: str, inputs: dict[str, Path], folder: Path) -> None:
        what, fields = self.stage(stage), SimpleNamespace(**self.ingredients(stage)["parameters"])
        if stage.startswith("train"):  # the most expensive work: what is to follow must be possible
            labels_of(self.profile.explained_classes, self.class_names())
        run = function_of(f"{what.module}:run")
        self._refuse_changed_code(stage)
        run(fields, inputs, folder, **what.options)
        self._refuse_changed_code(stage)

    def _refuse_changed_code(self, stage: str) -> None:
        files = self.code.files(self.ingredients(stage)["modules"])
        changed = [file for file in files if file.stat().st_mtime > IMPORTED]
        if changed:
            names = ", ".join(str(file.relative_to(self.code.root)) for file in changed)
            raise RuntimeError(f"{names} changed after vidlib was imported: restart the kernel")

    def _write_provenance(self, stage: str, folder: Path, seconds: float) -> None:
        what = self.stage(stage)
        record = {
            **self.ingredients(stage),
            "key": self.key(stage),
            "profile": self.name,
            "data": folder_hash(folder),
            "python": platform.python_version(),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
            "processes": world_size() if what.together or what.shared else 1,
            "threads": torch.get_num_threads(),
            "seconds": round(seconds, 1),
            **measured(folder),
        }
        write_text(folder / "provenance.json", json.dumps(record, indent=1))

    def provenance(self, stage: str) -> dict:
        """Return how a stage's results were made; make them if necessary."""
        self.ensure(stage)
        return self.record(stage)

    def table(self, stage: str, name: str) -> pd.DataFrame:
        """Return a table of a stage's results."""
        return pd.read_parquet(self.ensure(stage) / f"{name}.parquet")

    def arrays(self, stage: str, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of one file of a stage's results."""
        with np.load(self.ensure(stage) / f"{name}.npz") as arrays:
            return dict(arrays)

    def clips(self, split: str) -> Clips:
        """Return the prepared clips of a split."""
        return load_clips(self.ensure("prepare")).split(split)

    def network(self, name: str) -> torch.nn.Module:
        """Return a trained network, one of `vidlib.variants.VARIANTS`, in eval mode."""
        return load_network(self.ensure(f"train-{name}"))

    def explained_clips(self) -> Clips:
        """Return the clips that are explained, in the order of the tables and arrays."""
        ids = self.table("explain-i3d", "clips")["clip_id"]
        clips = self.clips("validation")
        positions = pd.Series(range(len(clips)), index=clips.index["clip_id"])
        return clips.subset(positions[ids].to_numpy())


def injected() -> dict[str, object]:
    """Return the parameters that papermill injected into the running notebook, if any.

    Papermill assigns all that it is given, misspelt names included, in a cell that begins with
    "# Parameters"; that cell is read to notice a wrong name.

    >>> injected()
    {}
    """
    ipython = sys.modules.get("IPython")  # in a notebook it is imported
    shell = ipython.get_ipython() if ipython else None
    if not shell:
        return {}
    cells = shell.user_ns.get("In", [])
    last = next((cell for cell in reversed(cells) if cell.startswith("# Parameters")), "")
    names = [node for node in ast.walk(ast.parse(last)) if isinstance(node, ast.Name)]
    return {n.id: shell.user_ns[n.id] for n in names if isinstance(n.ctx, ast.Store)}


def open_study(
    dataset: str = "something-mini",
    profile: str = "quick",
    overrides: dict[str, object] | None = None,
    *,
    besides: Collection[str] = (),
    runs: Path | None = None,
    data: Path | None = None,
) -> Study:
    """Return the study of a data set at a profile; all parameters are checked here.

    overrides: values for any fields of `vidlib.profiles.Profile`. In a notebook that papermill
    runs, the parameters that it injects are overrides too, except the notebook's own, named by
    ``besides``. runs: the folder of results, by default the environment variable VIDLIB_RUNS, or
    runs/ in the repository. data: the folder of the original data sets, by default VIDLIB_DATA, or
    data/. Raises ValueError, before any work, for an unknown name or an invalid value, and
    FileNotFoundError, saying how to get it, for an original data set that is not there.

    >>> open_study("something-mini", "quick", {"train_seed": 1}).name
    'quick+train_seed=1'
    """
    own = {"dataset", "profile", "overrides", *besides}
    extra = {name: value for name, value in injected().items() if name not in own}
    return Study(dataset, profile, {**extra, **(overrides or {})}, runs, data)

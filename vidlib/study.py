"""The stages of the study: what each makes, when it is current, and where it lies.

A stage's results lie in runs/<dataset>/<profile>/<stage>/<key>, where the key is a hash of all that
they depend on: the stage's own code, the vidlib modules that it imports and those that these
import (comments and docstrings aside), the values of the profile's fields that it uses, the
versions of the libraries in `RECORDED`, and the keys of the stages before it. A result whose key
is there is current; anything else is made, once, whoever asks: a notebook, the command line,
Snakemake. Results of other parameters or older code lie beside it, untouched. A stage works in
<key>.partial, where a killed one is taken up again.
"""

import ast
import functools
import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Collection
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import filelock
import numpy as np
import pandas as pd
import torch

from vidlib.data import kth, something
from vidlib.data.clips import Clips, load_clips
from vidlib.datasets import DATASETS, observer_of, read_index
from vidlib.keys import code_hash, folder_hash, folder_state, module_hashes
from vidlib.models.store import build_network, load_network
from vidlib.processes import agreed, count, rank
from vidlib.profiles import overridden, resolve_profile, unknown
from vidlib.rendered.truth import Truth
from vidlib.stages import Stage, stages_of
from vidlib.variants import STUDIED, VARIANTS

ROOT = Path(__file__).resolve().parents[1]
IMPORTED = time.time()  # what vidlib's modules say later is not what this process runs
HOW_TO_GET = {"something": something.HOW_TO_GET, "kth": kth.HOW_TO_GET}
OWN = ("vidlib.stages", "vidlib.datasets", "vidlib.variants")  # whose functions stages call
RECORDED = ("torch", "lightning", "numpy", "pandas", "av", "opencv-python-headless", "scikit-learn")


class Study:
    """A data set, a profile and its results; every result is made when it is first asked for.

    Make one with `open_study`, which checks all parameters before any work.
    """

    def __init__(
        self, dataset: str, profile: str, overrides: dict[str, object], runs: Path, data: Path
    ):
        if dataset not in DATASETS:
            raise ValueError(unknown("dataset", dataset, DATASETS))
        self.dataset = dataset
        self.stages = stages_of(dataset)
        self.rendered = DATASETS[dataset].rendered
        self.original = DATASETS[dataset].original
        self.runs, self.data = Path(runs), Path(data).resolve()
        if not self.rendered and not self.files().is_dir():
            raise FileNotFoundError(
                f"the data set {dataset} is not in {self.files()} (VIDLIB_DATA in the environment "
                f"can name another place than {self.data}). {HOW_TO_GET[dataset]}."
            )
        self.profile_name = profile
        self.profile = resolve_profile(profile, overrides, self.original)
        self._refuse_impossible_counts()
        for network in STUDIED:
            self._refuse_impossible_network(network)
        self._keys: dict[str, str] = {}

    def _refuse_impossible_counts(self) -> None:
        """Raise ValueError for more clips than a rendered set can have, or fewer than a batch."""
        one, p = DATASETS[self.dataset], self.profile
        if not one.rendered:
            return
        counts = {"train_clips": p.train_clips, "validation_clips": p.validation_clips}
        for (name, clips), most in zip(counts.items(), one.most, strict=True):
            if clips > most:
                raise ValueError(
                    f"{name} is {clips}, and {self.dataset} has at most {most} of a class: lower it"
                )
        if p.explained_clips > p.validation_clips:
            raise ValueError(
                f"explained_clips is {p.explained_clips}, but there are only {p.validation_clips} "
                "validation clips of a class: explain fewer"
            )
        clips = one.classes * p.train_clips
        if p.batch_size > clips:
            raise ValueError(
                f"batch_size is {p.batch_size}, more than the {clips} training clips: lower it or "
                "render more"
            )
        seen = 8 * clips if one.planted else 10 * p.train_clips if one.mirrored else None
        if seen and p.gate_batch_size > seen:
            raise ValueError(
                f"gate_batch_size is {p.gate_batch_size}, more than the {seen} clips that it is "
                "taken from: lower it or render more"
            )

    def _refuse_impossible_network(self, network: str) -> None:
        """Raise what building a network raises; FileNotFoundError without weights to start from."""
        variant = VARIANTS[network]
        arguments = variant.arguments(self.profile, 2)
        if variant.start:
            variant.start(arguments)
        else:
            with torch.device("meta"):
                build_network(variant.family, arguments)

    @property
    def main_stages(self) -> list[str]:
        """The stages that the book is made of: all but those of controls."""
        return [name for name, stage in self.stages.items() if not stage.control]

    @property
    def overrides(self) -> dict[str, object]:
        """The fields of the profile that are overridden, and their values."""
        return overridden(self.profile_name, self.profile, self.original)

    def beside(self, dataset: str) -> "Study":
        """Return the study of another data set at the same profile, with the same overrides.

        Not with those that count clips: they are meant for this data set. Where the other set is
        like another of the paper's, with the same seed alone.
        """
        counts = {"train_clips", "validation_clips", "explained_clips", "batch_size"}
        alike = DATASETS[dataset].original == self.original
        kept = set(self.overrides) - counts if alike else {"seed"}
        kept = {name: value for name, value in self.overrides.items() if name in kept}
        return Study(dataset, self.profile_name, kept, self.runs, self.data)

    @property
    def name(self) -> str:
        """The profile's name, with what is overridden: "quick", "quick+seed=1"."""
        words = [
            f"{k}={'-'.join(map(str, v)) if isinstance(v, tuple) else v}"
            for k, v in sorted(self.overrides.items())
        ]
        return "+".join([self.profile_name, *words])

    def _ingredients(self, stage: str) -> dict:
        what = self._stage(stage)
        functions = [getattr(what.run, "func", what.run), *what.helpers]
        values = asdict(self.profile)
        return {
            "stage": stage,
            "dataset": self.dataset,
            "code": code_hash(functions),
            "modules": module_hashes(functions, what.modules, ROOT / "vidlib"),
            "parameters": {name: values[name] for name in what.fields},
            "upstream": {name: self.key(name) for name in what.upstream},
            "versions": {name: version(name) for name in RECORDED},
        }

    def key(self, stage: str) -> str:
        """Return the hash of all that a stage's results depend on."""
        if stage not in self._keys:
            if stage != "files":
                text = json.dumps(self._ingredients(stage), sort_keys=True)
                self._keys[stage] = hashlib.sha256(text.encode()).hexdigest()
            elif self.rendered:
                self._keys[stage] = self.key("render")
            else:
                self._keys[stage] = folder_state(self.files())
        return self._keys[stage]

    def files(self) -> Path:
        """Return the folder of the data set itself, which is rendered first where it can be."""
        return self.ensure("render") if self.rendered else self.data / self.dataset

    def require_truth(self) -> None:
        """Raise ValueError, saying what to do, where the clips are not rendered."""
        if not self.rendered:
            raise ValueError(
                f"this chapter judges by the truth of rendered clips, which {self.dataset} lacks: "
                f"run it on {self.original}-mini, or chapters 1 to 3 on this set"
            )

    @functools.cached_property
    def truth(self) -> Truth:
        """Return what is known of the clips; ValueError where they are not rendered."""
        self.require_truth()
        return Truth(self.files())

    def observe(self, clip_id: str, orders: np.ndarray | None = None) -> np.ndarray:
        """Return which class an ideal observer sees in a clip's frames, re-ordered: (N,) int64.

        orders: (N, T) int, numbers of frames of the file; by default one, the frames as they are.
        The observer says -1 where it sees no class. ValueError where the clips are not rendered.
        """
        return observer_of(self.dataset)(self.truth.scene(clip_id), orders)

    def index(self) -> pd.DataFrame:
        """Return the index of the data set's files, as its reader returns it."""
        return read_index(self.dataset, self.files())

    def class_names(self) -> dict[int, str]:
        """Return the names of the classes by their numbers, in increasing order."""
        known = self.index().dropna(subset="label").drop_duplicates("label").sort_values("label")
        return dict(zip(known["label"].astype(int), known["label_name"], strict=True))

    def _stage(self, name: str) -> Stage:
        if name not in self.stages:
            raise ValueError(unknown("stage", name, self.stages))
        return self.stages[name]

    def path(self, stage: str) -> Path:
        """Return the folder of a stage's current results, whether they are there or not."""
        return self.runs / self.dataset / self.profile_name / stage / self.key(stage)[:12]

    def is_current(self, stage: str) -> bool:
        """Tell whether a stage's results are there."""
        return (self.path(stage) / "provenance.json").is_file()

    def ensure(self, stage: str) -> Path:
        """Return the folder of a stage's results, making them and what they need if need be.

        Of several processes that torchrun or Slurm started, all have to ask for the same. The first
        decides what is to be made, makes it, and is waited for; they train together.
        """
        if stage == "files":
            return self.files()
        path = self.path(stage)
        if agreed(self.is_current(stage)):
            return path
        if self._stage(stage).control:
            self._refuse_impossible_network(stage.partition("-")[2])
        inputs = {name: self.ensure(name) for name in self._stage(stage).upstream}
        if rank() > 0:
            self._help(stage, inputs)
            return path
        partial = path.with_name(f"{path.name}.partial")
        partial.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_name(f"{path.name}.lock")):
            # It may have been made by another run while this one waited.
            if agreed(self.is_current(stage)):
                return path
            print(f"{stage}: making {self.dataset} at {self.name}", flush=True)
            begin = time.time()
            self._run(stage, inputs, partial)
            if "files" in inputs and not self.rendered:
                self._refuse_changed_files(stage)
            self._write_provenance(stage, partial, time.time() - begin)
            if path.exists():  # without a record, so left by something else
                shutil.rmtree(path)
            os.replace(partial, path)
        agreed("made")
        return path

    def _help(self, stage: str, inputs: dict[str, Path]) -> None:
        """Train with the first process, and wait for it; what this one writes is thrown away."""
        if agreed(None):  # what the first process says at this point: whether it is there by now
            return
        if self._stage(stage).together:
            with tempfile.TemporaryDirectory() as folder:
                self._run(stage, inputs, Path(folder))
        agreed(None)  # until it is there

    def _run(self, stage: str, inputs: dict[str, Path], folder: Path) -> None:
        what, values = self._stage(stage), asdict(self.profile)
        fields = SimpleNamespace(**{name: values[name] for name in what.fields})
        self._refuse_changed_code(stage)
        what.run(fields, inputs, folder)
        self._refuse_changed_code(stage)  # or lazily imported code may not be what was hashed

    def _refuse_changed_files(self, stage: str) -> None:
        if folder_state(self.files()) != self.key("files"):
            raise RuntimeError(
                f"files of {self.files()} changed since this process first looked at them, so the "
                f"result of {stage} may not be theirs: start anew (restart the kernel)"
            )

    def _refuse_changed_code(self, stage: str) -> None:
        names = [*self._ingredients(stage)["modules"], *OWN]
        files = [ROOT.joinpath(*name.split(".")) for name in names]
        files = [f / "__init__.py" if f.is_dir() else f.with_suffix(".py") for f in files]
        changed = [str(f.relative_to(ROOT)) for f in files if f.stat().st_mtime > IMPORTED]
        if changed:
            raise RuntimeError(
                f"{', '.join(changed)} changed after this process imported vidlib, so the result "
                f"of {stage} would not be that of the code on disk: start anew (restart the kernel)"
            )

    def _write_provenance(self, stage: str, folder: Path, seconds: float) -> None:
        record = {
            **self._ingredients(stage),
            "key": self.key(stage),
            "profile": self.name,
            "data": folder_hash(folder),
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
            "processes": count() if self._stage(stage).together else 1,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(seconds, 1),
        }
        (folder / "provenance.json").write_text(json.dumps(record, indent=1))

    def provenance(self, stage: str) -> dict:
        """Return how a stage's results were made, making them if need be."""
        return json.loads((self.ensure(stage) / "provenance.json").read_text())

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

    def explained(self) -> Clips:
        """Return the clips that are explained, in the order of the tables and arrays."""
        ids = self.table("explain-i3d", "clips")["clip_id"]
        clips = self.clips("validation")
        positions = pd.Series(range(len(clips)), index=clips.index["clip_id"])
        return clips.subset(positions[ids].to_numpy())


def injected() -> dict[str, object]:
    """Return the parameters that papermill injected into the running notebook, if it did.

    Papermill assigns whatever it is given, misspelt names included, in a cell of its own that
    begins with "# Parameters"; reading that cell is how a wrong name is noticed.
    """
    try:
        from IPython import get_ipython
    except ImportError:
        return {}
    shell = get_ipython()
    cells = shell.user_ns.get("In", []) if shell else []
    last = next((cell for cell in reversed(cells) if cell.startswith("# Parameters")), "")
    names = [
        node.targets[0].id
        for node in ast.parse(last).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]
    return {name: shell.user_ns[name] for name in names}


def open_study(
    dataset: str = "something-mini",
    profile: str = "quick",
    overrides: dict[str, object] | None = None,
    *,
    besides: Collection[str] = (),
    runs: Path | None = None,
    data: Path | None = None,
) -> Study:
    """Return the study of a data set at a profile; its parameters are all checked here.

    overrides: values for any fields of `vidlib.profiles.Profile`. In a notebook that papermill
    runs, the parameters it injects count as overrides too, but for those of the notebook itself,
    which ``besides`` names. runs: where results lie, by default what the environment variable
    VIDLIB_RUNS says, or runs/ in the repository. data: where the folders of the original data sets
    lie, something and kth, by default what VIDLIB_DATA says, or data/. Raises ValueError, before
    any work, for an unknown name or an impossible value, and FileNotFoundError for an original data
    set that is not there, saying how to get it.
    """
    own = {"dataset", "profile", "overrides", *besides}
    extra = {name: value for name, value in injected().items() if name not in own}
    runs = runs or os.environ.get("VIDLIB_RUNS") or ROOT / "runs"
    data = data or os.environ.get("VIDLIB_DATA") or ROOT / "data"
    return Study(dataset, profile, {**extra, **(overrides or {})}, runs, data)

"""The results of a study on disk: where each lies, whether it is current, how it was made.

A stage's results are in runs/<dataset>/<profile>/<stage>/<key> (`vidlib.workflow.keys`), complete
once their provenance.json is there. Results of other settings or older code stay beside them.
Nothing here makes a result: `vidlib.study` does.
"""

import json
import math
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Self

from vidlib import check
from vidlib.datasets import data_set
from vidlib.named import function_of
from vidlib.profiles import overridden, resolve_profile
from vidlib.workflow.graph import Stage, stages_of
from vidlib.workflow.keys import ROOT, Code, folder_state, key_of, versions

CODE = Code()


class Runs:
    """The stages of one data set at one profile, and what is there of their results.

    dataset: a name, as `vidlib.datasets.data_set` takes it. profile: one of `PROFILES`.
    overrides: values for any of its fields. runs: the folder of results, by default the environment
    variable VIDLIB_RUNS, or runs/ in the repository. data: the folder of the original data sets, by
    default VIDLIB_DATA, or data/. code: whose hashes count. Raises ValueError, before any work, for
    an unknown name or an invalid value, and FileNotFoundError, saying how to get it, for an
    original data set that is not there.

    >>> Runs("something-mini", "quick", {"train_seed": 1}).name
    'quick+train_seed=1'
    """

    def __init__(
        self,
        dataset: str = "something-mini",
        profile: str = "quick",
        overrides: dict[str, object] | None = None,
        runs: Path | None = None,
        data: Path | None = None,
        code: Code = CODE,
    ):
        self.dataset = dataset
        self.runs = Path(runs or os.environ.get("VIDLIB_RUNS") or ROOT / "runs")
        self.data = Path(data or os.environ.get("VIDLIB_DATA") or ROOT / "data").resolve()
        self.about = data_set(dataset, self.data)
        self.stages = stages_of(self.about)
        self.rendered, self.original = self.about.rendered, self.about.original
        if not self.rendered and not (self.data / dataset).is_dir():
            absent = f"the data set {dataset} is not in {self.data / dataset}"
            remedy = f"{function_of(self.about.how_to_get)}, or set VIDLIB_DATA"
            raise FileNotFoundError(f"{absent}. {remedy}.")
        self.profile_name = profile
        self.profile = resolve_profile(profile, overrides or {}, self.original)
        self._refuse_impossible_counts()
        self.code = code
        self._keys: dict[str, str] = {}

    def _refuse_impossible_counts(self) -> None:
        """Raise ValueError for more clips than a rendered set can have, or fewer than a batch."""
        one, p = self.about, self.profile
        if not one.rendered:
            return
        clips = one.classes * p.train_clips
        seen = 8 * clips if one.planted else 10 * p.train_clips if one.mirrored else math.inf
        for name, most, why in (
            ("train_clips", one.most[0], f"that {self.dataset} can have of a class"),
            ("validation_clips", one.most[1], f"that {self.dataset} can have of a class"),
            ("explained_clips", p.validation_clips, "validation clips of a class"),
            ("batch_size", clips, "training clips"),
            ("gate_batch_size", seen, "clips that it is taken from"),
        ):
            if (value := getattr(p, name)) > most:
                raise ValueError(f"{name} is {value}, more than the {most} {why}: lower it")

    @property
    def main_stages(self) -> list[str]:
        """The stages that the book is made of: all but those of controls."""
        return [name for name, stage in self.stages.items() if not stage.control]

    @property
    def overrides(self) -> dict[str, object]:
        """The fields of the profile that are overridden, and their values."""
        return overridden(self.profile_name, self.profile, self.original)

    @property
    def name(self) -> str:
        """The profile's name, with what is overridden: "quick", "quick+train_seed=1"."""
        words = [
            f"{k}={'-'.join(map(str, v)) if isinstance(v, tuple) else v}"
            for k, v in sorted(self.overrides.items())
        ]
        return re.sub(r"[^\w.=+-]+", "_", "+".join([self.profile_name, *words]))

    def beside(self, dataset: str) -> Self:
        """Return the study of another data set at the same profile, with the same overrides.

        Overrides that count clips are dropped: they are meant for this data set. If the other set
        is like the other one of the paper's, only the seeds are kept.
        """
        counts = {"train_clips", "validation_clips", "explained_clips", "batch_size"}
        alike = data_set(dataset, self.data).original == self.original
        kept = set(self.overrides) - counts if alike else {"data_seed", "train_seed"}
        return self._like(dataset, {name: v for name, v in self.overrides.items() if name in kept})

    def with_seed(self, train_seed: int) -> Self:
        """Return the same study of networks trained from another seed, on the same clips."""
        return self._like(self.dataset, {**self.overrides, "train_seed": train_seed})

    def _like(self, dataset: str, overrides: dict[str, object]) -> Self:
        return type(self)(
            dataset, self.profile_name, overrides, self.runs, self.data, code=self.code
        )

    def stage(self, name: str) -> Stage:
        """Return a stage by its name; ValueError, naming those there are, for another."""
        check.one_of("stage", name, self.stages)
        return self.stages[name]

    def ingredients(self, stage: str) -> dict:
        """Return all that a stage's results depend on: code, settings, versions, upstream keys."""
        what, values = self.stage(stage), asdict(self.profile)
        return {
            "stage": stage,
            "dataset": self.dataset,
            "modules": self.code.closure(what.entries),
            "options": what.options,
            "parameters": {name: values[name] for name in what.fields},
            "upstream": {name: self.key(name) for name in what.upstream},
            "versions": versions(),
        }

    def key(self, stage: str) -> str:
        """Return the key of a stage; of "files", of the data set itself."""
        if stage not in self._keys:
            if stage != "files":
                self._keys[stage] = key_of(self.ingredients(stage))
            elif self.rendered:
                self._keys[stage] = self.key("render")
            else:
                self._keys[stage] = folder_state(self.data / self.dataset)
        return self._keys[stage]

    def needs(self, stage: str) -> list[str]:
        """Return the stages that a stage reads; "render" for the data set itself."""
        files = ["render"] if self.rendered else []
        return [n for up in self.stage(stage).upstream for n in (files if up == "files" else [up])]

    def path(self, stage: str) -> Path:
        """Return the folder of a stage's current results, which may not be there yet."""
        return self.runs / self.dataset / self.profile_name / stage / self.key(stage)[:12]

    def is_current(self, stage: str) -> bool:
        """Tell whether a stage's results are there."""
        return (self.path(stage) / "provenance.json").is_file()

    def record(self, stage: str) -> dict:
        """Return how a stage's current results were made; FileNotFoundError where they are not."""
        return json.loads((self.path(stage) / "provenance.json").read_text(encoding="utf-8"))

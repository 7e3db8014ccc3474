"""Everything that the book is made of, as jobs: stages, pages and the book, each with its key.

A job is current if its record holds the key computed now; Snakemake runs the others. A job needs
the jobs whose results it reads, and no others, so that independent jobs can run side by side.

A page's header lists the stages that it reads under `vidlib: stages`: "explain-i3d", or
"kth-mini/explain-i3d" for another data set than the page's own, or "all". Under `vidlib: files` it
lists the files and folders of the repository that it reads.
"""

import ast
import functools
import json
import re
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from vidlib.profiles import has_gpu
from vidlib.variants import STUDIED
from vidlib.weights_cache import has_kinetics_weights
from vidlib.workflow.keys import ROOT, folder_hash, key_of, versions
from vidlib.workflow.runs import Runs

# Libraries that show in a page beside those that stages depend on; those that show in the book.
PAGE_LIBRARIES = ("plotly", "papermill", "jupytext", "ipywidgets", "anywidget", "pillow")
BOOK_LIBRARIES = ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme", "plotly")
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?::[^\n]*\n)*(.*?)^```", re.M | re.S)
# The stages that a run over seeds repeats.
SEEDED = [f"{step}-{net}" for step in ("train", "evaluate", "explain") for net in STUDIED]
TINY = ("smoke",)  # profiles whose stages take longer to start than to run: one core each
SIDE_BY_SIDE = ("clstm",)  # networks that train faster two at a time in float32 too
RUNNER, BUILDER = "book/execute.py", "book/build.py"
SOURCES = ("book", "_config.yml", "_toc.yml", "CITATION.cff")


@dataclass(frozen=True)
class Job:
    """One thing to make.

    key: of everything that it depends on. record: the JSON file that holds the key once the job is
    done. needs: keys of the jobs whose results it reads. command: does the job, in a shell at the
    repository's root. whole: whether it uses every core, or one. parameters: of a stage, the
    settings that it sees.
    """

    name: str
    key: str
    record: Path
    needs: tuple[str, ...]
    command: str
    whole: bool
    parameters: dict | None = None

    @property
    def current(self) -> bool:
        """Whether its result is there and up to date."""
        try:
            return json.loads(self.record.read_text(encoding="utf-8"))["key"] == self.key
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return False


class Page:
    """A page with code: what it shows, the code it calls and the stages it reads.

    source: its MyST text, a path from the repository's root.
    """

    def __init__(self, source: str, root: Path = ROOT):
        self.source, self.name = source, Path(source).stem
        self.text = (root / source).read_text(encoding="utf-8")
        header = yaml.safe_load(self.text.split("---\n", 2)[1]).get("vidlib", {})
        self.stages, self.files = header.get("stages", []), header.get("files", [])

    def code(self) -> str:
        """Return the code of all its cells; ValueError, naming the page, where it is no Python."""
        code = "\n".join(CELL.findall(self.text))
        try:
            ast.parse(code)
        except SyntaxError as error:
            raise ValueError(f"{self.source}: {error.msg} in {error.text!r}") from error
        return code

    def reads(self, runs: Runs) -> Iterator[tuple[Runs, str]]:
        """Yield the stages that it reads, with the study of each, where that has them."""
        for listed in self.stages:
            dataset, _, stage = listed.rpartition("/")
            if dataset and runs.dataset != "something-mini":  # only its book shows other sets
                continue
            one = runs.beside(dataset) if dataset else runs
            wanted = one.main_stages if stage == "all" else [stage]
            yield from ((one, name) for name in wanted if name in one.stages)


def pages_of(dataset: str, root: Path = ROOT) -> dict[str, tuple[str | None, Page]]:
    """Return the pages of a data set's book: by name the set that each runs on, and its text.

    Chapter 7 is of no data set. Chapters 2 to 6 are in the book on something-mini a second time, on
    kth-mini.
    """
    chapters = [Page(f"notebooks/{p.name}", root) for p in sorted(root.glob("notebooks/*.md"))]
    texts = (p for p in sorted(root.glob("book/*.md")) if CELL.search(p.read_text("utf-8")))
    pages = chapters + [Page(f"book/{p.name}", root) for p in texts]
    found = {page.name: (None if page.name == "07_errata" else dataset, page) for page in pages}
    if dataset == "something-mini":
        again = [page for page in chapters if "02" <= page.name < "07"]
        found |= {f"kth-mini/{page.name}": ("kth-mini", page) for page in again}
    return found


def flags_of(runs: Runs) -> str:
    """Return the command line's options for a study."""
    settings = [f"--set={name}={value}" for name, value in runs.overrides.items()]
    return shlex.join(["--dataset", runs.dataset, "--profile", runs.profile_name, *settings])


def stage_jobs(runs: Runs, wanted: list[str], one_core: Collection[str] = ()) -> dict[str, Job]:
    """Return the jobs of some stages of a study, and of all that these need, by their keys.

    one_core: stages that use one core each, as all do at tiny profiles, and training in half
    precision on a processor does (`benchmarks/training.py` says why); rendering and decoding always
    use every core.
    """
    found: dict[str, Job] = {}
    half = runs.profile.precision == "bfloat16" and not has_gpu()

    def add(stage: str) -> str:
        key, alone = runs.key(stage), runs.profile_name in TINY or stage in one_core
        alone = alone or (half and stage.startswith("train-"))
        if key not in found:
            found[key] = Job(
                f"{runs.dataset}/{runs.name}/{stage}",
                key,
                runs.path(stage) / "provenance.json",
                tuple(add(up) for up in runs.needs(stage)),
                f"python -m vidlib {stage} {flags_of(runs)}",
                stage in ("render", "prepare") or not alone,
                runs.ingredients(stage)["parameters"],
            )
        return key

    for stage in wanted:
        add(stage)
    return found


def _page_job(
    name: str, page: Page, runs: Runs, given: dict, build: Path
) -> tuple[Job, dict[str, Job]]:
    """Return the job of a page, and those of the stages that it reads."""
    code, direct = runs.code, []
    read: dict[str, Job] = {}
    for study, stage in page.reads(runs):
        read |= stage_jobs(study, [stage])
        direct.append(study.key(stage))
    key = key_of(
        {
            "page": name,
            "text": page.text,
            "modules": code.of_text(page.code()),
            "runner": code.of_script(RUNNER),
            "given": given,
            "upstream": sorted(direct),
            "files": {file: folder_hash(code.root / file) for file in page.files},
            "versions": {**versions(), **versions(PAGE_LIBRARIES)},
        }
    )
    parts = (job.name.split("/") for job in read.values())
    stages = " ".join(sorted(f"{dataset}/{stage}" for dataset, _, stage in parts))
    arguments = [page.source, build, name, json.dumps(given), key, stages]
    command = f"python {RUNNER} {shlex.join(map(str, arguments))}"
    record = build / "notebooks" / f"{name}.json"
    return Job(f"page/{name}", key, record, tuple(direct), command, False), read


def book_jobs(runs: Runs, build: Path) -> dict[str, Job]:
    """Return the jobs of a study's book by their keys, the book's own last.

    build: the folder of executed pages and the book. Chapter 8 asks I3D as trained on Kinetics, or,
    where its weights are not there and at tiny profiles, the study's own.
    """
    stands_in = runs.profile_name in TINY or not has_kinetics_weights()
    jobs: dict[str, Job] = {}
    pages: dict[str, Job] = {}
    code, beside = runs.code, functools.cache(runs.beside)
    for name, (dataset, page) in pages_of(runs.dataset, code.root).items():
        one = runs if dataset in (None, runs.dataset) else beside(dataset)
        given: dict[str, object] = {}
        if dataset:
            given = {"dataset": dataset, "profile": runs.profile_name, **one.overrides}
        if name.startswith("08_") and stands_in:
            given["model"] = "i3d"
        job, read = _page_job(name, page, one, given, build)
        pages[job.key] = job
        jobs |= read
    key = key_of(
        {
            "pages": sorted(pages),
            "sources": {name: folder_hash(code.root / name) for name in SOURCES},
            "builder": code.of_script(BUILDER),
            "versions": versions(BOOK_LIBRARIES),
        }
    )
    command = f"python {BUILDER} --executed {build}/notebooks --out {build} --key {key}"
    book = Job("book", key, build / "book.json", tuple(pages), command, True)
    return {**jobs, **pages, key: book}


def extended_jobs(runs: Runs, seeds: int) -> dict[str, Job]:
    """Return the jobs of what the book reads but does not make: both networks at many seeds.

    The networks train from seeds 0 to `seeds` - 1 on the same clips; those of `SIDE_BY_SIDE` on one
    core each (`benchmarks/training.py` says why). A data set's last job, "results/...", writes its
    tables. With something-mini come the same jobs on kth-mini.
    """
    one_core = [stage for stage in SEEDED if stage.endswith(SIDE_BY_SIDE)]
    jobs: dict[str, Job] = {}
    studies = [runs, runs.beside("kth-mini")] if runs.dataset == "something-mini" else [runs]
    for study in studies:
        needs: list[str] = []
        for seed in range(seeds):
            one = study.with_seed(seed)
            for key, job in stage_jobs(one, SEEDED, one_core).items():
                jobs.setdefault(key, job)
            needs += [one.key(stage) for stage in SEEDED]
        key = key_of({"jobs": needs, "writer": runs.code.closure(["vidlib.workflow.results"])})
        command = f"python -m vidlib collect {flags_of(study)} --seeds {seeds} --key {key}"
        name = f"results/{study.dataset}/{study.name}"
        record = runs.code.root / name / "provenance.json"
        jobs[key] = Job(name, key, record, tuple(needs), command, False)
    return jobs

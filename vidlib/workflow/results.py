"""Tables of runs over many training seeds: small files in git, each with how it was made.

`results/<dataset>/<profile>/<stage>/<table>.parquet` holds a table of all seeds, with a column
train_seed; `provenance.json` beside the stages says what made them. The book reads these tables;
`make extended` makes them.
"""

import json
import shutil
from pathlib import Path

import pandas as pd

from vidlib.files import publish, write_table, write_text
from vidlib.workflow.keys import ROOT, differing
from vidlib.workflow.runs import Runs

RESULTS = ROOT / "results"
MOST_BYTES = 20_000_000  # of all results together: they are in git
# What may change a result, and what it is called; then what else is the same in runs of a stage.
CAUSES = {"modules": "", "versions": "library ", "parameters": "setting ", "options": "option "}
SHARED = (*CAUSES, "machine", "device")
PER_RUN = ("key", "data", "seconds", "threads", "processes", "peak_bytes", "disk_bytes", "finished")


def collect(studies: list[Runs], stages: list[str], key: str, folder: Path) -> None:
    """Write the tables of some stages of studies that differ only in their training seed.

    key: of these results, for their record. folder: is replaced; it lies two levels below the
    folder of all results. Raises FileNotFoundError if a stage has not been made, ValueError if the
    tables would be larger than `MOST_BYTES`.
    """
    seeds = [one.profile.train_seed for one in studies]
    told: dict[str, dict] = {}
    aside = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    for stage in _with_upstream(studies[0], stages):
        records = [one.record(stage) for one in studies]
        told[stage] = {name: records[0][name] for name in SHARED}
        told[stage]["parameters"].pop("train_seed", None)
        told[stage]["runs"] = [
            {"train_seed": seed, **{name: record[name] for name in PER_RUN}}
            for seed, record in zip(seeds, records, strict=True)
        ]
        tables = studies[0].path(stage).glob("*.parquet") if stage in stages else ()
        for name in sorted(path.name for path in tables):
            (aside / stage).mkdir(parents=True, exist_ok=True)
            parts = [pd.read_parquet(one.path(stage) / name) for one in studies]
            table = pd.concat(parts, keys=seeds, names=["train_seed"]).reset_index("train_seed")
            write_table(aside / stage / name, table.reset_index(drop=True))
    others = (p for p in folder.parent.parent.rglob("*.parquet") if folder not in p.parents)
    if (size := sum(path.stat().st_size for path in others)) > MOST_BYTES:
        shutil.rmtree(aside)
        most = f"{size / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f} MB"
        raise ValueError(f"all tables would take {most}: collect fewer seeds")
    record = {
        "key": key,
        "dataset": studies[0].dataset,
        "profile": studies[0].with_seed(0).name,
        "train_seeds": seeds,
        "stages": told,
    }
    write_text(aside / "provenance.json", json.dumps(record, indent=1))
    publish(aside, folder)


def _with_upstream(runs: Runs, stages: list[str]) -> list[str]:
    """Return stages and all that they need, each after what it needs."""
    needed, todo = set(), list(stages)
    while todo:
        needed.add(stage := todo.pop())
        todo += set(runs.needs(stage)) - needed
    return [stage for stage in runs.stages if stage in needed]


def record_of(dataset: str, profile: str, results: Path = RESULTS) -> dict:
    """Return what made the results of a data set; FileNotFoundError, with the remedy, without."""
    path = results / dataset / profile / "provenance.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"no results of {dataset} at {profile} over seeds: make extended PROFILE={profile}"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def table_of(
    dataset: str, profile: str, stage: str, table: str, results: Path = RESULTS
) -> pd.DataFrame:
    """Return a table of a stage, rows of all seeds; the column train_seed says of which."""
    record_of(dataset, profile, results)
    return pd.read_parquet(results / dataset / profile / stage / f"{table}.parquet")


def changed_since(record: dict, runs: Runs) -> dict[str, list[str]]:
    """Return what changed since results were made: the stages concerned, by what changed.

    record: as `record_of` returns it. runs: the study as it is now. A module, a library, a setting
    or an option may have changed, of the stages with tables or of those they need. Empty if the
    same run would be made today.
    """
    changed: dict[str, list[str]] = {}
    for stage, told in record["stages"].items():
        now = runs.ingredients(stage)
        for cause, kind in CAUSES.items():
            for name in differing(told[cause], now[cause], ["train_seed"]):
                changed.setdefault(f"{kind}{name}", []).append(stage)
    return changed

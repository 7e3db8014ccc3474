"""Tables of many seeds: what is collected, how it was made, and what changed since."""

import json

import pandas as pd
import pytest

from vidlib.files import write_table, write_text
from vidlib.workflow import results
from vidlib.workflow.results import changed_since, collect, record_of, table_of
from vidlib.workflow.runs import Runs

STAGES = ["evaluate-i3d", "evaluate-clstm"]
NEEDED = ["render", "prepare", "train-i3d", "train-clstm", *STAGES]


def made(runs, stage, value):
    """Results of a stage as if it had been run."""
    folder = runs.path(stage)
    folder.mkdir(parents=True, exist_ok=True)  # seeds share what is rendered
    write_table(folder / "summary.parquet", pd.DataFrame({"top1": [value, value / 2]}))
    record = {**runs.ingredients(stage), "key": runs.key(stage), "data": "0", "seconds": 2.0}
    record |= {"threads": 1, "processes": 1, "peak_bytes": 5, "disk_bytes": 7}
    record |= {"finished": "2026-01-01T00:00:00Z", "machine": "a machine", "device": "CPU"}
    write_text(folder / "provenance.json", json.dumps(record))


@pytest.fixture
def studies(tmp_path):
    first = Runs("kth-mini", "smoke", runs=tmp_path / "runs")
    found = [first.with_seed(seed) for seed in range(3)]
    for one in found:
        for stage in NEEDED:
            made(one, stage, one.profile.train_seed + (10 if "clstm" in stage else 0))
    return found


def collected(studies, tmp_path):
    root = tmp_path / "results"
    collect(studies, STAGES, "the key", root / "kth-mini/smoke")
    return root


def test_a_table_holds_the_rows_of_every_seed(studies, tmp_path):
    root = collected(studies, tmp_path)
    table = table_of("kth-mini", "smoke", "evaluate-clstm", "summary", root)
    assert table["train_seed"].tolist() == [0, 0, 1, 1, 2, 2]
    assert table["top1"].tolist() == [10, 5, 11, 5.5, 12, 6]
    record = record_of("kth-mini", "smoke", root)
    assert record["key"] == "the key" and record["train_seeds"] == [0, 1, 2]
    assert list(record["stages"]) == [s for s in studies[0].stages if s in NEEDED]
    assert not (root / "kth-mini/smoke/train-i3d").exists()  # needed, and not asked for
    told = record["stages"]["evaluate-i3d"]
    keys = [one.key("evaluate-i3d") for one in studies]
    assert [run["key"] for run in told["runs"]] == keys and len(set(keys)) == 3
    assert "vidlib.stages.evaluate" in told["modules"] and "train_seed" not in told["parameters"]


def test_nothing_has_changed_until_something_does(studies, tmp_path):
    record = record_of("kth-mini", "smoke", collected(studies, tmp_path))
    assert changed_since(record, studies[0]) == changed_since(record, studies[2]) == {}
    other = Runs("kth-mini", "smoke", {"data_seed": 1}, studies[0].runs)
    assert changed_since(record, other) == {"setting data_seed": ["render", *STAGES]}
    told = record["stages"]["evaluate-i3d"]
    told["modules"]["vidlib.compare.accuracy"] = "of another day"
    told["versions"]["torch"] = "1.0"
    told["options"]["network"] = "another"
    record["stages"]["render"]["modules"]["vidlib.rendered.kth.body"] = "of another day"
    assert changed_since(record, studies[0]) == {
        "vidlib.compare.accuracy": ["evaluate-i3d"],
        "library torch": ["evaluate-i3d"],
        "option network": ["evaluate-i3d"],
        "vidlib.rendered.kth.body": ["render"],
    }


def test_results_that_would_be_too_large_leave_the_old_ones(studies, tmp_path, monkeypatch):
    root = collected(studies, tmp_path)
    monkeypatch.setattr(results, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="fewer seeds"):
        collected(studies[:1], tmp_path)
    assert record_of("kth-mini", "smoke", root)["train_seeds"] == [0, 1, 2]


def test_seeds_that_were_not_made_are_named(studies, tmp_path):
    with pytest.raises(FileNotFoundError, match="train-i3d"):
        collected([*studies, studies[0].with_seed(9)], tmp_path)


def test_a_page_without_results_is_told_how_to_make_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="make extended"):
        table_of("kth-mini", "quick", "evaluate-i3d", "summary", tmp_path)


def test_what_is_in_git_is_small_and_tells_how_it_was_made():
    files = [path for path in results.RESULTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= results.MOST_BYTES
    for path in results.RESULTS.glob("*/*/*/*.parquet"):
        record = record_of(*path.parts[-4:-2])
        assert set(pd.read_parquet(path)["train_seed"]) == set(record["train_seeds"])
        assert path.parent.name in record["stages"]

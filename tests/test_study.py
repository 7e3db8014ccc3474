"""What is current, and who says so: the stages' keys, their folders, and the command line."""

import ast
import itertools
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT, snakemake

from vidlib.__main__ import main
from vidlib.compare import score_drops
from vidlib.data import DataWarning, read_something
from vidlib.datasets import DATASETS
from vidlib.explain import (
    PERTURBATIONS,
    REORDERINGS,
    freeze,
    learn_masks,
    penalty,
    perturb,
    reverse,
    score_clips,
)
from vidlib.stages.chosen import chosen_clips, in_parts
from vidlib.study import open_study
from vidlib.variants import VARIANTS
from vidlib.workflow.graph import Stage, stages_of
from vidlib.workflow.jobs import book_jobs, extended_jobs
from vidlib.workflow.keys import Code, folder_state
from vidlib.workflow.runs import Runs

# --- keys


STAGES = tuple(n for n, stage in stages_of(DATASETS["something-mini"]).items() if not stage.control)


def keys(study):
    return {stage: study.key(stage) for stage in study.stages}


def changed(one, other):
    return {name for name in one if one[name] != other[name]}


ALL = set(STAGES)
I3D, CLSTM, EXPLAINED = (
    {*(f"{step}-{name}" for name in names for step in steps), "compare"}
    for names, steps in (
        (["i3d"], ["train", "evaluate", "explain", "search", "rivals"]),
        (["clstm"], ["train", "evaluate", "explain", "search", "rivals"]),
        (["i3d", "clstm"], ["explain", "search", "rivals"]),
    )
)
JUDGED = {"observe"} | EXPLAINED - {"search-i3d", "search-clstm"}
TRAINED = I3D | CLSTM | {"leakage"}
SEARCHED = {"search-i3d", "search-clstm", "rivals-i3d", "rivals-clstm"}


@pytest.mark.parametrize(
    ("overrides", "made_anew"),
    [
        ({"data_seed": 1}, ALL),
        ({"train_seed": 1}, TRAINED),
        ({"render_size": 66}, ALL),
        ({"frames": 8}, ALL - {"render"}),
        ({"i3d_epochs": 1}, I3D),
        ({"clstm_lr": 0.1}, CLSTM),
        ({"i3d_weight_decay": 0.1}, I3D),
        ({"clstm_optimizer": "sgd"}, CLSTM),
        ({"mask_iterations": 9}, EXPLAINED),
        ({"searched_clips": 1}, SEARCHED),
    ],
)
def test_a_parameter_concerns_the_stages_that_use_it(overrides, made_anew, tmp_path):
    plain = Runs("something-mini", "smoke", runs=tmp_path)
    other = Runs("something-mini", "smoke", overrides, runs=tmp_path)
    assert changed(keys(plain), keys(other)) & ALL == made_anew
    for stage in STAGES:
        assert (plain.path(stage) == other.path(stage)) == (stage not in made_anew)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the code that a test may edit."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("vidlib", "notebooks", "book", "profiles", "results"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("Snakefile", "_config.yml", "_toc.yml", "pyproject.toml", "CITATION.cff"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@contextmanager
def edited(path, old, new):
    """The file with a piece of its text replaced."""
    text = path.read_text()
    assert old in text, f"{path} no longer holds {old!r}: mend the test"
    path.write_text(text.replace(old, new, 1))
    try:
        yield
    finally:
        path.write_text(text)


def keys_in(folder):
    return keys(Runs("something-mini", "smoke", code=Code(folder)))


@pytest.fixture(scope="module")
def before(copy):
    return keys_in(copy)


@pytest.mark.parametrize(
    ("file", "old", "new", "made_anew"),
    [
        ("vidlib/rendered/something/looks.py", "SPRITE = 96", "SPRITE = 95", ALL),
        ("vidlib/data/clips.py", "(127.5)", "(127.25)", ALL - {"render", "prepare"}),
        ("vidlib/data/prepare.py", "2 * MOST_SECONDS", "3 * MOST_SECONDS", ALL - {"render"}),
        ("vidlib/data/kth.py", "range(1, 17)", "range(1, 16)", set()),
        ("vidlib/models/i3d.py", "eps=1e-3", "eps=1e-4", I3D),
        ("vidlib/models/clstm.py", "c.tanh()", "c.sigmoid()", CLSTM),
        ("vidlib/models/clstm_variants.py", "p.clstm_hidden", "p.clstm_hidden + 1", CLSTM),
        ("vidlib/training/classifier.py", "pct_start=0.2", "pct_start=0.3", TRAINED),
        ("vidlib/explain/masks.py", "START_LOGIT = 5.0", "START_LOGIT = 4.0", EXPLAINED),
        (
            "vidlib/explain/attribution.py",
            "if masks % 2",
            "if masks % 4",
            {"rivals-i3d", "rivals-clstm"},
        ),
        (
            "vidlib/compare/accuracy.py",
            "average=None",
            'average="weighted"',
            {"evaluate-i3d", "evaluate-clstm", "compare"},
        ),
        ("vidlib/rendered/something/observer.py", "PANNED = 0.2", "PANNED = 0.3", JUDGED),
        ("vidlib/compare/survival.py", "NO_WINDOW = -2", "NO_WINDOW = -3", JUDGED),
        # A constant of a stage's own, which was once in no key.
        ("vidlib/stages/search.py", '"corrected", "lr": 0.2', '"corrected", "lr": 0.9', SEARCHED),
        ("vidlib/stages/prepare.py", "64 * 2**30", "65 * 2**30", ALL - {"render"}),
        ("vidlib/show/player.py", "import", "import io\nimport", set()),
        (
            "vidlib/rendered/something/looks.py",
            "# a dark rim",
            "# a dark rim, and another comment",
            set(),
        ),
        ("vidlib/models/i3d.py", "The total is split evenly", "It is split evenly", set()),
    ],
)
def test_an_edit_concerns_the_stages_that_depend_on_it(copy, before, file, old, new, made_anew):
    with edited(copy / file, old, new):
        assert changed(before, keys_in(copy)) & ALL == made_anew


def other_constant(source):
    """The source with one constant changed that is no docstring; None where there is none."""
    tree = ast.parse(source)
    words = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    pieces = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in words | pieces:
            lines = source.encode().splitlines(keepends=True)
            start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
            end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
            text = source.encode()
            return (text[:start] + b"'another value'" + text[end:]).decode()
    return None


def test_a_constant_changed_in_any_module_of_a_stage_changes_its_key(copy):
    code = Code(copy)
    study = Runs("something-mini", "smoke", code=code)
    plain = keys(study)
    closures = {stage: set(code.closure(study.stages[stage].entries)) for stage in study.stages}
    upstream = {}
    for stage in study.stages:  # each after those that it needs
        upstream[stage] = {stage}.union(*(upstream[up] for up in study.needs(stage)))
    modules = sorted(m for m in set().union(*closures.values()) if "/" not in m)  # not tables
    assert len(modules) > 40
    for module in modules:
        path = copy.joinpath(*module.split(".")).with_suffix(".py")
        text = path.read_text()
        path.write_text(other_constant(text) or text + "\nADDED = 1\n")
        anew = Code(copy)
        anew._read = {name: read for name, read in code._read.items() if name != module}
        there = changed(plain, keys(Runs("something-mini", "smoke", code=anew)))
        path.write_text(text)
        concerned = {s for s in study.stages if any(module in closures[up] for up in upstream[s])}
        assert there == concerned, module


def test_what_a_data_set_or_a_network_is_counts_by_value(monkeypatch):
    def now():
        return keys(Runs("cue-marker", "smoke"))

    plain = now()
    other = replace(DATASETS["cue-marker"], observer="vidlib.rendered.something.observer:observe")
    monkeypatch.setitem(DATASETS, "cue-marker", other)
    assert "observe" in changed(plain, now()) and "render" not in changed(plain, now())
    plain = now()
    other = replace(VARIANTS["clstm"], builder="vidlib.models.clstm_variants:average")
    monkeypatch.setitem(VARIANTS, "clstm", other)
    assert "train-clstm" in changed(plain, now()) and "train-i3d" not in changed(plain, now())


def test_package_inits_hold_re_exports_alone():
    """Keys leave them out: a name that is imported from a package stands for its module."""
    for path in (ROOT / "vidlib").rglob("__init__.py"):
        for node in ast.parse(path.read_text()).body:
            if path.parent.name == "vidlib":
                continue  # of which the key of no stage can depend: it makes torchvision importable
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            exports = isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
            assert docstring or exports or isinstance(node, ast.ImportFrom), path


def test_imports_are_followed_at_any_depth_and_through_packages():
    masks = {
        "vidlib.check",
        "vidlib.explain.adapter",
        "vidlib.explain.asked",
        "vidlib.explain.masks",
        "vidlib.explain.objective",
        "vidlib.explain.perturb",
        "vidlib.explain.published",
        "vidlib.explain.scores",
        "vidlib.explain.trial",
        "vidlib.explain.windows",
    }
    assert set(Code().closure(["vidlib.explain.masks"])) == masks
    assert set(Code().of_text("def f():\n    from vidlib.explain import learn_masks")) == masks
    assert set(Code().of_text("import vidlib.explain as e")) > masks
    names = ("table_1", "table_2", "examples", "sequences", "settings")
    tables = {f"vidlib/compare/tables/paper_{name}.csv" for name in names}
    found = Code().of_text("from vidlib.compare import paper")
    assert set(found) == {"vidlib.compare.paper", *tables}
    assert set(Code().of_text("from vidlib import distributed")) == {"vidlib.distributed"}


def test_a_script_that_a_module_names_counts_as_its_code(copy):
    before = Code(copy).closure(["vidlib.show.gallery"])
    assert {"vidlib/show/web/gallery.js", "vidlib/show/web/player.js"} <= before.keys()
    with edited(copy / "vidlib/show/web/gallery.js", "\n", "\n// more\n"):
        assert changed(before, Code(copy).closure(before)) == {"vidlib/show/web/gallery.js"}


def test_keys_need_no_torch_and_little_time():
    """Plans, and Snakemake before every run, ask for all of them."""
    code = "import sys; from vidlib.workflow.jobs import *; r = Runs('something-mini', 'smoke'); "
    code += "book_jobs(r, Path('x')); print([m for m in ('torch', 'pandas') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stderr


# --- pages, and the graph of jobs


def page_keys(folder):
    jobs = book_jobs(Runs("something-mini", "smoke", code=Code(folder)), folder / "_build")
    return {job.name: job.key for job in jobs.values()}


@pytest.fixture(scope="module")
def pages_before(copy):
    return page_keys(copy)


CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.md"))
AGAIN = {f"page/kth-mini/{name}" for name in CHAPTERS[1:6]}


@pytest.mark.parametrize(
    ("file", "old", "new", "made_anew"),
    [
        ("vidlib/show/gallery.py", "EACH = 2", "EACH = 3", {"page/api", "page/gallery"}),
        ("vidlib/show/web/gallery.js", "\n", "\n// more\n", {"page/api", "page/gallery"}),
        ("vidlib/show/gallery.py", "EACH = 2", "EACH = 2  # two", {"page/api"}),
        ("vidlib/profiles.py", "# of sgd", "# of SGD", {"page/api", "page/profiles"}),
        (
            "notebooks/04_grad_cam.md",
            "# ",
            "# Now: ",
            {"page/04_grad_cam", "page/kth-mini/04_grad_cam"},
        ),
        ("book/paper.md", "# ", "# Now: ", set()),
        ("book/static/book.css", "{", "{ ", set()),
    ],
)
def test_an_edit_concerns_the_pages_that_show_it(copy, pages_before, file, old, new, made_anew):
    with edited(copy / file, old, new):
        found = changed(pages_before, page_keys(copy))
    assert found == {*made_anew, "book"}


def test_a_page_is_made_anew_after_the_stages_that_it_reads(copy, pages_before):
    with edited(copy / "vidlib/models/clstm.py", "c.tanh()", "c.sigmoid()"):
        found = changed(pages_before, page_keys(copy))
    pages = {name for name in found if name.startswith("page/")}
    assert {
        "page/03_training_clstm",
        "page/05_temporal_masks",
        "page/kth-mini/04_grad_cam",
    } <= pages
    assert not pages & {"page/02_training_i3d", "page/kth-mini/02_training_i3d"}


def test_a_page_that_reads_a_stage_it_does_not_list_is_told_so(tmp_path, monkeypatch):
    study = open_study("something-mini", "smoke", runs=tmp_path)
    monkeypatch.setenv("VIDLIB_PAGE_STAGES", "something-mini/render something-mini/prepare")
    with pytest.raises(
        RuntimeError, match="reads something-mini/train-i3d: add it to the `stages`"
    ):
        study.network("i3d")
    assert not list(tmp_path.iterdir())


def all_needs(jobs, key):
    return {key}.union(*(all_needs(jobs, needed) for needed in jobs[key].needs))


def test_jobs_need_what_they_read_and_nothing_else():
    study = Runs("something-mini", "smoke")
    jobs = book_jobs(study, ROOT / "_build")
    names = {job.name: key for key, job in jobs.items()}
    assert jobs[names["book"]].needs and set(all_needs(jobs, names["book"])) == set(jobs)
    for stage in study.main_stages:
        job = jobs[study.key(stage)]
        assert set(job.needs) == {study.key(up) for up in study.needs(stage)}
    apart = [
        {jobs[key].name for key in all_needs(jobs, names[f"{where}/smoke/rivals-{network}"])}
        for where, network in (
            ("something-mini", "i3d"),
            ("something-mini", "clstm"),
            ("kth-mini", "i3d"),
        )
    ]
    shared = apart[0] & apart[1]
    assert shared == {"something-mini/smoke/render", "something-mini/smoke/prepare"}
    assert not apart[0] & apart[2]


def test_seeds_share_their_clips_and_do_not_wait_for_each_other():
    jobs = extended_jobs(Runs("kth-mini", "smoke"), 3)
    names = [job.name for job in jobs.values()]
    assert len(names) == len(set(names)) == 2 + 3 * 6 + 1
    assert names.count("kth-mini/smoke/prepare") == 1
    seeds = [
        {jobs[k].name for k in all_needs(jobs, key)}
        for key, job in jobs.items()
        if job.name.endswith("explain-i3d")
    ]
    shared = {"kth-mini/smoke/render", "kth-mini/smoke/prepare"}
    assert len(seeds) == 3 and set.intersection(*seeds) == shared
    assert not any(job.whole for job in jobs.values() if "train-" in job.name)


# --- results


@contextmanager
def stage_module(run, name="vidlib_stage_of_a_test"):
    """A module whose `run` is that function, as modules of stages have one."""
    sys.modules[name] = SimpleNamespace(run=run)
    try:
        yield name
    finally:
        del sys.modules[name]


def test_a_stage_sees_only_the_fields_it_declares(tmp_path):
    def peek(p, inputs, folder):
        assert p.data_seed == 0
        print(p.frames)

    study = open_study("something-mini", "smoke", runs=tmp_path)
    with stage_module(peek) as module:
        study.stages["peek"] = Stage(module, ("data_seed",))
        with pytest.raises(AttributeError, match="frames"):
            study.ensure("peek")


def slow(p, inputs, folder):
    """Count the times it runs; find what a killed run left."""
    import time

    with (folder / "calls").open("a") as calls:
        calls.write("x")
    time.sleep(0.5)
    if os.environ.get("FAIL"):
        raise RuntimeError("killed")


@contextmanager
def slow_study(runs, **options):
    study = open_study("something-mini", "smoke", runs=runs)
    with stage_module(slow) as module:
        study.stages["slow"] = Stage(module, (), **options)
        yield study


def ensure_slow(runs):
    with slow_study(runs) as study:
        study.ensure("slow")


def test_two_processes_make_a_result_once(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=ensure_slow, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    (calls,) = tmp_path.rglob("calls")
    assert calls.read_text() == "x"


def test_a_killed_stage_is_taken_up_where_it_was(tmp_path, monkeypatch):
    with slow_study(tmp_path) as study:
        monkeypatch.setenv("FAIL", "1")
        with pytest.raises(RuntimeError):
            study.ensure("slow")
        assert not study.is_current("slow")
        monkeypatch.delenv("FAIL")
        assert (study.ensure("slow") / "calls").read_text() == "xx"


def test_parts_of_a_set_are_made_once_whatever_kills_the_run(tmp_path):
    made = []

    def make(rows):
        made.append(rows.tolist())
        if len(made) == 2:
            raise RuntimeError("killed")
        return {"square": rows**2, "pair": np.stack([rows, -rows], 1)}

    with pytest.raises(RuntimeError, match="killed"):
        in_parts(tmp_path, 35, make)
    found = in_parts(tmp_path, 35, make)
    assert [(rows[0], rows[-1]) for rows in made] == [(0, 15), (16, 31), (16, 31), (32, 34)]
    assert np.array_equal(found["square"], np.arange(35) ** 2)
    assert found["pair"].shape == (35, 2) and not list(tmp_path.glob("part*.npz"))


def test_code_that_changed_under_a_process_is_refused(tmp_path, monkeypatch):
    """Its result would be stored under the key of code that did not make it."""
    from vidlib import study as module

    with slow_study(tmp_path, modules=("vidlib.rendered.something.draw",)) as study:
        monkeypatch.setattr(module, "IMPORTED", 0.0)
        with pytest.raises(RuntimeError, match=r"draw\.py.* changed after vidlib was imported"):
            study.ensure("slow")
        assert not study.is_current("slow") and not list(tmp_path.rglob("calls"))


def test_the_run_is_recorded(smoke_study):
    record = smoke_study.provenance("train-clstm")
    assert record["key"] == smoke_study.key("train-clstm")
    assert record["parameters"]["clstm_hidden"] == smoke_study.profile.clstm_hidden
    assert record["upstream"] == {"prepare": smoke_study.key("prepare")}
    assert {"vidlib.models.clstm", "vidlib.stages.train"} <= record["modules"].keys()
    assert record["peak_bytes"] > 1e8 and record["disk_bytes"] > 1e4 and record["threads"] > 0
    assert record["versions"]["torch"].startswith("2.") and record["seconds"] > 0


@pytest.mark.soak
def test_the_same_run_gives_the_same_numbers(tmp_path):
    """From nothing, in two folders: every file of every stage, but for the record, is equal."""
    one, two = (open_study("something-mini", "smoke", runs=tmp_path / n) for n in ("one", "two"))
    for stage in STAGES:
        assert one.provenance(stage)["data"] == two.provenance(stage)["data"], stage


def test_rendering_and_training_give_the_same_numbers_again(smoke_study, tmp_path):
    """From nothing, in another folder, with as many threads as the book's run had."""
    again = open_study("something-mini", "smoke", runs=tmp_path)
    threads = smoke_study.provenance("train-clstm")["threads"]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    again.ensure("explain-clstm")
    torch.set_num_threads(before)
    for stage in ("render", "prepare", "train-clstm", "explain-clstm"):
        assert again.provenance(stage)["data"] == smoke_study.provenance(stage)["data"], stage


# --- what the stages put into their tables, recomputed


@pytest.mark.parametrize("network", ["i3d", "clstm"])
def test_scores_are_those_of_the_perturbed_clips(smoke_study, network):
    clips, outputs = smoke_study.explained_clips().batch()
    net = smoke_study.network(network)
    table = smoke_study.table(f"explain-{network}", "clips")
    arrays = smoke_study.arrays(f"explain-{network}", "arrays")
    masks = torch.from_numpy(arrays["mask"])
    rows = torch.arange(len(clips))
    scores = score_clips(net, clips)
    guess = scores.argmax(1)
    classes = np.array(smoke_study.explained_clips().classes)
    assert table["guess"].tolist() == classes[guess].tolist()
    expected = {
        "OS": scores[rows, guess],
        "FS": score_clips(net, perturb(clips, freeze(masks)))[rows, guess],
        "RS": score_clips(net, perturb(clips, reverse(masks)))[rows, guess],
        "CS": scores[rows, outputs],
    }
    for one, other in (("OS", "FS"), ("OS", "RS"), ("FS", "RS")):  # or they could be swapped
        assert (expected[one] - expected[other]).abs().max() > 1e-3
    for name, values in expected.items():
        assert table[name].to_numpy() == pytest.approx(values.numpy(), abs=1e-5), name
    assert table["mask_length"].tolist() == (arrays["mask"] > 0.5).sum(1).tolist()
    pd.testing.assert_frame_equal(score_drops(table), table[["drop_ratio", "drop_difference"]])
    size = smoke_study.profile.size
    assert arrays["saliency"].shape == (len(clips), smoke_study.profile.frames, *size)


@pytest.mark.parametrize("network", ["i3d", "clstm"])
def test_searched_windows_and_gaps_are_the_networks_own(smoke_study, network):
    profile = smoke_study.profile
    arrays = smoke_study.arrays(f"search-{network}", "landscapes")
    gaps = smoke_study.table(f"search-{network}", "gaps")
    explained = smoke_study.explained_clips()
    positions = arrays["clips"]
    assert positions.tolist() == [0, len(explained) - 1] and profile.searched_clips == 2
    clips, _ = explained.subset(positions).batch()
    net = smoke_study.network(network)
    length = clips.shape[2]
    guess = score_clips(net, clips).argmax(1)
    weights = {"l1": profile.mask_l1, "tv": profile.mask_tv}
    for name in REORDERINGS:
        for first, last in ((0, 3), (5, 5), (2, length - 1)):
            mask = torch.zeros(len(clips), length)
            mask[:, first : last + 1] = 1
            scores = score_clips(net, perturb(clips, PERTURBATIONS[name](mask)))
            expected = scores.gather(1, guess[:, None])[:, 0].numpy()
            assert arrays[name][:, first, last] == pytest.approx(expected, abs=1e-5), name
    first, last = np.triu_indices(length)
    windows = (first[:, None] <= np.arange(length)) & (np.arange(length) <= last[:, None])
    terms = penalty(torch.from_numpy(windows.astype(np.float32)), **weights).numpy()
    least = (arrays["freeze"][:, first, last] + terms).min(1)
    ways = gaps.set_index(["masks", "clip_id"])
    ids = explained.index["clip_id"].to_numpy()[positions]
    best = ways.loc["best window"].loc[ids]
    assert best["loss"].to_numpy() == pytest.approx(least, abs=1e-5)
    assert (best["above_best"] == 0).all()
    slow = learn_masks(net, clips, procedure="paper", lr=0.001, iterations=8, **weights)
    told = ways.loc["paper, rate 0.001"].loc[ids]
    assert told["loss"].to_numpy() == pytest.approx(slow.loss.numpy(), abs=1e-5)
    assert told["length"].tolist() == slow.start.sum(1).int().tolist()  # nothing moves
    assert (told["loss"] - least).to_numpy() == pytest.approx(
        told["above_best"].to_numpy(), abs=1e-5
    )


@pytest.mark.parametrize("network", ["i3d", "clstm"])
def test_rivals_freeze_as_many_frames_as_the_mask(smoke_study, network):
    table = smoke_study.table(f"rivals-{network}", "rivals").set_index(["method", "clip_id"])
    explained = smoke_study.table(f"explain-{network}", "clips").set_index("clip_id")
    arrays = smoke_study.arrays(f"explain-{network}", "arrays")
    masks = dict(zip(explained.index, arrays["mask"] > 0.5, strict=True))
    clips, _ = smoke_study.explained_clips().batch()
    net = smoke_study.network(network)
    for (method, clip_id), row in table.iterrows():
        assert row["length"] == masks[clip_id].sum()
        if method == "temporal mask":
            place = explained.index.get_loc(clip_id)
            on = torch.from_numpy(masks[clip_id].astype(np.float32))[None]
            after = score_clips(net, perturb(clips[place : place + 1], freeze(on)))[0]
            told = explained.loc[clip_id]
            output = list(smoke_study.explained_clips().classes).index(told["guess"])
            assert row["drop"] == pytest.approx(told["OS"] - after[output].item(), abs=1e-5)
            assert row["removes"] == (told["mask_removes"] == 1)
    length = clips.shape[2]
    passes = table["passes"].groupby("method").mean()
    tried = 1 / table.groupby("method").size().iloc[0]  # one clip once more, alone
    assert passes["occlusion"] == length + 1 + tried  # the clip itself, and each frame of it
    assert passes["random masks"] == 64 + 1 + tried


def test_both_networks_explain_the_same_clips(smoke_study):
    one, two = (smoke_study.table(f"explain-{n}", "clips") for n in ("i3d", "clstm"))
    assert one["clip_id"].tolist() == two["clip_id"].tolist()
    assert one["label"].value_counts().unique() == [smoke_study.profile.explained_clips]
    assert smoke_study.explained_clips().index["clip_id"].tolist() == one["clip_id"].tolist()


def test_explained_clips_are_drawn_by_the_data_seed():
    index = pd.DataFrame({"label": np.repeat([4, 36], 50)})
    asked = {"explained_clips": 5, "explained_classes": ()}
    seeds = [SimpleNamespace(data_seed=seed, **asked) for seed in (0, 0, 1)]
    draw = [chosen_clips(p, index, {4: "burying", 36: "moving apart"}) for p in seeds]
    assert draw[0].tolist() == draw[1].tolist() != draw[2].tolist()
    assert index["label"].iloc[draw[0]].tolist() == [4] * 5 + [36] * 5
    assert len(set(draw[0])) == 10


def test_evaluation_is_of_the_validation_clips(smoke_study):
    clips = smoke_study.clips("validation")
    batch, outputs = clips.batch()
    scores = score_clips(smoke_study.network("i3d"), batch.flip(2))
    assert (scores - score_clips(smoke_study.network("i3d"), batch)).abs().max() > 1e-3
    table = smoke_study.table("evaluate-i3d", "summary").set_index("direction")
    share = (scores.argmax(1) == outputs).float().mean().item()
    assert table.loc["reversed", "top1"] == pytest.approx(share)
    stored = smoke_study.arrays("evaluate-i3d", "scores")["reversed"]
    assert stored == pytest.approx(scores.numpy(), abs=1e-6)
    distinct = smoke_study.table("evaluate-i3d", "distinct").set_index("frames")
    ends = ["top1", "top1_low", "top1_high"]
    assert distinct.loc[16, ["less", *ends]].tolist() == pytest.approx(
        [0, *table.loc["forward", ends]]
    )
    still = score_clips(smoke_study.network("i3d"), batch[:, :, [7] * 16]).argmax(1)
    assert distinct.loc[1, "top1"] == pytest.approx((still == outputs).float().mean().item())


# --- the command line and Snakemake


@pytest.fixture
def vidlib(tmp_path, monkeypatch, capsys):
    """The command line, in this process: what it returns, prints and complains of."""
    monkeypatch.setenv("VIDLIB_RUNS", str(tmp_path))

    def run(*arguments):
        status = main(list(arguments))
        return SimpleNamespace(status=status, **capsys.readouterr()._asdict())

    return run


def test_the_command_line_makes_a_stage_and_says_where(vidlib):
    overrides = ("--set", "train_clips=1", "--set", "validation_clips=1", "--set", "batch_size=1")
    overrides += ("--set", "gate_batch_size=1")
    found = vidlib("prepare", "--profile", "smoke", *overrides)
    assert found.status == 0, found.err
    folder = found.out.splitlines()[-1]
    assert os.path.isfile(os.path.join(folder, "frames.npy"))
    status = vidlib("status", "--profile", "smoke", *overrides).out
    assert [line.split()[0] for line in status.splitlines()].count("current") == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("trian-i3d",), "'train-i3d'"),
        (("train", "i4d"), "'train-i3d'"),
        (("render", "--profile", "big"), "give one of smoke"),
        (("render", "--set", "data_seed=one"), "data_seed is 'one'"),
        (("render", "--set", "seed=1"), "data_seed"),
    ],
)
def test_mistakes_at_the_command_line_get_one_sentence(arguments, word, vidlib, tmp_path):
    found = vidlib(*arguments)
    assert found.status == 2
    assert word in found.err and len(found.err.splitlines()) == 1
    assert not any(tmp_path.iterdir())


def would_run(folder, *arguments, **settings):
    """Names of the rules that a dry run would run, from its table of how often each would."""
    output = snakemake("--dry-run", *arguments, "book", cwd=folder, profile="smoke", **settings)
    table = output.stdout.partition("count\n")[2].partition("total")[0]
    return set(re.findall(r"^(\w+) +1$", table, re.M))


def test_snakemake_runs_what_is_not_current_and_nothing_else(smoke_study, copy):
    for name in ("runs", "_build"):
        for path in (ROOT / name).glob("*/smoke/**/*.json"):
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    assert would_run(copy) == set()
    with edited(copy / "vidlib/show/gallery.py", "EACH = 2", "EACH = 3"):
        assert would_run(copy) == {"page_api", "page_gallery", "book"}
    record = copy / smoke_study.path("compare").relative_to(ROOT) / "provenance.json"
    record.unlink()  # what was thrown away is made again once something reads it
    assert would_run(copy) == set()
    with edited(copy / "notebooks/06_comparative_analysis.md", "# ", "# Now: "):
        pages = {f"page_{name}06_comparative_analysis" for name in ("", "kth_mini_")}
        pages.add("page_profiles")  # which reads every stage
        assert would_run(copy) == {*pages, "something_mini_smoke_compare", "book"}


def test_jobs_that_use_every_core_wait_for_each_other(tmp_path):
    """After one that was ready alone as well, whose cores Snakemake itself does not count."""
    times = "python -c 'import sys, time; begin = time.time(); time.sleep(0.4); "
    times += "print(begin, time.time(), file=open(sys.argv[1], chr(119)))' {output}"
    rules = [
        f"""
rule {name}:
    input: {needs}
    output: "{name}"
    threads: 2
    shell: {times!r}
"""
        for name, needs in (("first", "[]"), *((one, '"first"') for one in ("b", "c", "d")))
    ]
    text = f'rule all:\n    input: "b", "c", "d"\ninclude: "{ROOT}/book/count_cores.smk"\n'
    (tmp_path / "Snakefile").write_text(text + "".join(rules))
    snakemake("all", cwd=tmp_path)
    spans = sorted(tuple(map(float, (tmp_path / n).read_text().split())) for n in "bcd")
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_a_cluster_gets_every_job_of_its_own(copy):
    listed = would_run(copy, "--executor", "slurm", "--jobs", "20", train_seed=5)
    networks = {f"something_mini_smoke_train_seed_5_train_{name}" for name in ("i3d", "clstm")}
    assert networks <= listed


# --- original data sets


@pytest.fixture
def original(mini, tmp_path):
    """A data folder that holds a Something-something: a rendered one, without its truth."""
    shutil.copytree(mini, tmp_path / "data/something")
    shutil.rmtree(tmp_path / "data/something/truth")
    return tmp_path / "data"


def test_an_absent_data_set_stops_before_any_work_and_says_how_to_get_it(tmp_path):
    for dataset, words in (("something", "licensed: ask"), ("kth", r"vidlib\.data\.download")):
        folder = tmp_path / "data" / dataset
        with pytest.raises(
            FileNotFoundError, match=rf"{dataset} is not in {folder}\. .*{words}.* VIDLIB_DATA"
        ):
            open_study(dataset, "smoke", runs=tmp_path / "runs", data=tmp_path / "data")
    assert not list(tmp_path.iterdir())


def test_an_original_set_goes_down_the_same_path(original, tmp_path):
    small = {"clstm_epochs": 1, "mask_iterations": 1}
    study = open_study("something", "smoke", small, runs=tmp_path / "runs", data=original)
    assert "render" not in study.stages and study.files() == original / "something"
    assert study.index().equals(read_something(original / "something"))
    assert len(study.clips("train")) == 32 and len(study.clips("validation")) == 16
    told = study.table("explain-clstm", "clips")
    assert len(told) == 16 and "actors" not in told and told["blob_count"].notna().all()


def test_a_changed_file_of_an_original_set_makes_its_clips_anew(original, tmp_path):
    def key(stage):
        return open_study("something", "smoke", runs=tmp_path / "runs", data=original).key(stage)

    before = key("prepare"), key("compare")
    assert (key("prepare"), key("compare")) == before
    video = next((original / "something/20bn-something-something-v2").iterdir())
    video.write_bytes(video.read_bytes()[:-100])
    after = key("prepare"), key("compare")
    assert before[0] != after[0] and before[1] != after[1]
    (original / "something/something-something-v2-test.json").write_text("[]")
    assert key("prepare") != after[0]


def test_what_is_amiss_is_kept_and_a_large_set_is_streamed(original, tmp_path, monkeypatch):
    videos = sorted((original / "something/20bn-something-something-v2").iterdir())
    videos[0].unlink()
    videos[1].write_bytes(b"broken")
    monkeypatch.setattr("vidlib.stages.prepare.LARGEST_CACHE", 0)
    study = open_study("something", "smoke", runs=tmp_path / "runs", data=original)
    with pytest.warns(DataWarning, match="1 listed videos absent"):
        folder = study.ensure("prepare")
    assert not (folder / "frames.npy").exists()
    assert study.table("prepare", "problems")["problem"].tolist() == ["listed videos absent"]
    assert len(study.table("prepare", "quarantine")) == 1
    clips = study.clips("train")
    assert len(clips) + len(study.clips("validation")) == 46
    assert clips[0][0].shape == (3, 16, 32, 32)


def test_the_command_line_tells_of_what_is_amiss(original, vidlib, monkeypatch):
    (original / "something/something-something-v2-train.json").write_text("[{")
    monkeypatch.setenv("VIDLIB_DATA", str(original))
    with pytest.warns(DataWarning, match="1 unreadable list"):
        found = vidlib("prepare", "--dataset", "something", "--profile", "smoke")
    assert found.status == 0, found.err


def test_the_state_of_a_folder_is_that_of_all_its_files(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "set/videos").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/broken").symlink_to("nowhere")
    states = [folder_state(tmp_path / "set")]

    def changed():
        states.append(folder_state(tmp_path / "set"))
        return states[-1] != states[-2]

    (tmp_path / "elsewhere/1.webm").write_bytes(b"1")  # through a link, as large sets are kept
    assert changed()
    (tmp_path / "elsewhere/1.webm").write_bytes(b"22")
    assert changed()
    os.utime(tmp_path / "elsewhere/1.webm", (0, 0))
    assert changed()
    (tmp_path / "set/walking.zip.part").write_bytes(b"1")
    (tmp_path / "set/download.lock").touch()
    assert not changed()
    (tmp_path / "elsewhere/1.webm").unlink()
    assert changed()


def test_files_that_change_while_they_are_read_are_refused(original, tmp_path):
    study = open_study("something", "smoke", runs=tmp_path / "runs", data=original)

    def prepare(p, inputs, folder):
        (original / "something/new.webm").touch()

    with stage_module(prepare) as module:
        study.stages["prepare"] = Stage(module, (), ("files",))
        with pytest.raises(RuntimeError, match="something changed while prepare was made"):
            study.ensure("prepare")
    assert not study.is_current("prepare")

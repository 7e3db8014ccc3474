"""What is current, and who says so: the stages' keys, their folders, and the command line."""

import ast
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT, snakemake

from vidlib.compare import drops
from vidlib.data import DataWarning, read_something
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
from vidlib.keys import folder_state, module_hashes
from vidlib.stages import Stage, chosen_clips, in_parts, stages_of
from vidlib.study import open_study

# --- keys


STAGES = tuple(n for n, stage in stages_of("something-mini").items() if not stage.control)


def keys(study):
    return {stage: study.key(stage) for stage in study.stages}


def changed(one, other):
    return {stage for stage in STAGES if one[stage] != other[stage]}


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


@pytest.mark.parametrize(
    ("overrides", "made_anew"),
    [
        ({"seed": 1}, ALL),
        ({"render_size": 66}, ALL),
        ({"frames": 8}, ALL - {"render"}),
        ({"i3d_epochs": 1}, I3D),
        ({"clstm_lr": 0.1}, CLSTM),
        ({"i3d_weight_decay": 0.1}, I3D),
        ({"clstm_optimizer": "sgd"}, CLSTM),
        ({"mask_iterations": 9}, EXPLAINED),
        ({"searched_clips": 1}, EXPLAINED - {"explain-i3d", "explain-clstm", "compare"}),
    ],
)
def test_a_parameter_concerns_the_stages_that_use_it(overrides, made_anew, tmp_path):
    plain = open_study("something-mini", "smoke", runs=tmp_path)
    other = open_study("something-mini", "smoke", overrides, runs=tmp_path)
    assert changed(keys(plain), keys(other)) == made_anew
    for stage in STAGES:
        assert (plain.path(stage) == other.path(stage)) == (stage not in made_anew)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the code that a test may edit."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("vidlib", "notebooks", "book", "profiles"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("Snakefile", "_config.yml", "_toc.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def keys_in(folder):
    code = (
        "import json; from vidlib.study import open_study;"
        "study = open_study('something-mini', 'smoke');"
        "print(json.dumps({stage: study.key(stage) for stage in study.stages}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def edit(path, old, new):
    text = path.read_text()
    assert old in text, f"{path} no longer holds {old!r}: mend the test"
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "made_anew"),
    [
        ("vidlib/rendered/looks.py", "SPRITE = 96", "SPRITE = 95", ALL),
        ("vidlib/data/clips.py", "(127.5)", "(127.25)", ALL - {"render", "prepare"}),
        ("vidlib/data/prepare.py", "2 * MOST_SECONDS", "3 * MOST_SECONDS", ALL - {"render"}),
        ("vidlib/data/kth.py", "range(1, 17)", "range(1, 16)", set()),
        ("vidlib/models/i3d.py", "eps=1e-3", "eps=1e-4", I3D),
        ("vidlib/models/clstm.py", "c.tanh()", "c.sigmoid()", CLSTM),
        ("vidlib/training.py", "pct_start=0.2", "pct_start=0.3", I3D | CLSTM | {"leakage"}),
        (
            "vidlib/explain/masks.py",
            "START_LOGIT = 5.0",
            "START_LOGIT = 4.0",
            EXPLAINED,
        ),
        (
            "vidlib/explain/attribution.py",
            "if masks < 2",
            "if masks < 4",
            {"rivals-i3d", "rivals-clstm"},
        ),
        ("vidlib/compare/accuracy.py", 'average="none"', 'average="weighted"',
         {"evaluate-i3d", "evaluate-clstm", "compare"}),
        ("vidlib/rendered/observer.py", "PANNED = 0.2", "PANNED = 0.3", JUDGED),
        ("vidlib/compare/windows.py", "NO_WINDOW = -2", "NO_WINDOW = -3", JUDGED),
        ("vidlib/show/player.py", "import", "import io\nimport", set()),
        ("vidlib/rendered/looks.py", "# fmt: skip", "# fmt: skip, and another comment", set()),
        ("vidlib/models/i3d.py", "Impossible arguments", "Wrong arguments", set()),
    ],
)  # fmt: skip
def test_an_edit_concerns_the_stages_that_depend_on_it(copy, file, old, new, made_anew):
    before = keys_in(copy)
    text = (copy / file).read_text()
    try:
        edit(copy / file, old, new)
        assert changed(before, keys_in(copy)) == made_anew
    finally:
        (copy / file).write_text(text)


def test_package_inits_hold_re_exports_alone():
    """Keys leave out the __init__ of a package whose submodule is imported."""
    for path in (ROOT / "vidlib").rglob("__init__.py"):
        for node in ast.parse(path.read_text()).body:
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            exports = isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
            assert docstring or exports or isinstance(node, ast.Import | ast.ImportFrom), path


def test_imports_are_followed_at_any_depth():
    def stage():
        from vidlib.explain.masks import learn_masks  # noqa: F401

    assert set(module_hashes([stage], ("vidlib.models.i3d",), ROOT / "vidlib")) == {
        "vidlib.explain.masks",
        "vidlib.explain.objective",
        "vidlib.explain.perturb",
        "vidlib.explain.scores",
        "vidlib.explain.windows",
        "vidlib.models.i3d",
    }


def test_a_stage_sees_only_the_fields_it_declares(tmp_path):
    def peek(p, inputs, folder):
        assert p.seed == 0
        print(p.frames)

    study = open_study("something-mini", "smoke", runs=tmp_path)
    study.stages["peek"] = Stage(peek, ("seed",))
    with pytest.raises(AttributeError, match="frames"):
        study.ensure("peek")


# --- results


def slow(p, inputs, folder):
    """Count the times it runs; find what a killed run left."""
    import time

    with (folder / "calls").open("a") as calls:
        calls.write("x")
    time.sleep(0.5)
    if os.environ.get("FAIL"):
        raise RuntimeError("killed")


def slow_study(runs, **options):
    study = open_study("something-mini", "smoke", runs=runs)
    study.stages["slow"] = Stage(slow, (), **options)
    return study


def ensure_slow(runs):
    slow_study(runs).ensure("slow")


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
    study = slow_study(tmp_path)
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

    study = slow_study(tmp_path, modules=("vidlib.rendered.draw",))
    monkeypatch.setattr(module, "IMPORTED", 0.0)
    with pytest.raises(
        RuntimeError, match=r"vidlib/rendered/draw\.py.* changed after this process"
    ):
        study.ensure("slow")
    assert not study.is_current("slow") and not list(tmp_path.rglob("calls"))


def test_the_run_is_recorded(smoke_study):
    record = smoke_study.provenance("train-clstm")
    assert record["key"] == smoke_study.key("train-clstm")
    assert record["parameters"]["clstm_hidden"] == smoke_study.profile.clstm_hidden
    assert record["upstream"] == {"prepare": smoke_study.key("prepare")}
    assert "vidlib.models.clstm" in record["modules"]
    assert record["versions"]["torch"].startswith("2.") and record["seconds"] > 0


def test_the_same_run_gives_the_same_numbers(smoke_study, tmp_path):
    """From nothing, in another folder: every file of every stage, but for the record, is equal."""
    again = open_study("something-mini", "smoke", runs=tmp_path)
    again.ensure("compare")
    for stage in STAGES:
        assert again.provenance(stage)["data"] == smoke_study.provenance(stage)["data"], stage


# --- what the stages put into their tables, recomputed


@pytest.mark.parametrize("network", ["i3d", "clstm"])
def test_scores_are_those_of_the_perturbed_clips(smoke_study, network):
    clips, outputs = smoke_study.explained().batch()
    net = smoke_study.network(network)
    table = smoke_study.table(f"explain-{network}", "clips")
    arrays = smoke_study.arrays(f"explain-{network}", "arrays")
    masks = torch.from_numpy(arrays["mask"])
    rows = torch.arange(len(clips))
    scores = score_clips(net, clips)
    guess = scores.argmax(1)
    classes = np.array(smoke_study.explained().classes)
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
    pd.testing.assert_frame_equal(drops(table), table[["drop_ratio", "drop_difference"]])
    size = smoke_study.profile.size
    assert arrays["saliency"].shape == (len(clips), smoke_study.profile.frames, *size)


@pytest.mark.parametrize("network", ["i3d", "clstm"])
def test_searched_windows_and_gaps_are_the_networks_own(smoke_study, network):
    profile = smoke_study.profile
    arrays = smoke_study.arrays(f"search-{network}", "landscapes")
    gaps = smoke_study.table(f"search-{network}", "gaps")
    explained = smoke_study.explained()
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
    clips, _ = smoke_study.explained().batch()
    net = smoke_study.network(network)
    for (method, clip_id), row in table.iterrows():
        assert row["length"] == masks[clip_id].sum()
        if method == "temporal mask":
            place = explained.index.get_loc(clip_id)
            on = torch.from_numpy(masks[clip_id].astype(np.float32))[None]
            after = score_clips(net, perturb(clips[place : place + 1], freeze(on)))[0]
            told = explained.loc[clip_id]
            output = list(smoke_study.explained().classes).index(told["guess"])
            assert row["drop"] == pytest.approx(told["OS"] - after[output].item(), abs=1e-5)
            assert row["removes"] == (told["mask_removes"] == 1)
    length = clips.shape[2]
    passes = table["passes"].groupby("method").mean()
    assert passes["occlusion"] == length + 1  # the clip itself, and each frame of it
    assert passes["random masks"] == 64 + 1


def test_both_networks_explain_the_same_clips(smoke_study):
    one, two = (smoke_study.table(f"explain-{n}", "clips") for n in ("i3d", "clstm"))
    assert one["clip_id"].tolist() == two["clip_id"].tolist()
    assert one["label"].value_counts().unique() == [smoke_study.profile.explained_clips]
    assert smoke_study.explained().index["clip_id"].tolist() == one["clip_id"].tolist()


def test_explained_clips_are_drawn_by_the_seed(smoke_study):
    from types import SimpleNamespace

    index = pd.DataFrame({"label": np.repeat([4, 36], 50)})
    draw = [chosen_clips(SimpleNamespace(seed=s, explained_clips=5), index) for s in (0, 0, 1)]
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


def vidlib(*arguments, runs):
    return subprocess.run(
        [sys.executable, "-m", "vidlib", *arguments],
        env={**os.environ, "VIDLIB_RUNS": str(runs)},
        capture_output=True,
        text=True,
    )


def test_the_command_line_makes_a_stage_and_says_where(tmp_path):
    overrides = ("--set", "train_clips=1", "--set", "validation_clips=1")
    found = vidlib("prepare", "--profile", "smoke", *overrides, runs=tmp_path)
    assert found.returncode == 0, found.stderr
    folder = found.stdout.splitlines()[-1]
    assert os.path.isfile(os.path.join(folder, "frames.npy"))
    status = vidlib("status", "--profile", "smoke", *overrides, runs=tmp_path).stdout
    assert [line.split()[0] for line in status.splitlines()].count("current") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trian-i3d",), "vidlib: unknown stage 'trian-i3d' (did you mean 'train-i3d'?)"),
        (("train", "i4d"), "vidlib: unknown stage 'train-i4d' (did you mean 'train-i3d'?)"),
        (
            ("render", "--profile", "big"),
            "vidlib: unknown profile 'big'; allowed: smoke, quick, full",
        ),
        (("render", "--set", "seed=one"), "vidlib: seed is 'one': give a whole number"),
    ],
)
def test_mistakes_at_the_command_line_get_one_sentence(arguments, message, tmp_path):
    found = vidlib(*arguments, runs=tmp_path)
    assert found.returncode == 2
    assert found.stderr.startswith(message) and len(found.stderr.splitlines()) == 1
    assert not any(tmp_path.iterdir())


def jobs(output):
    """Names of the rules that a dry run would run, from its table of how often each would."""
    return set(re.findall(r"^((?:stage|page)_\w+|book) +\d+$", output, re.M))


def test_snakemake_runs_what_an_edit_concerns_and_nothing_else(smoke_study, copy):
    for name in ("runs", "_build"):
        source = ROOT / name / "something-mini/smoke"
        shutil.copytree(source, copy / name / "something-mini/smoke", dirs_exist_ok=True)
    snakemake("--touch", "book", cwd=copy, profile="smoke")

    def would_run():
        return jobs(snakemake("--dry-run", "book", cwd=copy, profile="smoke").stdout)

    chapters = sorted(path.stem for path in (ROOT / "notebooks").glob("*.md"))
    others = [p.stem for p in (ROOT / "book").glob("*.md") if "```{code-cell}" in p.read_text()]
    assert {"index", "gallery", "add_network"} <= set(others)
    pages = {f"page_{name}" for name in (*chapters, *others)}
    pages |= {f"page_kth_mini_{name}" for name in chapters[1:6]}
    assert would_run() == set()

    def after(file, old, new):
        text = (copy / file).read_text()
        edit(copy / file, old, new)
        found = would_run()
        (copy / file).write_text(text)
        snakemake("--touch", "book", cwd=copy, profile="smoke")
        return found

    assert after("book/paper.md", "# ", "# Now: ") == {"book"}
    assert after("notebooks/04_grad_cam.md", "# ", "# Now: ") == {
        "page_04_grad_cam",
        "page_kth_mini_04_grad_cam",
        "book",
    }
    assert after("vidlib/show/chart.py", "import html", "import html ") == pages | {"book"}
    trained = {
        f"stage_{other}{stage}"
        for other in ("", "kth_mini_")
        for stage in (
            *(f"{step}_clstm" for step in ("train", "evaluate", "explain", "search", "rivals")),
            "compare",
        )
    }
    edited = after("vidlib/models/clstm.py", "c.tanh()", "c.sigmoid()")
    # The stage that stands after kth-mini's last is looked at again, and found current.
    assert edited == trained | {"stage_render"} | pages | {"book"}


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
            FileNotFoundError, match=rf"{dataset} is not in {folder} \(VIDLIB_DATA .*{words}"
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
    monkeypatch.setattr("vidlib.stages.LARGEST_CACHE", 0)
    study = open_study("something", "smoke", runs=tmp_path / "runs", data=original)
    with pytest.warns(DataWarning, match="1 listed videos absent"):
        folder = study.ensure("prepare")
    assert not (folder / "frames.npy").exists()
    assert study.table("prepare", "problems")["problem"].tolist() == ["listed videos absent"]
    assert len(study.table("prepare", "quarantine")) == 1
    clips = study.clips("train")
    assert len(clips) + len(study.clips("validation")) == 46
    assert clips[0][0].shape == (3, 16, 32, 32)


def test_the_command_line_tells_of_what_is_amiss(original, tmp_path):
    (original / "something/something-something-v2-train.json").write_text("[{")
    found = subprocess.run(
        [sys.executable, "-m", "vidlib", "prepare", "--dataset", "something", "--profile", "smoke"],
        env={
            **os.environ,
            "VIDLIB_DATA": str(original),
            "VIDLIB_RUNS": str(tmp_path / "runs"),
            "PYTHONWARNINGS": "ignore",
        },
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert found.returncode == 0, found.stderr
    assert "DataWarning" in found.stderr and "1 unreadable list" in found.stderr


def test_the_book_asks_for_a_set_whose_truth_is_known(original, monkeypatch):
    monkeypatch.setenv("VIDLIB_DATA", str(original))
    with pytest.raises(AssertionError, match="truth of rendered clips, which something lacks"):
        snakemake("book", dataset="something", profile="smoke")


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

    study.stages["prepare"] = Stage(prepare, (), ("files",))
    with pytest.raises(RuntimeError, match="something changed since this process first looked"):
        study.ensure("prepare")
    assert not study.is_current("prepare")

"""The paper's chapters on data like the paper's: no truth, its classes, its sequences."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from browser import chromium, serve
from conftest import ROOT, SHARED, real_data, snakemake

from vidlib.compare.paper import NUMBERS, SEQUENCES
from vidlib.data import DataWarning, read_kth, write_avi, write_webm
from vidlib.data.kth import read_own
from vidlib.datasets import DATASETS, data_set
from vidlib.profiles import PROFILES, resolve_profile
from vidlib.show.clips import caption_of
from vidlib.stages.chosen import chosen_clips, labels_of
from vidlib.study import open_study

OFFICIAL = SHARED / "something"
SEVEN, ELEVEN = [36, 37, 39, 45, 81, 165, 168], [4, 36, 37, 38, 39, 45, 81, 165, 166, 167, 168]
SMALL = {"mask_iterations": 2, "i3d_epochs": 2, "clstm_epochs": 2, "frames": 8}


def without_truth(rendered: Path, folder: Path) -> Path:
    """Copy a rendered set as if it were an original."""
    leave = shutil.ignore_patterns("truth", "provenance.json")
    return shutil.copytree(rendered, folder, ignore=leave)


# --- sets of one's own


def own_kth(root: Path) -> Path:
    """Five people who dance and sit, in KTH's layout, one folder down."""
    lines = []
    (root / "videos").mkdir(parents=True)
    for person in (1, 2, 3, 40, 41):
        for action in ("dancing", "sitting"):
            name = f"person{person:02}_{action}_d1"
            frames = np.full((12, 24, 32, 3), 20 * person % 200, np.uint8)
            write_avi(root / "videos" / f"{name}_uncomp.avi", frames)
            lines.append(f"{name} frames 1-5, 6-12")
    (root / "videos/00sequences.txt").write_text("\n".join(lines))
    return root


def own_something(root: Path) -> Path:
    """Three classes of one's own numbers, in Something-something's layout."""
    (root / "clips").mkdir(parents=True)
    templates = ["Opening [a door]", "Closing [a door]", "Leaving [a door] ajar"]
    numbers = {"Opening a door": "7", "Closing a door": "2", "Leaving a door ajar": "11"}
    (root / "labels.json").write_text(json.dumps(numbers))
    for split, clips in (("train", 6), ("validation", 3)):
        listed = []
        for k in range(clips):
            number = f"{split}{k}"
            write_webm(root / f"clips/{number}.webm", np.full((8, 24, 32, 3), 30 * k, np.uint8))
            listed.append({"id": number, "template": templates[k % 3], "label": "x"})
        (root / f"{split}.json").write_text(json.dumps(listed))
    return root


def test_a_set_of_ones_own_in_kths_layout(tmp_path):
    index = read_own(own_kth(tmp_path / "dances"))
    assert sorted(index["label_name"].unique()) == ["dancing", "sitting"]
    assert index.groupby("label_name")["label"].unique().map(list).to_dict() == {
        "dancing": [0], "sitting": [1]}  # fmt: skip
    train = index.loc[index["split"] == "train", "group"].unique().tolist()
    held_out = index.loc[index["split"] == "validation", "group"].unique().tolist()
    assert (train, held_out) == ([1, 2, 3], [40, 41])  # 16 in 25 of five people
    assert len(index) == 20
    with pytest.raises(ValueError, match="dances"):
        read_kth(tmp_path / "dances")  # as KTH itself it has none of its actions


@pytest.mark.parametrize(
    ("make", "classes", "original"),
    [(own_kth, ["dancing", "sitting"], "kth"),
     (own_something, ["Closing a door", "Opening a door", "Leaving a door ajar"], "something")],
)  # fmt: skip
def test_a_study_takes_it_by_its_name(tmp_path, make, classes, original):
    make(tmp_path / "data/mine")
    study = open_study("mine", "smoke", data=tmp_path / "data", runs=tmp_path / "runs")
    assert (study.rendered, study.original) == (False, original)
    assert "observe" not in study.stages and "render" not in study.stages
    assert list(study.class_names().values()) == classes
    clips = study.clips("train")
    assert len(clips) > 0 and clips.frames.shape[1] == study.profile.frames
    with pytest.raises(ValueError, match="nothing is known of the clips of mine"):
        _ = study.truth


def test_names_of_data_sets(tmp_path):
    (tmp_path / "kept").mkdir()
    assert data_set("kth", tmp_path) is DATASETS["kth"]
    assert data_set("kept", tmp_path).original == "something"
    for name in ("kepd", "../kept", "", "kept/"):
        with pytest.raises(ValueError, match="dataset is"):
            data_set(name, tmp_path)


# --- the classes that are explained


def test_the_papers_classes_by_name():
    names = dict(SEQUENCES.query("dataset == 'something'")[["label", "label_name"]].to_numpy())
    names |= {5: "Closing something"}
    assert labels_of(["seven"], names) == SEVEN
    assert labels_of(["eleven"], names) == ELEVEN
    assert labels_of([], names) == sorted([5, *ELEVEN])
    assert labels_of([5, "Moving something up"], names) == [5, 45]
    for wrong in (99, "Moving something upp", -1):
        with pytest.raises(ValueError, match="explained_classes is"):
            labels_of([wrong], names)
    with pytest.raises(ValueError, match="did you mean 'Moving something up'"):
        labels_of(["Moving something upp"], names)


def test_profiles_name_them():
    paper = PROFILES["paper"]
    assert paper["something"].explained_classes == ("seven",)
    assert paper["kth"].explained_classes == ()
    assert paper["something"].explained_clips == 150
    given = {"explained_classes": "[36, 'Moving something up']"}
    assert resolve_profile("quick", given).explained_classes == (36, "Moving something up")
    assert resolve_profile("quick", {"explained_classes": "seven"}).explained_classes == ("seven",)
    with pytest.raises(ValueError, match="explained_classes is"):
        resolve_profile("quick", {"explained_classes": [1.5]})


def test_unknown_classes_stop_before_training(tmp_path):
    own_something(tmp_path / "data/mine")
    given = {"explained_classes": ["seven"], "batch_size": 2}
    study = open_study("mine", "smoke", given, data=tmp_path / "data", runs=tmp_path / "runs")
    with pytest.raises(ValueError, match="explained_classes is "):
        study.ensure("train-clstm")
    assert not list((tmp_path / "runs").rglob("*.ckpt"))


@real_data
def test_the_official_list_gives_the_papers_791_clips_and_has_its_30_sequences():
    labels = json.loads((OFFICIAL / "something-something-v2-labels.json").read_text())
    listed = json.loads((OFFICIAL / "something-something-v2-validation.json").read_text())
    templates = [one["template"].replace("[", "").replace("]", "") for one in listed]
    index = pd.DataFrame({"clip_id": [one["id"] for one in listed], "label_name": templates})
    index["label"] = index["label_name"].map(labels).astype(int)
    names = {int(number): name for name, number in labels.items()}
    p = PROFILES["paper"]["something"]
    rows = chosen_clips(p, index, names, "something")
    assert len(rows) == 791 and len(set(rows)) == 791
    assert sorted(index["label"].iloc[rows].unique()) == SEVEN
    theirs = SEQUENCES.query("dataset == 'something'").set_index("clip_id")
    assert len(theirs) == 30
    found = index.set_index("clip_id").loc[theirs.index]
    assert found["label"].tolist() == theirs["label"].tolist()
    chosen = set(index["clip_id"].iloc[rows])
    assert set(theirs.index[theirs["label"].isin(SEVEN)]) <= chosen
    few = SimpleNamespace(data_seed=0, explained_clips=4, explained_classes=("eleven",))
    first = index["clip_id"].iloc[chosen_clips(few, index, names, "something")]
    assert set(theirs.index) <= set(first) and len(first) == 44


def test_the_papers_clips_come_first_only_where_the_data_are_its_own():
    ids = [f"person18_handclapping_d3_{k}" for k in (1, 2, 3, 4)]
    index = pd.DataFrame({"clip_id": ids, "label": 1})
    p = SimpleNamespace(data_seed=3, explained_clips=2, explained_classes=())
    drawn = chosen_clips(p, index, {1: "handclapping"})
    first = chosen_clips(p, index, {1: "handclapping"}, "kth")
    assert first[0] == 0 and len(first) == 2
    assert NUMBERS[ids[0]] == "Fig. 3"
    assert drawn.tolist() == chosen_clips(p, index, {1: "handclapping"}).tolist()
    about = index.assign(label_name="handclapping")
    clips = SimpleNamespace(index=about)
    assert "sequence Fig. 3" in caption_of(SimpleNamespace(rendered=False), clips, 0)
    assert "sequence" not in caption_of(SimpleNamespace(rendered=True), clips, 0)


@real_data
def test_real_videos_of_kth_go_through_masks_and_maps(tmp_path):
    """As a set of one's own: the videos of one person train, those of the other are explained."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/two-of-kth").symlink_to(SHARED / "kth")
    given = {**SMALL, "batch_size": 2, "explained_classes": ["handwaving"], "explained_clips": 2}
    with pytest.warns(DataWarning):
        study = open_study(
            "two-of-kth", "smoke", given, data=tmp_path / "data", runs=tmp_path / "runs"
        )
        clips = study.table("explain-clstm", "clips")
    assert clips["label_name"].tolist() == ["handwaving"] * 2
    assert clips["clip_id"].str.startswith("person15_handwaving_d1_").all()
    assert "mask_removes" not in clips and clips["mask_length"].between(0, 8).all()
    maps = study.arrays("explain-clstm", "arrays")["saliency"]
    assert maps.shape == (2, 8, 36, 48)


# --- the book


@pytest.fixture(scope="module")
def book(smoke_study, tmp_path_factory):
    """The book on a copy of kth-mini without its truth, as on KTH itself."""
    folder = tmp_path_factory.mktemp("originals")
    without_truth(smoke_study.beside("kth-mini").files(), folder / "data/kth")
    runs, data = folder / "runs", folder / "data"
    study = open_study("kth", "smoke", SMALL, runs=runs, data=data)
    for stage in study.main_stages:  # here, as each started by itself would import all anew
        study.ensure(stage)
    build = ROOT / "_build/kth" / study.name
    shutil.rmtree(build, ignore_errors=True)
    # Chapter 7 is of no data set: where the other book has it, it is the same page.
    for page in ROOT.glob("_build/something-mini/smoke/notebooks/07_errata.*"):
        (build / "notebooks").mkdir(parents=True, exist_ok=True)
        shutil.copy2(page, build / "notebooks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDLIB_DATA", str(data))
        patch.setenv("VIDLIB_RUNS", str(runs))
        snakemake("--nolock", "book", dataset="kth", profile="smoke", **SMALL)
    yield build / "html"
    shutil.rmtree(build)


@pytest.mark.browser
def test_the_book_without_truth_says_what_it_cannot_judge(book, subtests):
    said = {
        "notebooks/01_data_preparation": "Nothing of the kind is known of kth",
        "notebooks/04_grad_cam": "Nothing of this can be said of kth",
        "notebooks/05_temporal_masks": "Whether the masks are right cannot be said of kth",
    }
    pages = [path.relative_to(book) for path in book.glob("notebooks/*.html")]
    assert len(pages) == 8 and not list(book.glob("kth-mini/*"))
    pages += [Path("book/index.html"), Path("book/gallery.html"), Path("book/profiles.html")]
    with serve(book) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1100, "height": 800})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        for path in pages:
            with subtests.test(str(path)):
                page.goto(f"{address}/{path}")
                text = page.locator("main").inner_text()
                assert said.get(str(path.with_suffix("")), "") in text
                for pretence in (
                    "share of masks that remove",
                    "score against its blind map",
                    "± nan",
                ):
                    assert pretence not in text
                assert not errors
        page.goto(f"{address}/notebooks/05_temporal_masks.html")
        charts = [one.get_attribute("aria-label") for one in page.locator("plotly-chart").all()]
        assert any("mask_length" in label or "mask length" in label for label in charts)
        assert not any("shortest" in label or "removes" in label for label in charts)
        page.goto(f"{address}/book/gallery.html")
        assert page.locator("clip-gallery li").count() > 0

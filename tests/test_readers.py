"""The originals' layouts: what is read of them, and what is said of everything amiss."""

import json
import os
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import SHARED, real_data
from hypothesis import given
from hypothesis import strategies as st
from videos import encode, numbered, patch_avi

from vidlib.data import DataError, DataWarning, read_clip, read_kth, read_something
from vidlib.data import kth as kth_module
from vidlib.rendered.something.scripts import CLASSES

COLUMNS = ["clip_id", "path", "start", "stop", "label", "label_name", "split", "group"]


def problems(index):
    return {row["problem"]: row["count"] for row in index.attrs["problems"]}


def warned(read, *arguments, **options):
    """Return the index, its problems by kind and the words of the one warning."""
    with pytest.warns(DataWarning) as caught:
        index = read(*arguments, **options)
    (warning,) = caught
    return index, problems(index), str(warning.message)


# --- Something-something


def list_path(root, part):
    return root / f"something-something-v2-{part}.json"


@pytest.fixture
def something(mini, tmp_path):
    """A copy of a small set, to be spoilt."""
    return shutil.copytree(mini, tmp_path / "set")


def change(root, part, edit):
    content = json.loads(list_path(root, part).read_text())
    list_path(root, part).write_text(json.dumps(edit(content)))


def test_a_sound_set_is_read_without_a_word(mini):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index = read_something(mini, strict=True)
    assert list(index.columns) == [*COLUMNS, "text"]
    assert problems(index) == {}
    assert index["split"].value_counts().to_dict() == {"train": 32, "validation": 16}
    assert index["start"].eq(0).all() and index["stop"].isna().all()
    for entry in json.loads(list_path(mini, "validation").read_text()):
        row = index.set_index("clip_id").loc[entry["id"]]
        assert row["path"].endswith(f"/20bn-something-something-v2/{entry['id']}.webm")
        assert row["text"] == entry["label"] and row["split"] == "validation"
        assert row["label_name"] == re.sub(r"[\[\]]", "", entry["template"])
        assert CLASSES[row["label"]].template == entry["template"]


def test_the_test_split_has_no_labels(something):
    change(something, "validation", lambda entries: entries[:10])
    kept = json.loads(list_path(something, "validation").read_text())
    ids = {path.stem for path in (something / "20bn-something-something-v2").iterdir()}
    train = {entry["id"] for entry in json.loads(list_path(something, "train").read_text())}
    rest = sorted(ids - train - {entry["id"] for entry in kept})
    list_path(something, "test").write_text(json.dumps([{"id": number} for number in rest]))
    index = read_something(something, strict=True)
    there = index[index["split"] == "test"]
    assert sorted(there["clip_id"]) == rest
    assert there["label"].isna().all() and there["label_name"].isna().all()
    assert index["label"].dtype == "Int64" and index["label"].notna().sum() == 42


def test_an_absent_set_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        read_something(tmp_path)
    for words in (
        "labels.json",
        "train.json",
        "validation.json",
        ".webm",
        "licensed",
        "ask for it",
    ):
        assert words in str(error.value)


def test_one_absent_list_is_no_reason_to_stop(something):
    list_path(something, "train").unlink()
    index, kinds, words = warned(read_something, something)
    assert set(index["split"]) == {"validation"}
    assert kinds == {"absent list": 1, "videos that no list names": 32}
    assert "1 absent list (first: train.json)" in words


@pytest.mark.parametrize("content", ["[{", "\xff\xfe", "{}", "[" * 100_000])
def test_an_unreadable_list_is_one_problem(something, content):
    list_path(something, "train").write_text(content, encoding="latin-1")
    index, kinds, words = warned(read_something, something)
    assert len(index) == 16 and kinds["unreadable list"] == 1
    assert "train.json" in words and "fetch it again" in words
    with pytest.raises(DataError, match="unreadable list"):
        read_something(something, strict=True)


@pytest.mark.parametrize("content", ["{", "[]", '{"Moving something up": "many"}'])
def test_unreadable_labels_are_fatal(something, content):
    list_path(something, "labels").write_text(content)
    with pytest.raises(DataError, match=r"labels\.json.*should give each label its number"):
        read_something(something)


def test_everything_amiss_is_in_one_summary(something):
    videos = something / "20bn-something-something-v2"

    def spoil(entries):
        del entries[0]["template"]
        entries[1]["template"] = "Juggling [something]"
        entries[2]["id"] = "../../etc/passwd"
        entries[3] = "no object"
        entries[6]["label"] = "\ud800 half a character"
        entries[7]["label"] = 7
        (videos / f"{entries[4]['id']}.webm").unlink()
        (videos / f"{entries[5]['id']}.webm").unlink()
        return [*entries, entries[6], {**entries[7], "id": int(entries[7]["id"])}]

    before = read_something(something)
    first = before[before["split"] == "train"]["clip_id"].tolist()
    change(something, "train", spoil)
    (videos / "stray.webm").write_bytes(b"")
    (videos / ".DS_Store").write_bytes(b"")
    index, kinds, words = warned(read_something, something)
    assert kinds == {
        "entries without a template": 1,
        "entries whose template labels.json does not list": 1,
        "entries without an id": 2,
        "listed videos absent": 2,
        "ids listed twice": 2,
        # those of the four entries that cannot be read, and the stray one
        "videos that no list names": 5,
    }
    assert sorted(index["clip_id"]) == sorted({*before["clip_id"]} - {*first[:6]})
    assert index["text"].iloc[:2].tolist() == ["? half a character", "7"]
    index.to_parquet(something / "index.parquet")  # whatever the texts are
    assert f"2 listed videos absent (first: {first[4]} of something-something-v2-train" in words
    assert f"2 ids listed twice (first: {first[6]} in something-something-v2-train.json)" in words
    assert words.startswith(f"{something}: ") and "ask for it" in words
    with pytest.raises(DataError, match="2 listed videos absent"):
        read_something(something, strict=True)


def test_an_id_in_two_lists_stays_in_the_first(something):
    twice = json.loads(list_path(something, "train").read_text())[0]
    change(something, "validation", lambda entries: [*entries, twice])
    index, kinds, _ = warned(read_something, something)
    assert kinds == {"ids listed twice": 1}
    assert index[index["clip_id"] == twice["id"]]["split"].tolist() == ["train"]


OLD, VIDEOS = "something-something-v2-", "20bn-something-something-v2"
# Where the files of a set are found: what its names and places are, from those of the first line.
LAYOUTS = {
    "as handed out now": ("labels/{part}.json", VIDEOS + "/{video}"),
    "in one folder": (OLD + "{part}.json", "{video}"),
    "older names in a folder": ("annotations/" + OLD + "{part}.json", "videos/{video}"),
    "archives one folder deeper": ("labels/labels/{part}.json", f"{VIDEOS}/{VIDEOS}/" + "{video}"),
    "a folder of each part": ("labels/{part}.json", VIDEOS + "-0{digit}/" + VIDEOS + "/{video}"),
    "in a folder of its own": ("ssv2/v2/labels/{part}.json", "ssv2/v2/videos/{video}"),
    "capitals": ("Labels/{Part}.JSON", "Videos/{VIDEO}"),
    "converted": ("labels/{part}.json", "mp4/{id}.mp4"),
    "val for validation": ("labels/{val}.json", VIDEOS + "/{video}"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_in_circulation_are_read(mini, tmp_path, layout):
    lists, videos = LAYOUTS[layout]
    for part in ("labels", "train", "validation"):
        val = part.replace("validation", "val")
        path = tmp_path / lists.format(part=part, Part=part.title(), val=val)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(list_path(mini, part), path)
    for video in (mini / VIDEOS).iterdir():
        upper = f"{video.stem}.WEBM"
        words = {"video": video.name, "id": video.stem, "digit": video.stem[-1], "VIDEO": upper}
        path = tmp_path / videos.format(**words)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(video)
    (tmp_path / "labels").mkdir(exist_ok=True)
    (tmp_path / "labels/test-answers.csv").write_text("1;Moving something up")
    for path in ("__MACOSX/100.webm", ".trash/101.webm", "._102.webm"):  # what a Mac leaves behind
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index = read_something(tmp_path, strict=True)
    expected = read_something(mini)
    pd.testing.assert_frame_equal(index.drop(columns="path"), expected.drop(columns="path"))
    for path, there in zip(index["path"], expected["path"], strict=True):
        assert os.path.samefile(path, there)


def test_a_folder_that_is_a_link_counts_once_and_one_that_leads_back_ends(something):
    (something / "videos").symlink_to(something / VIDEOS)
    (something / VIDEOS / "up").symlink_to(something)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_something(something, strict=True)) == 48


def test_a_video_in_two_places_is_told_of_and_the_long_names_come_first(something, mini):
    first = sorted((something / VIDEOS).iterdir())[0]
    (something / "more").mkdir()
    shutil.copy(first, something / "more")
    (something / "train.json").write_text('["of another program"]')
    index, kinds, words = warned(read_something, something)
    assert kinds == {"videos in two places": 1} and f"more/{first.name}" in words
    assert len(index) == 48 and index["path"].str.contains(VIDEOS).all()


def test_what_lies_in_an_unknown_layout_is_said(something):
    shutil.rmtree(something / VIDEOS)
    for number in range(3):
        (something / f"{VIDEOS}-0{number}").write_bytes(b"part of an archive")
    (something / "frames/1").mkdir(parents=True)
    (something / "frames/1/00001.jpg").touch()
    with pytest.raises(FileNotFoundError) as error:
        read_something(something)
    for words in (
        f"{something} lacks videos (.webm); there are ", "3 other files in . (20bn-something",
        "3 .json files in . (something-something-v2-labels.json)", "1 .jpg files in frames/1",
        "cat 20bn-something-something-v2-?? | tar -xz", "ask for it",
    ):  # fmt: skip
        assert words in str(error.value)
    for part in ("train", "validation"):
        list_path(something, part).unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks .* or .*, videos"):
        read_something(something)


def test_videos_of_another_set_are_no_clips(something):
    for path in (something / VIDEOS).iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    with pytest.raises(
        DataError, match=r"no clip is left: .* 48 listed videos absent .*48 videos that no list"
    ):
        read_something(something)


def test_ones_own_set_may_have_any_names_for_its_clips(something):
    entries = json.loads(list_path(something, "train").read_text())
    names = {entries[0]["id"]: "my-first clip.2", entries[1]["id"]: "0"}
    for old, new in names.items():
        (something / VIDEOS / f"{old}.webm").rename(something / VIDEOS / f"{new}.webm")
    for entry in entries[:2]:
        entry["id"] = names[entry["id"]]
    entries[1]["id"] = 0
    list_path(something, "train").write_text(json.dumps(entries))
    assert read_something(something, strict=True)["clip_id"].tolist()[:2] == [
        "my-first clip.2",
        "0",
    ]


@real_data
def test_every_entry_of_the_real_validation_list_has_a_label(tmp_path):
    for part in ("labels", "validation"):
        shutil.copy(list_path(SHARED / "something", part), tmp_path)
    videos = tmp_path / "20bn-something-something-v2"
    videos.mkdir()
    entries = json.loads(list_path(tmp_path, "validation").read_text())
    for entry in entries:
        (videos / f"{entry['id']}.webm").touch()
    index, kinds, _ = warned(read_something, tmp_path)
    assert len(index) == 24_777 and kinds == {"absent list": 1}
    labels = json.loads(list_path(tmp_path, "labels").read_text())
    assert len(labels) == index["label"].nunique() == 174
    assert {name: int(number) for name, number in labels.items()} == dict(
        zip(index["label_name"], index["label"], strict=True)
    )


# --- KTH

LISTED = (
    "person01_boxing_d1\t\tframes\t1-10, 11-20, 21-30, 31-40\r\n"
    "person01_handclapping_d1\tframes\t1-12,  15-20,\t20-40, 31-39\r\n"  # overlapping
    "person17_running_d4 frames 21-40,1-20\r\n"  # out of order
    "\r\n"
    "person13_handclapping_d3\t*missing*\r\n"
    "person25_walking_d2\t\tframes\t1-40\r\n"
)


@pytest.fixture(scope="module")
def clip_of_40(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("avi") / "a.avi", numbered(40))


@pytest.fixture
def kth(tmp_path, clip_of_40):
    """A set of four videos: two in the folder itself, two one deep, as archives unpack."""
    root = tmp_path / "kth"
    (root / "walking").mkdir(parents=True)
    (root / "00sequences.txt").write_bytes(LISTED.encode())
    for name in ("person01_boxing_d1", "person01_handclapping_d1", "person17_running_d4"):
        shutil.copy(clip_of_40, root / f"{name}_uncomp.avi")
    shutil.copy(clip_of_40, root / "walking/person25_walking_d2_uncomp.avi")
    return root


def rows(index):
    return [(r.clip_id, r.start, r.stop) for r in index.itertuples()]


def test_sequences_are_those_of_the_list(kth):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index = read_kth(kth, strict=True)
    assert list(index.columns) == [*COLUMNS, "scenario"] and problems(index) == {}
    assert rows(index) == [
        ("person01_boxing_d1_1", 0, 10),
        ("person01_boxing_d1_2", 10, 20),
        ("person01_boxing_d1_3", 20, 30),
        ("person01_boxing_d1_4", 30, 40),
        ("person01_handclapping_d1_1", 0, 12),
        ("person01_handclapping_d1_2", 14, 20),
        ("person01_handclapping_d1_3", 19, 40),
        ("person01_handclapping_d1_4", 30, 39),
        ("person17_running_d4_1", 20, 40),
        ("person17_running_d4_2", 0, 20),
        ("person25_walking_d2_1", 0, 40),
    ]
    last = index.iloc[-1]
    assert last[["label", "label_name", "split", "group", "scenario"]].tolist() == [
        *(5, "walking", "validation", 25, "d2")
    ]
    assert index["label_name"].unique().tolist() == ["boxing", "handclapping", "running", "walking"]


def test_the_splits_part_the_subjects():
    sizes = {"paper": {"train": 16, "validation": 9}}
    sizes["original"] = {"train": 8, "validation": 8, "test": 9}
    for name, splits in kth_module.SPLITS.items():
        assert {split: len(group) for split, group in splits.items()} == sizes[name]
        assert sorted(s for group in splits.values() for s in group) == list(range(1, 26))


def test_the_other_split_goes_by_its_name(kth):
    index = read_kth(kth, split="original").set_index("clip_id")
    assert index.loc["person01_boxing_d1_1", "split"] == "validation"
    assert index.loc["person17_running_d4_1", "split"] == "train"
    with pytest.raises(ValueError, match=r"split is 'mine'.* paper, original"):
        read_kth(kth, split="mine")


@given(st.lists(st.sampled_from([" ", "\t", "  ", "\t\t", " \t "]), min_size=8, max_size=8))
def test_blanks_do_not_matter(blanks):
    a, b, c, d, e, f, g, h = blanks
    line = f"person02_jogging_d3{a}frames{b}1-50,{c}115{d}-{e}164 ,{f}254-300{g},{h}360-405"
    entry = kth_module.LINE.fullmatch(line.strip())
    assert entry and re.findall(r"\d+", entry["ranges"]) == [
        *("1", "50", "115", "164", "254", "300", "360", "405")
    ]


def test_a_heading_is_passed_over(kth):
    heading = "\ufeffThe data set\r\nTraining: person11, 12, 13\r\n\r\n"
    (kth / "00sequences.txt").write_bytes((heading + LISTED).encode())
    assert len(read_kth(kth, strict=True)) == 11
    (kth / "00sequences.txt").write_bytes(
        (heading + " person01_boxing_d1 frame\r\n" + LISTED).encode()
    )
    assert warned(read_kth, kth)[1] == {"lines that cannot be read": 1}


def test_everything_amiss_in_kth_is_in_one_summary(kth, clip_of_40):
    shutil.copy(clip_of_40, kth / "walking/person01_boxing_d1_uncomp.avi")
    shutil.copy(clip_of_40, kth / "person09_boxing_d1_uncomp.avi")
    (kth / "person02_boxing_d1_uncomp.avi").write_bytes(b"no video")
    (kth / "person03_boxing_d1_uncomp.avi").write_bytes(
        patch_avi(clip_of_40.read_bytes(), frames=25)
    )
    more = (
        "person02_boxing_d1 frames 1-10\n"
        "person03_boxing_d1 frames 1-20, 21-30, 26-40, 9-5, 0-9\n"
        "person01_boxing_d1 frames 1-10\n"
        "person04_boxing_d1 frames 1-10\n"
        "person05_boxing_d1 frames one to ten\n"
        "person26_boxing_d1 frames 1-10\n"
        "person05_swimming_d1 frames 1-10\n"
        "nonsense\n"
    )
    (kth / "00sequences.txt").write_text(LISTED + more)
    index, kinds, words = warned(read_kth, kth)
    assert kinds == {
        "videos in two places": 1,
        "videos that cannot be opened": 1,
        "sequences cut at the end": 1,
        "sequences beyond the end": 1,
        "impossible ranges": 2,
        "videos listed twice": 1,
        "listed videos absent": 1,
        "lines that cannot be read": 4,
        "videos that the list does not name": 1,
    }
    assert rows(index)[11:] == [("person03_boxing_d1_1", 0, 20), ("person03_boxing_d1_2", 20, 25)]
    for expected in (
        "person03_boxing_d1_2: frames 21 to 30 of a video of 25",
        "person03_boxing_d1_3: frames 26 to 40 of a video of 25",
        "00sequences.txt, line 11: person05_boxing_d1 frames one to ten",
        "00sequences.txt, line 9: person01_boxing_d1",
        "person02_boxing_d1_uncomp.avi: cannot be decoded",
        "python -m vidlib.data.download",
    ):
        assert expected in words
    with pytest.raises(DataError, match="1 sequences cut at the end"):
        read_kth(kth, strict=True)


def test_an_absent_kth_says_how_to_get_it(tmp_path):
    words = r"lacks 00sequences\.txt, videos .* no file is there.*vidlib\.data\.download"
    with pytest.raises(FileNotFoundError, match=words):
        read_kth(tmp_path)


KTH_LAYOUTS = {
    "two folders deep": ("KTH/00sequences.txt", "KTH/videos/{action}/{video}_uncomp.avi"),
    "all in one": ("00sequences.txt", "{video}_uncomp.avi"),
    "the list elsewhere": ("labels/00sequences.txt", "{action}/{video}_uncomp.avi"),
    "a folder in each archive": ("00sequences.txt", "{action}/{action}/{video}_uncomp.avi"),
    "a folder for each person": ("meta/00Sequences.txt", "{person}/{video}_uncomp.avi"),
    "short names": ("00sequences.txt", "data/set/{action}/{video}.avi"),
    "capitals": ("00SEQUENCES.TXT", "{action}/{video}_uncomp.AVI"),
}


@pytest.mark.parametrize("layout", KTH_LAYOUTS)
def test_layouts_of_kth_in_circulation_are_read(kth, tmp_path, layout):
    expected = read_kth(kth)
    place, videos = KTH_LAYOUTS[layout]
    other = tmp_path / "other"
    moves = {kth / "00sequences.txt": place}
    for path in kth.rglob("*.avi"):
        video = path.stem.removesuffix("_uncomp")
        person, action, _ = video.split("_")
        moves[path] = videos.format(video=video, action=action, person=person)
    for path, new in moves.items():
        (other / new).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, other / new)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index = read_kth(other, strict=True)
    pd.testing.assert_frame_equal(index.drop(columns="path"), expected.drop(columns="path"))
    assert [path.removeprefix(f"{other}/") for path in index["path"]] == [
        moves[Path(path)] for path in expected["path"]
    ]


def test_what_lies_in_an_unknown_layout_of_kth_is_said(kth):
    (kth / "00sequences.txt").rename(kth / "list.txt")
    words = r"kth lacks 00sequences\.txt; there are 3 \.avi files in \. \(person01_boxing_d1"
    with pytest.raises(FileNotFoundError, match=words):
        read_kth(kth)
    (kth / "list.txt").rename(kth / "00sequences.txt")
    for path in kth.rglob("*.avi"):
        path.rename(path.with_suffix(".zip"))
    with pytest.raises(FileNotFoundError, match=r"lacks videos .*there are 3 \.zip files in \. "):
        read_kth(kth)


def test_kth_with_an_empty_list_is_fatal(kth):
    (kth / "00sequences.txt").write_text("")
    with pytest.raises(DataError, match="4 videos that the list does not name"):
        read_kth(kth)


@real_data
def test_the_real_list_has_2391_sequences(tmp_path, monkeypatch):
    text = (SHARED / "kth/00sequences.txt").read_text()
    (tmp_path / "00sequences.txt").write_text(text)
    for video in re.findall(r"person\d\d_\w+_d\d", text):
        (tmp_path / f"{video}_uncomp.avi").touch()
    (tmp_path / "person13_handclapping_d3_uncomp.avi").unlink()
    monkeypatch.setattr(kth_module, "promised_frames", lambda path: 10_000)
    index = read_kth(tmp_path, strict=True)
    assert len(index) == 2391 and index["path"].nunique() == 599
    assert index["group"].nunique() == 25 and index["label"].nunique() == 6
    assert index["split"].value_counts().to_dict() == {"train": 1528, "validation": 863}
    threes = index.groupby("path").size().pipe(lambda n: n[n == 3]).index
    assert {re.search(r"person(\d\d)_(\w+_d\d)", path).groups() for path in threes} == {
        *(("11", "boxing_d4"), ("13", "handwaving_d3"), ("14", "handwaving_d3")),
        *(("15", "boxing_d4"), ("22", "boxing_d1")),
    }
    starts = index.groupby("path")["start"]
    out_of_order = starts.apply(lambda s: not s.is_monotonic_increasing).pipe(lambda o: o[o].index)
    assert {re.search(r"person\d\d_\w+_d\d", path)[0] for path in out_of_order} == {
        *("person07_jogging_d4", "person07_running_d4")
    }


@real_data
def test_the_real_videos_hold_the_sequences_of_their_list():
    index, kinds, _ = warned(read_kth, SHARED / "kth")
    assert kinds == {"listed videos absent": 597}
    lengths = (index["stop"] - index["start"]).to_numpy()
    assert lengths.tolist() == [50, 51, 51, 54, 136, 143, 161, 141]
    for row in index.itertuples():
        clip = read_clip(row.path, 32, (120, 160), row.start, row.stop)
        assert clip.shape == (32, 120, 160, 3) and clip.std() > 10
        # recorded in grey
        assert np.abs(clip[..., 0].astype(int) - clip[..., 2]).max() <= 2
    assert pd.Series(index["group"]).tolist() == [1] * 4 + [15] * 4

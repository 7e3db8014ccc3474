"""Files on disk: written, read, sampled, prepared, and what happens when they are broken."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidlib.data import (
    VideoError,
    load_clips,
    prepare_clips,
    read_clip,
    read_something,
    render_something_mini,
    sample_frames,
    to_network,
    write_webm,
)
from vidlib.data.scenes import CLASSES

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
real_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real files of shared/data are absent"
)


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    root = tmp_path_factory.mktemp("mini")
    counts = {"train": 2, "validation": 1}
    render_something_mini(root, clips_per_class=counts, size=48, seed=3, processes=2)
    return root


def files(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


# --- sampling


def test_sixteen_of_sixteen_frames_are_all_of_them():
    assert sample_frames(16, 16).tolist() == list(range(16))


def test_short_clips_repeat_frames():
    assert sample_frames(3, 5).tolist() == [0, 0, 1, 2, 2]  # 0, .5, 1, 1.5, 2, rounded to even


@given(st.integers(1, 500), st.integers(1, 64))
def test_sampling_covers_the_clip_in_order(total, wanted):
    frames = sample_frames(total, wanted)
    assert (
        len(frames) == wanted and frames[0] == 0 and frames[-1] == (total - 1 if wanted > 1 else 0)
    )
    assert (np.diff(frames) >= 0).all()
    assert np.ptp(np.diff(frames)) <= 1 if wanted > 1 else True


def test_sampling_nothing_is_refused():
    with pytest.raises(ValueError, match="cannot sample 16 of 0 frames"):
        sample_frames(0, 16)


# --- video files


def numbered(count, size=32):
    """Frames whose grey level is 10 times their number."""
    return np.stack([np.full((size, size, 3), 10 * i, np.uint8) for i in range(count)])


def test_the_right_frames_come_back(tmp_path):
    path = tmp_path / "clip.webm"
    write_webm(path, numbered(24))
    clip = read_clip(path, 8, (32, 32))
    levels = clip.mean(axis=(1, 2, 3)) / 10
    assert np.abs(levels - sample_frames(24, 8)).max() < 0.5
    part = read_clip(path, 4, (32, 32), start=10, stop=14)
    assert np.abs(part.mean(axis=(1, 2, 3)) / 10 - [10, 11, 12, 13]).max() < 0.5


def test_colours_and_the_squash_come_back(tmp_path):
    frames = np.zeros((6, 32, 64, 3), np.uint8)
    frames[:, :, :32] = (200, 40, 40)
    frames[:, :, 32:] = (40, 40, 200)
    write_webm(tmp_path / "clip.webm", frames)
    clip = read_clip(tmp_path / "clip.webm", 3, (16, 16)).astype(int)
    assert np.abs(clip[:, 4:12, 2:6] - (200, 40, 40)).max() < 25
    assert np.abs(clip[:, 4:12, 10:14] - (40, 40, 200)).max() < 25


def test_the_same_frames_give_the_same_bytes(tmp_path):
    write_webm(tmp_path / "a.webm", numbered(10))
    write_webm(tmp_path / "b.webm", numbered(10))
    assert (tmp_path / "a.webm").read_bytes() == (tmp_path / "b.webm").read_bytes()


def test_broken_videos_name_the_file_and_the_remedy(tmp_path):
    missing = tmp_path / "none.webm"
    with pytest.raises(VideoError, match=r"none\.webm: no such video; check the path"):
        read_clip(missing, 4, (8, 8))
    garbage = tmp_path / "garbage.webm"
    garbage.write_bytes(b"not a video" * 50)
    with pytest.raises(
        VideoError, match=r"garbage\.webm: cannot be decoded .* fetch the file again"
    ):
        read_clip(garbage, 4, (8, 8))
    short = tmp_path / "short.webm"
    write_webm(short, numbered(5))
    with pytest.raises(VideoError, match=r"holds 5 frames, too few for frames 0 to 9"):
        read_clip(short, 4, (8, 8), stop=9)


# --- the rendered set


def test_rendering_is_the_same_by_one_process_or_two(mini, tmp_path):
    counts = {"train": 2, "validation": 1}
    render_something_mini(tmp_path, clips_per_class=counts, size=48, seed=3, processes=1)
    assert files(tmp_path) == files(mini)


def test_a_killed_rendering_goes_on(mini, tmp_path):
    counts = {"train": 2, "validation": 1}
    render_something_mini(tmp_path, clips_per_class=counts, size=48, seed=3, processes=2)
    videos = sorted((tmp_path / "20bn-something-something-v2").iterdir())
    kept = videos[0].stat().st_mtime_ns
    for path in videos[5:]:
        path.unlink()
    (videos[0].parent / "7.partial").write_bytes(b"half a file")
    (tmp_path / "truth/states.parquet").unlink()
    render_something_mini(tmp_path, clips_per_class=counts, size=48, seed=3, processes=2)
    assert files(tmp_path) == files(mini)
    assert videos[0].stat().st_mtime_ns == kept


def test_another_seed_gives_other_clips(mini, tmp_path):
    counts = {"train": 2, "validation": 1}
    render_something_mini(tmp_path, clips_per_class=counts, size=48, seed=4, processes=2)
    same = files(tmp_path).keys() & files(mini).keys()
    assert len(same) == 16 * 3 + 5
    assert all(files(tmp_path)[n] != files(mini)[n] for n in same if n.endswith(".webm"))


def test_the_lists_are_those_of_the_original(mini):
    labels = json.loads((mini / "something-something-v2-labels.json").read_text())
    entries = json.loads((mini / "something-something-v2-validation.json").read_text())
    assert labels["Pushing something from left to right"] == "93" and len(labels) == 16
    for entry in entries:
        assert set(entry) == {"id", "label", "template", "placeholders"}
        assert len(entry["placeholders"]) == entry["template"].count("[")
        assert all(word in entry["label"] for word in entry["placeholders"])


@real_data
def test_class_names_and_numbers_are_the_official_ones():
    official = json.loads((SHARED / "something/something-something-v2-labels.json").read_text())
    assert {c.name: str(c.number) for c in CLASSES.values()}.items() <= official.items()


@real_data
def test_templates_are_the_official_ones():
    path = SHARED / "something/something-something-v2-validation.json"
    official = {entry["template"] for entry in json.loads(path.read_text())}
    assert {c.template for c in CLASSES.values()} <= official


def test_an_impossible_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="render_size is 33: give an even number"):
        render_something_mini(
            tmp_path, clips_per_class={"train": 1, "validation": 1}, size=33, seed=0, processes=1
        )


def test_the_truth_is_of_the_same_clips(mini):
    index = read_something(mini)
    truth = pd.read_parquet(mini / "truth/clips.parquet")
    states = pd.read_parquet(mini / "truth/states.parquet")
    assert truth.set_index("clip_id")["label"].to_dict() == dict(
        zip(index["clip_id"], index["label"], strict=True)
    )
    for clip_id, frames in truth[["clip_id", "frames"]].itertuples(index=False):
        assert states[states["clip_id"] == clip_id]["frame"].max() == frames - 1
    import av

    one = truth.iloc[0]
    with av.open(str(mini / f"20bn-something-something-v2/{one['clip_id']}.webm")) as container:
        assert container.streams.video[0].codec_context.name == "vp9"
        assert sum(1 for _ in container.decode(video=0)) == one["frames"]


# --- the reader


def test_the_index_has_the_promised_columns(mini):
    index = read_something(mini)
    assert list(index.columns) == [
        *("clip_id", "path", "start", "stop", "label", "label_name", "split", "group", "text")
    ]
    assert index["split"].value_counts().to_dict() == {"train": 32, "validation": 16}
    assert all(Path(path).is_file() for path in index["path"])


def test_an_absent_set_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        read_something(tmp_path)
    for words in ("labels.json", "train.json", "validation.json", "20bn", "licensed", "ask for it"):
        assert words in str(error.value)


def copy_lists(mini, target, **changes):
    (target / "20bn-something-something-v2").mkdir()
    for part in ("labels", "train", "validation"):
        name = f"something-something-v2-{part}.json"
        (target / name).write_text(changes.get(part) or (mini / name).read_text())


def test_absent_videos_are_counted(mini, tmp_path):
    copy_lists(mini, tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"48 of 48 listed videos are missing, first .*webm"
    ):
        read_something(tmp_path)


def test_an_unreadable_list_is_named(mini, tmp_path):
    copy_lists(mini, tmp_path, train="[{")
    with pytest.raises(ValueError, match=r"train\.json is not readable JSON"):
        read_something(tmp_path)


def test_a_template_without_a_label_is_named(mini, tmp_path):
    copy_lists(mini, tmp_path, labels='{"Moving something up": "45"}')
    with pytest.raises(
        ValueError, match=r"entries have a template that .*labels\.json does not list"
    ):
        read_something(tmp_path)


# --- prepared clips


def test_prepared_clips_are_the_files(mini, tmp_path):
    index = read_something(mini)
    prepare_clips(index, tmp_path, frames=6, size=(24, 24), processes=2)
    clips = load_clips(tmp_path)
    assert len(clips) == 48 and clips.classes == sorted(CLASSES)
    for row in (0, 17, 47):
        expected = read_clip(index["path"][row], 6, (24, 24))
        assert np.array_equal(clips.frames[row], expected)
        clip, output = clips[row]
        assert clips.classes[output] == clips.index["label"][row]
        assert torch.equal(clip, to_network(expected))


def test_a_killed_preparation_goes_on(mini, tmp_path):
    index = read_something(mini)
    prepare_clips(index, tmp_path / "whole", frames=4, size=(16, 16), processes=2)
    part = tmp_path / "killed"
    part.mkdir()
    # what a call leaves that was killed after 20 clips, with the 21st half written
    array = np.lib.format.open_memmap(part / "decoding.npy", "w+", np.uint8, (48, 4, 16, 16, 3))
    whole = np.load(tmp_path / "whole/frames.npy")
    array[:20], array[20] = whole[:20], 99
    array.flush()
    (part / "decoding.txt").write_text("".join(f"{i}\t\n" for i in range(20)))
    prepare_clips(index, part, frames=4, size=(16, 16), processes=2)
    assert files(part) == files(tmp_path / "whole")


def test_a_mended_file_is_tried_again(mini, tmp_path):
    index = read_something(mini)
    lost = index["split"] == "validation"
    moved = index.copy()
    moved.loc[lost, "path"] = str(tmp_path / "gone.webm")
    with pytest.raises(ValueError, match="no clip of the validation split"):
        prepare_clips(moved, tmp_path / "out", frames=4, size=(16, 16), processes=1)
    prepare_clips(index, tmp_path / "out", frames=4, size=(16, 16), processes=1)
    assert len(load_clips(tmp_path / "out")) == len(index)


def test_broken_files_are_left_out_and_listed(mini, tmp_path, capsys):
    index = read_something(mini)
    bad = tmp_path / "bad.webm"
    bad.write_bytes(b"nothing")
    index.loc[3, "path"] = str(bad)
    prepare_clips(index, tmp_path / "out", frames=4, size=(16, 16), processes=1)
    quarantined = pd.read_parquet(tmp_path / "out/quarantine.parquet")
    assert quarantined["clip_id"].tolist() == [index["clip_id"][3]]
    assert "bad.webm: cannot be decoded" in quarantined["reason"].item()
    assert "1 of 48 clips cannot be decoded" in capsys.readouterr().out
    clips = load_clips(tmp_path / "out")
    assert len(clips) == 47 and index["clip_id"][3] not in set(clips.index["clip_id"])
    assert np.array_equal(clips.frames[3], read_clip(index["path"][4], 4, (16, 16)))


def test_a_split_without_any_clip_stops(mini, tmp_path):
    index = read_something(mini)
    index.loc[index["split"] == "validation", "path"] = str(tmp_path / "gone.webm")
    with pytest.raises(
        ValueError, match=r"no clip of the validation split could be decoded, first: .*gone"
    ):
        prepare_clips(index, tmp_path / "out", frames=4, size=(16, 16), processes=1)


def test_network_values_run_from_minus_one_to_one():
    frames = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    clip = to_network(np.broadcast_to(frames, (2, 4, 5, 3)))
    assert clip.shape == (3, 2, 4, 5)
    assert clip[:, 0, 0, 0].tolist() == pytest.approx([-1.0, -0.6, 1.0])

"""The rendered set as files, which frames are sampled of them, and what networks get."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import SHARED, files, real_data
from hypothesis import given
from hypothesis import strategies as st

from vidlib.data import read_clip, read_something, sample_frames, to_network
from vidlib.rendered import Truth, render_something_mini, states
from vidlib.rendered.files import clip_rngs, numbered_jobs
from vidlib.rendered.something.scripts import CLASSES, compose

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
    with pytest.raises(ValueError, match="total is 0"):
        sample_frames(0, 16)


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
    (videos[0].parent / ".part-0123abcd-7.webm").write_bytes(b"half a file")
    (tmp_path / "truth/states.parquet").unlink()
    render_something_mini(tmp_path, clips_per_class=counts, size=48, seed=3, processes=2)
    assert files(tmp_path) == files(mini)
    assert videos[0].stat().st_mtime_ns == kept


def test_another_seed_gives_other_clips(mini, tmp_path):
    counts = {"train": 2, "validation": 1}
    render_something_mini(tmp_path, clips_per_class=counts, size=48, seed=4, processes=2)
    same = files(tmp_path).keys() & files(mini).keys()
    assert len(same) == 2 * 16 * 3 + 3 + 4  # videos and masks, lists, tables and settings
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
    ours = {re.sub(r"[\[\]]", "", c.template): str(c.number) for c in CLASSES.values()}
    assert ours.items() <= official.items()


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


def test_clips_of_other_settings_are_not_mixed(mini, tmp_path):
    shutil.copytree(mini, tmp_path / "set")
    counts = {"train": 2, "validation": 1}
    message = r"holds clips rendered with \{'seed': 3, 'size': 48\}, not .* into another folder"
    for seed, size in ((4, 48), (3, 64)):
        with pytest.raises(ValueError, match=message):
            render_something_mini(
                tmp_path / "set", clips_per_class=counts, size=size, seed=seed, processes=1
            )
    assert files(tmp_path / "set") == files(mini)


@pytest.mark.parametrize(
    ("counts", "told"),
    [({"train": 0, "validation": 1}, r"\['train'\] is 0"), ({"train": 1}, r"\['validation'\] is 0"),
     ({"train": 7000, "validation": 1}, r"\['train'\] is 7000")],
)  # fmt: skip
def test_impossible_numbers_of_clips_are_refused(counts, told, tmp_path):
    with pytest.raises(ValueError, match=rf"{told}.* at least 1 and at most 6250"):
        render_something_mini(tmp_path, clips_per_class=counts, size=48, seed=0, processes=1)


def test_no_two_clips_have_one_number():
    jobs = numbered_jobs(range(16), {"train": 6250, "validation": 6250}, 0)
    assert len({clip_id for clip_id, *_ in jobs}) == len(jobs) == 200_000


def test_masks_of_what_is_not_there(mini):
    truth = Truth(mini)
    masks = truth.masks(truth.clips.index[0])
    assert not masks.of("joint").any()
    with pytest.raises(ValueError, match="no 'hnad': there are object, hand,"):
        masks.of("hnad")


def test_the_truth_is_of_the_same_clips(mini):
    index = read_something(mini)
    truth = Truth(mini)
    assert truth.clips["label"].to_dict() == dict(
        zip(index["clip_id"], index["label"], strict=True)
    )
    import av

    for clip_id, frames in list(truth.clips["frames"].items())[:6]:
        with av.open(str(mini / f"20bn-something-something-v2/{clip_id}.webm")) as container:
            assert container.streams.video[0].codec_context.name == "vp9"
            decoded = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        assert len(decoded) == frames == len(truth.scene(clip_id))
        masks = truth.masks(clip_id)
        assert masks.numbers.shape == (frames, 48, 48)


def test_a_scene_is_read_as_it_was_composed(mini):
    truth = Truth(mini)
    for clip_id, label in list(truth.clips["label"].items())[:8]:
        composed = compose(label, clip_rngs(3, clip_id)[0])
        read = truth.scene(clip_id)
        assert (read.label, read.event, read.aspect) == (label, composed.event, 1.0)
        assert np.array_equal(read.camera, composed.camera) and np.isnan(read.phase).all()
        assert states(read).equals(states(composed))
        table = truth.states(clip_id).drop(columns="clip_id").reset_index(drop=True)
        pd.testing.assert_frame_equal(table, states(composed), check_dtype=False)


def test_masks_are_those_of_the_decoded_pictures(mini):
    """Under an object's mask the picture changes when the object leaves: files and truth agree."""
    truth = Truth(mini)
    clip_id = truth.clips.index[truth.clips["label"] == 147][0]
    path = mini / f"20bn-something-something-v2/{clip_id}.webm"
    frames = read_clip(path, frames=truth.clips.loc[clip_id, "frames"], size=(48, 48))
    where = truth.masks(clip_id).of("object_a")
    change = np.abs(frames[0].astype(int) - frames[-1]).mean(-1)
    assert change[where[0]].mean() > 4 * np.median(change)


def test_a_set_without_truth_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no truth beside its clips: only rendered"):
        Truth(tmp_path)


def test_network_values_run_from_minus_one_to_one():
    frames = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    clip = to_network(np.broadcast_to(frames, (2, 4, 5, 3)))
    assert clip.shape == (3, 2, 4, 5)
    assert clip[:, 0, 0, 0].tolist() == pytest.approx([-1.0, -0.6, 1.0])

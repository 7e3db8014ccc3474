"""kth-mini: people move like people, are drawn at their joints, and are read like KTH."""

import re
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from conftest import files
from hypothesis import given, settings
from hypothesis import strategies as st

from vidlib.data import decode_sequences, promised_frames, read_kth, sample_frames, write_avi
from vidlib.data.kth import ACTIONS, LIST, SCENARIOS, SPLITS
from vidlib.rendered.kth.body import GAITS, GROUND, JOINTS, SIDES, THICKNESS, Subject
from vidlib.rendered.kth.draw import PARTS, draw_film
from vidlib.rendered.kth.film import film, in_view
from vidlib.rendered.kth.observer import observe, postures
from vidlib.rendered.kth.place import place
from vidlib.rendered.kth.render import plan, render_kth_mini
from vidlib.rendered.truth import Truth

COUNTS = {"train": 5, "validation": 1}
BONES = [
    ("hip", "neck"),
    ("neck", "head"),
    *((f"{side}_shoulder", f"{side}_elbow") for side in SIDES),
    *((f"{side}_elbow", f"{side}_hand") for side in SIDES),
    *((f"{side}_knee", f"{side}_foot") for side in SIDES),
]
cases = st.tuples(
    st.sampled_from(ACTIONS),
    st.integers(1, 25),
    st.sampled_from(list(SCENARIOS)),
    st.integers(0, 2**32 - 1),
)


def shoot(action, number, scenario, seed, sequences=1):
    """A film of one person, by its names and a seed."""
    return film(action, Subject(number), scenario, np.random.default_rng(seed), sequences)


def places(scene) -> np.ndarray:
    """Joints, (joints, T, 2)."""
    return np.stack([np.stack([scene[name].x, scene[name].y], axis=1) for name in JOINTS])


def length(scene, first, second) -> np.ndarray:
    return np.hypot(scene[first].x - scene[second].x, scene[first].y - scene[second].y)


@pytest.fixture(scope="module")
def scenes():
    """Sequences of all actions and subjects, each in two scenarios: with subject and scenario."""
    made = []
    for k, action in enumerate(ACTIONS):
        for number in range(1, 26):
            for d in ((number + k) % 4 + 1, (number + k + 2) % 4 + 1):
                taken = shoot(action, number, f"d{d}", [number, k, d], 2)
                made += [(number, f"d{d}", scene) for scene in taken.sequences()]
    return made


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A small kth-mini; not to be changed."""
    root = tmp_path_factory.mktemp("kth-mini")
    render_kth_mini(root, clips_per_class=COUNTS, seed=4, processes=2)
    return root


@settings(max_examples=40, deadline=None)
@given(cases)
def test_bones_keep_their_length(case):
    taken = shoot(*case)
    scene = taken.scene
    assert taken.ranges[0][1] <= len(scene) == len(taken.zoom)
    assert (case[2] == "d2") == (np.ptp(taken.zoom) > 0)
    height = scene["head"].size / taken.zoom
    np.testing.assert_allclose(height, height[0])
    for first, second in BONES:
        bone = length(scene, first, second) / taken.zoom
        if case[0] == "handclapping" and "elbow" in first + second:  # also towards the camera
            assert bone.max() < 0.2 * height[0] / THICKNESS["head"]
        else:
            np.testing.assert_allclose(bone, bone[0], rtol=1e-6, atol=1e-9)
    if case[0] in (*GAITS, "boxing"):
        for side in SIDES:
            thigh = length(scene, "hip", f"{side}_knee")
            np.testing.assert_allclose(thigh, length(scene, f"{side}_knee", f"{side}_foot"))


def test_walkers_are_slower_than_joggers_and_these_than_runners():
    for number in range(1, 26):
        speeds, cadences, knees, leans = [], [], [], []
        for action in ("walking", "jogging", "running"):
            scene = shoot(action, number, "d4", number).sequences()[0]
            person = Subject(number)
            there = ~np.isnan(scene.phase)
            speed = np.abs(np.diff(scene["hip"].x)) * 25 / person.height
            assert np.ptp(speed) < 1e-9
            speeds.append(speed[0])
            turns = np.diff(np.unwrap(2 * np.pi * scene.phase[there])) / (2 * np.pi)
            cadences.append(2 * 25 * np.median(turns))
            knees.append((GROUND - scene["left_knee"].y[there].min()) / person.height)
            lean = np.arctan2(*(places(scene)[2] - places(scene)[1]).T)
            leans.append(np.abs(lean).mean())
        for values in (speeds, cadences, knees):
            assert values == sorted(values) and min(np.diff(values)) > 0.02, (number, values)
        assert leans[2] > leans[1] > leans[0]


@pytest.mark.parametrize("action", GAITS)
def test_feet_do_not_slide_while_they_stand(action):
    gait, standing = GAITS[action], 0
    for number in (1, 8, 14, 25):
        scene = shoot(action, number, "d4", number).scene
        for k, side in enumerate(SIDES):
            at = (scene.phase + k / 2) % 1
            flat = at < 0.5 * gait.duty  # NaN, out of view, is not
            still = flat[1:] & flat[:-1] & (np.diff(at) > 0)
            standing += still.sum()
            for values in (scene[f"{side}_foot"].x, scene[f"{side}_foot"].y):
                assert np.abs(np.diff(values))[still].max() < 2e-4
            assert np.all(scene[f"{side}_foot"].y <= GROUND)
        height = Subject(number).height
        up = np.min([GROUND - scene[f"{side}_foot"].y for side in SIDES], axis=0) / height
        assert (up.max() > 0.07) == (action != "walking")  # both ankles up: a flight
    assert standing > 15


@pytest.mark.parametrize("action", ACTIONS)
def test_a_pose_returns_when_a_cycle_does(action):
    compared = 0
    for number in (2, 11, 19):
        for scene in shoot(action, number, "d1", number, 3).sequences():
            pose = places(scene) - places(scene)[JOINTS.index("hip")]
            starts = scene.cycles()
            for a, b in pairwise(starts):
                away = np.abs(pose[:, a : b + 1] - pose[:, a : a + 1]).max(axis=(0, 2))
                assert away[-1] < 0.4 * away.max()
                compared += 1
    assert compared > 3
    scene = shoot(action, 7, "d4", 1, 2).sequences()[0]
    inside = np.isfinite(scene.phase)
    assert np.all((scene.phase[inside] >= 0) & (scene.phase[inside] < 1))
    if action == "handclapping":
        gap = np.abs(scene["left_hand"].x - scene["right_hand"].x)
        assert gap[scene.cycles()].max() < 0.3 * gap.max()
    if action == "handwaving":
        low = scene["left_hand"].y[scene.cycles()]
        assert low.min() > np.percentile(scene["left_hand"].y, 75)


def test_people_cross_to_and_fro_and_are_away_in_between(scenes):
    for action in GAITS:
        taken = shoot(action, 5, "d3", 2, 4)
        ways = [np.sign(np.diff(scene["hip"].x)).mean() for scene in taken.sequences()]
        assert ways in ([1, -1, 1, -1], [-1, 1, -1, 1])
        there = in_view(taken.scene).any(axis=0)
        for (_, stop), (start, _) in pairwise(taken.ranges):
            assert stop < start and not there[stop:start].all()
    empty, at_once, whole = [], [], []
    for _, _, scene in scenes:
        assert 12 <= len(scene) <= 170
        start, stop = scene.event
        shown = in_view(scene)
        assert shown[:, start].any() and shown[:, stop - 1].any()
        assert not shown[:, :start].any() and not shown[:, stop:].any()
        if ACTIONS[scene.label] in GAITS:
            assert np.array_equal(np.isfinite(scene.phase), shown.any(axis=0))
            assert not shown[:, -1].all()
            at_once.append(shown[:, 0].all())
            assert shown.all(axis=0).sum() >= 4
            empty.append(start > 0 and stop < len(scene))
        else:
            whole.append(shown.all())
    assert 0.33 < np.mean(empty) < 0.6 and 0.07 < np.mean(at_once) < 0.22 and all(whole)


def test_observer_is_right_about_every_clip(scenes):
    assert len(scenes) == 600
    for number, scenario, scene in scenes:
        where = (ACTIONS[scene.label], number, scenario)
        assert observe(scene) == scene.label, where
        for frames in (16, 32):
            order = sample_frames(len(scene), frames)
            assert observe(scene, np.stack([order, order[::-1]])).tolist() == [scene.label] * 2, (
                where
            )
        if ACTIONS[scene.label] in GAITS:
            kinds = postures(scene)
            assert sum(kinds[k].any() for k in ("straight", "upright", "leaning")) == 1, where


def test_observer_sees_no_action_in_a_still_or_in_an_empty_view(scenes):
    for _, _, scene in scenes:
        stills = np.repeat(np.arange(len(scene))[:, None], 16, axis=1)
        if ACTIONS[scene.label] in GAITS:
            whole = in_view(scene).all(axis=0)
            np.testing.assert_array_equal(observe(scene, stills), np.where(whole, scene.label, -1))
        else:
            assert np.all(observe(scene, stills) == -1)


@settings(max_examples=60, deadline=None)
@given(cases, st.data())
def test_observer_asks_what_is_shown_and_not_when(case, data):
    scene = shoot(*case).sequences()[0]
    frames = st.integers(0, len(scene) - 1)
    order = np.array(data.draw(st.lists(frames, min_size=1, max_size=32)))
    shuffled = np.array(data.draw(st.permutations(order.tolist())))
    seen = observe(scene, np.stack([order, order[::-1], shuffled]))
    assert seen[0] == seen[1] == seen[2] and seen[0] in (-1, scene.label)
    frozen = np.minimum(np.arange(len(scene)), order[0])
    label = observe(scene, frozen[None])[0]
    if case[0] in GAITS:
        assert (label == scene.label) == in_view(scene).all(axis=0)[: order[0] + 1].any()
    assert observe(scene.take(frozen))[0] == label


def test_figures_are_drawn_where_their_joints_are():
    for k, (action, scenario) in enumerate(
        [(a, d) for a in ACTIONS for d in ("d1", "d2", "d3", "d4")]
    ):
        person = Subject(k + 1)
        taken = shoot(action, k + 1, scenario, k)
        ground = place(scenario, np.random.default_rng(k))
        clean = replace(ground, noise=0 * ground.noise, shade=0.0)
        frames, numbers = draw_film(taken, person, scenario, clean, np.random.default_rng(0))
        gone = replace(taken.scene, tracks=[replace(t, shown=0 * t.x) for t in taken.scene.tracks])
        empty, none = draw_film(
            taken._replace(scene=gone), person, scenario, clean, np.random.default_rng(0)
        )
        assert frames.shape == (len(taken.scene), 120, 160) and frames.dtype == np.uint8
        assert not none.any()
        changed, figure = np.abs(frames.astype(int) - empty) > 12, numbers > 0
        around = np.stack([cv2.dilate(m, np.ones((3, 3), np.uint8)) for m in numbers]) > 0
        assert (changed & ~around).sum() < 0.002 * figure.sum(), (action, scenario)  # soft edges
        assert (changed & figure).sum() > 0.9 * figure.sum(), (action, scenario)
        shown = in_view(taken.scene)
        assert not figure[~shown.any(axis=0)].any()
        for one, seen in zip(taken.scene.tracks, shown, strict=True):
            x, y = (np.floor(120 * v).astype(int)[seen] for v in taken.scene.seen(one))
            assert figure[np.flatnonzero(seen), y, x].all(), (action, scenario, one.name)
            if action == "handwaving" and one.name.endswith("hand"):
                part = PARTS.index(one.name.replace("hand", "arm")) + 1
                assert np.all(numbers[np.flatnonzero(seen), y, x] == part)


def test_shadow_and_noise_change_only_the_picture():
    taken, ground = shoot("boxing", 3, "d4", 0), place("d4", np.random.default_rng(0))
    kinds = (ground, replace(ground, shade=0.0), replace(ground, noise=0 * ground.noise))
    made = [draw_film(taken, Subject(3), "d4", kind, np.random.default_rng(0)) for kind in kinds]
    for frames, numbers in made[1:]:
        assert (frames != made[0][0]).any() and np.array_equal(numbers, made[0][1])


def test_validation_subjects_wear_what_no_training_subject_does():
    train, held_out = ({Subject(n).pattern for n in group} for group in SPLITS["paper"].values())
    assert train == {"plain", "yoke"} and held_out == {"stripes", "panel"}
    assert len({Subject(n).height for n in range(1, 26)}) == 25
    for number in (0, 26):
        with pytest.raises(ValueError, match=f"subject is {number}.*at most 25"):
            Subject(number)


def test_reader_finds_the_set_whole(rendered):
    index = read_kth(rendered, strict=True)
    assert not index.attrs["problems"]
    counts = index.groupby(["split", "label_name"]).size()
    assert counts.to_dict() == {(s, a): n for s, n in COUNTS.items() for a in ACTIONS}
    held_out = index["split"] == "validation"
    assert index["group"][held_out].min() >= 17 and index["group"][~held_out].max() <= 16
    truth = Truth(rendered)
    assert sorted(truth.clips.index) == sorted(index["clip_id"])
    for row in index.itertuples():
        clip = truth.clips.loc[row.clip_id]
        assert (clip["label"], clip["subject"]) == (row.label, row.group)
        assert clip["scenario"] == row.scenario and clip["frames"] == row.stop - row.start
        scene, masks = truth.scene(row.clip_id), truth.masks(row.clip_id)
        assert observe(scene)[0] == row.label and len(scene) == clip["frames"]
        assert masks.numbers.shape == (len(scene), 120, 160) and masks.names == list(PARTS)
        there = masks.of("joint").any(axis=(1, 2))
        assert np.array_equal(there, in_view(scene).any(axis=0))
    lines = (rendered / LIST).read_text().splitlines()[2:]
    assert all(re.fullmatch(r"person\d\d_\w+_d\d\t\tframes\t\d+-\d+(, \d+-\d+)*", x) for x in lines)


def test_files_hold_what_was_drawn(rendered):
    index, seed = read_kth(rendered), 4
    for path, rows in index.groupby("path"):
        promised = promised_frames(path)
        (whole,) = decode_sequences(path, [(0, promised)], promised, (120, 160))
        assert not whole.reason and whole.length == promised
        assert rows["stop"].max() <= promised
        spread = whole.frames[::9].astype(int)
        assert np.abs(spread - spread[..., :1]).max() <= 2  # grey
        row = rows.iloc[0]
        if row["scenario"] == "d1":
            k = row["label"]
            key = [seed, row["group"], k, 1]
            taken = shoot(ACTIONS[k], row["group"], "d1", [*key, 0], len(rows))
            ground = place("d1", np.random.default_rng([seed, row["group"], 1, 100]))
            drawn, _ = draw_film(
                taken, Subject(row["group"]), "d1", ground, np.random.default_rng([*key, 1])
            )
            assert np.abs(whole.frames[..., 0].astype(int) - drawn).mean() < 3


def test_processes_and_interruptions_leave_no_trace(rendered, tmp_path):
    whole = files(rendered)
    render_kth_mini(tmp_path, clips_per_class=COUNTS, seed=4, processes=1)
    assert files(tmp_path) == whole
    videos = sorted(tmp_path.glob("*.avi"))
    videos[0].unlink()
    videos[4].write_bytes(videos[4].read_bytes()[:3000])
    videos[5].write_bytes(b"")
    (tmp_path / f".part-0123abcd-{videos[0].name}").write_bytes(b"half")
    (tmp_path / LIST).unlink()
    kept = videos[7].stat().st_mtime_ns
    render_kth_mini(tmp_path, clips_per_class=COUNTS, seed=4, processes=2)
    assert files(tmp_path) == whole and videos[7].stat().st_mtime_ns == kept


def test_every_subject_and_scenario_comes_before_any_comes_again():
    jobs = plan({"train": 256, "validation": 144})
    assert len(jobs) == len(set(jobs)) == 600
    assert {n for *_, n in jobs} == {4}
    some = plan({"train": 66, "validation": 36})
    of_one = [job for job in some if job[1] == "boxing" and job[0] < 17]
    assert sorted(n for *_, n in of_one) == 62 * [1] + 2 * [2]
    assert {(number, scenario) for number, _, scenario, _ in of_one} == {
        (number, scenario) for number in range(1, 17) for scenario in SCENARIOS
    }
    assert {n for number, *_, n in some if number > 16} == {1}
    few = [job for job in plan({"train": 5, "validation": 1}) if job[1] == "walking"]
    assert [(number, n) for number, *_, n in few] == [(k, 1) for k in (1, 2, 3, 4, 5, 17)]
    for split, n, most in (("train", 257, 256), ("validation", 145, 144)):
        wanted = {"train": 1, "validation": 1, split: n}
        with pytest.raises(ValueError, match=rf"{split}.* is {n}: .* at most {most}"):
            plan(wanted)


def test_avi_is_written_byte_for_byte_the_same(tmp_path):
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(60, 200, (9, 6, 8, 1)), 3, axis=3).astype(np.uint8)
    frames = frames.repeat(8, axis=1).repeat(8, axis=2)
    for name in ("a.avi", "b.avi"):
        write_avi(tmp_path / name, frames)
    assert (tmp_path / "a.avi").read_bytes() == (tmp_path / "b.avi").read_bytes()
    assert promised_frames(tmp_path / "a.avi") == 9
    (back,) = decode_sequences(tmp_path / "a.avi", [(0, 9)], 9, (48, 64))
    assert np.abs(back.frames.astype(int) - frames).mean() < 4

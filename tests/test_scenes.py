"""The rendered scenes: the states of a scene must show its class."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from vidlib.rendered import intervals, states
from vidlib.rendered.something import looks
from vidlib.rendered.something.draw import draw
from vidlib.rendered.something.looks import SPRITE, Look, background, sprite
from vidlib.rendered.something.scripts import CLASSES, FRAMES, compose

labels = st.sampled_from(sorted(CLASSES))
seeds = st.integers(0, 10_000)


def scene_of(label, seed):
    return compose(label, np.random.default_rng([seed, label]))


def seen(scene, name):
    """Position of a track as the camera sees it, (T, 2)."""
    return np.stack(scene.seen(scene[name]), axis=1)


def moved(values, scene):
    """Change from before the event to after it."""
    start, stop = scene.event
    return values[stop - 1] - values[start]


@settings(max_examples=60, deadline=None)
@given(labels, seeds)
def test_lengths_and_event_lie_in_the_promised_ranges(label, seed):
    scene = scene_of(label, seed)
    assert FRAMES[0] <= len(scene) <= FRAMES[1]
    start, stop = scene.event
    assert 0 < start < stop < len(scene)
    for track in scene.tracks:
        for values in (track.x, track.y, track.size, track.angle, track.grip):
            assert values.shape == (len(scene),)
            assert np.isfinite(values).all()
        assert ((track.grip >= 0) & (track.grip <= 1)).all()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("label", "axis", "sign"), [(93, 0, 1), (94, 0, -1), (45, 1, -1), (43, 1, 1)]
)
def test_the_object_goes_where_the_label_says(label, axis, sign, seed):
    scene = scene_of(label, seed)
    track = scene["object_a"]
    assert sign * moved((track.x, track.y)[axis], scene) > 0.2


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("label", "change"), [(36, 1), (37, -1), (38, -1)])
def test_two_objects_part_or_meet(label, change, seed):
    scene = scene_of(label, seed)
    gap = np.linalg.norm(seen(scene, "object_a") - seen(scene, "object_b"), axis=1)
    assert change * moved(gap, scene) > 0.15


@pytest.mark.parametrize("seed", range(8))
def test_only_colliding_objects_touch(seed):
    def least_gap(label):
        scene = scene_of(label, seed)
        gap = np.linalg.norm(seen(scene, "object_a") - seen(scene, "object_b"), axis=1)
        return gap.min() - scene["object_a"].size[0]

    assert least_gap(38) <= 0
    assert least_gap(37) > 0
    assert least_gap(39) >= 0


@pytest.mark.parametrize("seed", range(8))
def test_passing_objects_change_sides(seed):
    scene = scene_of(39, seed)
    side = seen(scene, "object_a")[:, 0] - seen(scene, "object_b")[:, 0]
    assert side[0] * side[-1] < 0


@pytest.mark.parametrize("seed", range(8))
def test_taking_takes_and_pretending_does_not(seed):
    taken, left = scene_of(147, seed), scene_of(81, seed)
    assert not (seen(taken, "object_a")[-1] > 0).all() or (seen(taken, "object_a")[-1] > 1).any()
    assert moved(left["object_a"].x, left) == 0 and moved(left["object_a"].y, left) == 0
    # and the hand does the same in both, up to chance: it comes, closes, and leaves
    for scene in (taken, left):
        distance = np.linalg.norm(seen(scene, "hand_a") - 0.5, axis=1)
        assert distance[0] > 0.7 and distance[-1] > 0.7 and distance.min() < 0.4
        assert scene["hand_a"].grip[-1] == 1


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("label", "axis", "sign"), [(167, 0, 1), (166, 0, -1), (165, 1, 1), (168, 1, -1)]
)
def test_the_camera_turns_and_the_table_moves_the_other_way(label, axis, sign, seed):
    scene = scene_of(label, seed)
    assert sign * moved(scene.camera[:, axis], scene) > 0.2
    assert sign * moved(seen(scene, "object_a")[:, axis], scene) < -0.2


@pytest.mark.parametrize("seed", range(8))
def test_turning_upside_down_is_half_a_turn(seed):
    scene = scene_of(164, seed)
    turn = scene["object_a"].angle
    assert abs(turn[-1] - turn[0]) == pytest.approx(np.pi)


@pytest.mark.parametrize("seed", range(8))
def test_the_buried_object_ends_inside_the_heap(seed):
    scene = scene_of(4, seed)
    gap = seen(scene, "object_a")[-1] - seen(scene, "heap")[-1]
    assert np.abs(gap).max() < 0.1


@settings(max_examples=30, deadline=None)
@given(labels, seeds)
def test_reversing_twice_gives_the_scene_back(label, seed):
    scene = scene_of(label, seed)
    twice = scene.reversed(0).reversed(label)
    assert twice.event == scene.event
    assert states(twice).equals(states(scene))


@pytest.mark.parametrize(("one", "other"), [(36, 37), (45, 43), (93, 94), (167, 166), (165, 168)])
def test_mirror_classes_show_the_same_frames(one, other):
    """The same random numbers give the same set of frames, in reverse order."""
    scene = compose(one, np.random.default_rng(3))
    mirror = compose(other, np.random.default_rng(3))
    assert states(mirror.reversed(one)).equals(states(scene))


def test_states_say_what_is_in_view():
    scene = scene_of(147, 1)
    table = states(scene)
    assert len(table) == len(scene) * len(scene.tracks)
    last = table[(table["name"] == "object_a") & (table["frame"] == len(scene) - 1)]
    assert not last["in_view"].item()


def test_events_lie_all_over_the_clips():
    """A mask that always guesses the middle must not be right."""
    middles, durations = [], []
    for seed in range(200):
        scene = scene_of(45, seed)
        middles.append(sum(scene.event) / 2 / len(scene))
        durations.append((scene.event[1] - scene.event[0]) / len(scene))
    assert min(middles) < 0.32 and max(middles) > 0.7 and 0.47 < np.mean(middles) < 0.55
    assert min(durations) < 0.27 and max(durations) > 0.47


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("label", sorted(CLASSES))
def test_the_event_is_when_things_move(label, seed):
    """Hands come before it and leave after it; the object or the camera moves during it."""
    scene = scene_of(label, seed)
    acting = [one for one in scene.tracks if one.role == "object"]
    speed = np.zeros(len(scene))
    for one in acting:
        turning = one.size / 2 * np.abs(np.gradient(one.angle))
        speed += np.hypot(np.gradient(one.x), np.gradient(one.y)) + turning
    start, stop = scene.event
    if label == 81:  # nothing moves but the hand
        hand = scene["hand_a"]
        speed = np.hypot(np.gradient(hand.x), np.gradient(hand.y))
        assert speed[start:stop].max() > 0.01 and speed[stop + 1 :].max() < 1e-9
    elif CLASSES[label].pan == (0, 0):
        outside = np.r_[speed[: max(0, start - 1)], speed[stop + 1 :]]
        assert speed[start:stop].max() > 0.005 and (outside < 1e-9).all()
    else:
        steps = np.hypot(*np.gradient(scene.camera, axis=0).T)
        assert steps[start:stop].max() > 2 * np.r_[steps[:start], steps[stop:]].mean()
    moving = intervals(scene.moving())
    assert any(a < stop and b > start for a, b in moving)


def arrows(scene):
    """Everything besides the event that might show the direction of time, and should not."""
    start, stop = scene.event
    found = {"event starts": start / len(scene), "event ends": stop / len(scene)}
    found["event's middle"] = (start + stop) / 2 / len(scene)
    found["frames"] = len(scene)
    for one in scene.tracks:
        if one.role == "distractor":
            turn = np.sign(np.diff(one.angle)).mean()
            found |= {f"{one.name} spins": turn, f"{one.name} goes right": one.x[-1] - one.x[0]}
            found[f"{one.name} goes down"] = one.y[-1] - one.y[0]
        if one.role == "hand":
            there = np.flatnonzero(scene.in_view(one))
            found[f"{one.name} comes"] = there[0] / len(scene) if len(there) else -1
            found[f"{one.name} goes"] = there[-1] / len(scene) if len(there) else -1
            found[f"{one.name} arm"] = one.angle[0]
    if CLASSES[scene.label].pan == (0, 0):
        drift = scene.camera[-1] - scene.camera[0]
        found |= {"camera drifts right": drift[0], "camera drifts down": drift[1]}
    return found


@pytest.mark.parametrize(("one", "other"), [(36, 37), (45, 43), (93, 94), (167, 166), (165, 168)])
def test_only_the_event_shows_the_direction_of_time(one, other):
    """Forwards and backwards have one distribution; two clips of one seed would not show it."""
    seen = {}
    for k, label in enumerate((one, other)):
        for seed in range(300):
            for name, value in arrows(scene_of(label, 1000 * k + seed)).items():
                seen.setdefault(name, ([], []))[k].append(value)
    assert len(seen) > 8
    for name, (forwards, backwards) in seen.items():
        assert min(len(forwards), len(backwards)) > 30, name
        assert ks_2samp(forwards, backwards).pvalue > 0.05 / 5 / len(seen) / 10, name


def test_hands_come_and_go():
    for label in CLASSES:
        for seed in range(60):
            scene = scene_of(label, seed)
            for one in scene.tracks:
                if one.role == "hand":
                    there = scene.in_view(one)
                    assert not there[0] and not there[-1], (label, seed)


def test_intervals_by_hand():
    assert intervals(np.array([1, 1, 0, 0, 1, 0, 1], bool)) == [(0, 2), (4, 5), (6, 7)]
    assert intervals(np.zeros(3, bool)) == []
    assert intervals(np.ones(3, bool)) == [(0, 3)]


def test_contacts_by_hand():
    scene = scene_of(38, 0)
    touching = scene.contacts(scene["object_a"]) == "object_b"
    gap = np.hypot(*(seen(scene, "object_a") - seen(scene, "object_b")).T)
    assert (touching == (gap - scene["object_a"].size < 0.03)).all() and touching.any()
    holding = scene.contacts(scene["hand_a"]) == "object_a"
    start, stop = scene.event
    assert holding[start:stop].all() and not holding[0] and not holding[-1]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_sprites_are_premultiplied_and_have_a_lid(split):
    rng = np.random.default_rng(0)
    for _ in range(20):
        picture, name = sprite(rng, split)
        assert picture.shape == (SPRITE, SPRITE, 4) and len(name.split()) == 2
        alpha = picture[..., 3]
        assert alpha.min() >= 0 and alpha.max() == 1
        assert (picture[..., :3] <= 255 * alpha[..., None] + 1e-3).all()
        half = SPRITE // 2
        top, bottom = picture[:half, :, :3].sum((0, 1)), picture[half:, :, :3].sum((0, 1))
        assert np.abs(top - bottom).max() > 1000


def test_validation_looks_never_occur_in_training():
    for kinds in (looks.SHAPES, looks.TEXTURES, looks.BACKGROUNDS):
        assert not set(kinds["train"]) & set(kinds["validation"])


@pytest.mark.parametrize("split", ["train", "validation"])
def test_backgrounds_are_colours(split):
    for seed in range(10):
        ground = background(np.random.default_rng(seed), split, 64)
        assert ground.shape == (64, 64, 3) and ground.dtype == np.uint8
        assert ground.std() > 1


def drawn(label, seed, size=112, **changes):
    """A scene, its frames and masks; changes: new x of some tracks."""
    scene = scene_of(label, seed)
    look = Look(scene, np.random.default_rng(seed), "train", size)
    for name, x in changes.items():
        scene[name].x = x(scene[name].x)
    return scene, *draw(scene, look, size)


def test_an_object_is_drawn_where_the_truth_says():
    """Moving one object changes only the pixels under its old and new mask, except at edges."""
    _, before, masks = drawn(45, 5)
    _, after, moved_masks = drawn(45, 5, object_a=lambda x: x + 0.3)
    changed = np.abs(after.astype(int) - before).max(axis=-1) > 24
    where = masks.of("object_a") | moved_masks.of("object_a")
    assert changed.sum() > 500 and (changed & where).sum() > 0.8 * changed.sum()
    grown = np.stack([cv2.dilate(one.astype(np.uint8), np.ones((3, 3))) for one in where]) > 0
    assert not (changed & ~grown).any()


@pytest.mark.parametrize("label", [4, 36, 38, 147, 164, 165])
def test_masks_lie_where_the_states_say(label):
    scene, _, masks = drawn(label, 2)
    y, x = (np.mgrid[0:112, 0:112] + 0.5) / 112
    for one in scene.tracks:
        if one.role in ("hand", "heap"):
            continue
        seen_x, seen_y = scene.seen(one)
        where = masks.of(one.name)
        for t in range(len(scene)):
            reach = np.hypot(x - seen_x[t], y - seen_y[t])[where[t]]
            assert (reach < 0.75 * one.size[t] + 0.02).all()
        if not scene.in_view(one).any() and (np.hypot(seen_x - 0.5, seen_y - 0.5) > 1).all():
            assert not where.any()


def test_the_thing_on_top_is_the_one_that_is_seen():
    """A hand that grips an object hides part of it, and the masks show it."""
    scene, _, masks = drawn(45, 3)
    start, stop = scene.event
    middle = (start + stop) // 2
    alone = masks.of("object_a")[0].sum()
    held = masks.of("object_a")[middle].sum()
    assert 0 < held < alone and masks.of("hand")[middle].sum() > 100
    assert not masks.of("hand")[0].any()


def test_mirror_classes_are_drawn_from_the_same_pictures():
    """Before the codec, the frames of a class and of its mirror are one set of pictures."""
    scene = compose(93, np.random.default_rng(4))
    mirror = compose(94, np.random.default_rng(4))
    dressed = [Look(s, np.random.default_rng(1), "train", 64) for s in (scene, mirror)]
    one, other = (draw(s, look, 64)[0] for s, look in zip((scene, mirror), dressed, strict=True))
    assert np.array_equal(one, other[::-1])

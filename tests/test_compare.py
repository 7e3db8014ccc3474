"""The statistics of the comparison, against numbers worked out by hand."""

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from vidlib.compare import (
    against_truth,
    blob_statistics,
    bootstrap_interval,
    find_blobs,
    paired_difference,
    per_class,
    saliency_on_actors,
    score_drops,
    table_2,
)
from vidlib.rendered import InstanceMasks, Scene, Truth
from vidlib.rendered.scene import track
from vidlib.rendered.something.observer import observe
from vidlib.rendered.truth import write_masks, write_truth


def test_what_a_class_turns_into():
    forward = torch.eye(2)[[0, 0, 0, 1]]
    backward = torch.eye(2)[[1, 1, 0, 1]]
    outputs = torch.tensor([0, 0, 0, 1])
    table = per_class(
        {"forward": forward, "reversed": backward}, outputs, [93, 94], {93: "a", 94: "b"}
    )
    turned = table.set_index(["label", "direction"]).loc[(93, "reversed")]
    assert (turned["turns_into"], turned["clips"]) == (94, 3)
    assert turned["turns_into_share"] == pytest.approx(2 / 3)
    assert turned["top1"] == pytest.approx(1 / 3)
    assert turned["f1"] == pytest.approx(0.5)
    assert table.set_index(["label", "direction"])["guessed"].tolist() == [0.75, 0.25, 0.25, 0.75]


def square(x, y, side=30, value=1.0):
    saliency = np.zeros((224, 224))
    saliency[y : y + side, x : x + side] = value
    return saliency


def disc(x, y, radius, value=1.0):
    return value * (np.hypot(*(np.mgrid[0:224, 0:224] - [[[y]], [[x]]])) <= radius)


def test_blobs_are_bright_and_where_they_are():
    blobs = find_blobs(disc(40, 60, 15) + disc(170, 140, 25, value=0.9)).sort_values("x")
    assert blobs["x"].tolist() == pytest.approx([40, 170], abs=1)
    assert blobs["y"].tolist() == pytest.approx([60, 140], abs=1)
    assert blobs["size"].tolist() == pytest.approx([30, 50], abs=2)


def test_blobs_at_the_border_and_of_any_size_count():
    assert len(find_blobs(square(0, 0))) == 1
    assert len(find_blobs(np.ones((7, 7)))) == 1
    assert len(find_blobs(np.zeros((7, 7)))) == 0


def test_opencv_as_it_comes_would_find_none():
    import cv2

    image = (255 * square(80, 80)).astype(np.uint8)
    assert len(cv2.SimpleBlobDetector_create().detect(image)) == 0
    assert len(find_blobs(square(80, 80))) == 1


def test_blobs_of_oblong_maps_are_as_long_as_they_are():
    """A disc drawn in the right proportions stays one, and the middle is the middle."""
    y, x = np.mgrid[:168, :224]
    there = (np.hypot(x - 111.5, y - 83.5) < 20).astype(float)
    found = blob_statistics(cv2.resize(there, (112, 84))[None])
    assert found["blob_size"] == pytest.approx(40, abs=2)
    assert found["centre_distance"] == pytest.approx(0, abs=1.5)


def test_blob_statistics_by_hand():
    centred, corner = square(97, 97), square(0, 0)
    found = blob_statistics(np.stack([centred, centred + corner, np.zeros((224, 224))]))
    assert found["blob_count"] == 1  # 1, 2 and 0
    far = np.hypot(97, 97)
    assert found["centre_distance"] == pytest.approx(far / 3, abs=1.5)
    nothing = blob_statistics(np.zeros((2, 8, 8)))
    assert nothing["blob_count"] == 0 and np.isnan(nothing["blob_size"])


def test_drops_by_hand():
    clips = pd.DataFrame(
        {"OS": [0.9, 0.5, 0.5, 0.2], "FS": [0.1, 0.3, 0.495, 0.1], "RS": [0.5, 0.6, 0.1, 0.195]}
    )
    found = score_drops(clips)
    assert found["drop_difference"].tolist() == pytest.approx([0.4, 0.3, -0.395, 0.095])
    assert found["drop_ratio"][0] == pytest.approx(2.0)
    assert found["drop_ratio"][1:].isna().all()  # a drop of -0.1, of 0.005, and of 0.005


def clip_table(offset=0.0, count=30):
    rng = np.random.default_rng(0)
    columns = ("mask_length", "drop_ratio", "drop_difference", "blob_count", "blob_size")
    table = pd.DataFrame({c: rng.normal(5, 1, count) for c in columns})
    table["centre_distance"] = np.nan
    table["mask_length"] += offset
    return table.assign(clip_id=[str(i) for i in range(count)])


def test_table_2_is_mean_and_standard_deviation():
    clips = clip_table()
    clips.loc[0, "drop_ratio"] = np.nan
    table = table_2(clips).set_index("measure")
    assert table.loc["mask_length", "mean"] == pytest.approx(np.mean(clips["mask_length"]))
    assert table.loc["mask_length", "std"] == pytest.approx(np.std(clips["mask_length"], ddof=1))
    assert table["clips"].tolist() == [30, 29, 30, 30, 30, 0]


def test_paired_differences_see_what_pairing_shows():
    """The same clips, one network's masks longer by about 0.3: far less than clips differ."""
    one, two = clip_table(0.3), clip_table()
    two["mask_length"] += np.random.default_rng(1).normal(0, 0.1, 30)
    found = paired_difference(one, two.sample(frac=1, random_state=0), seed=0).set_index("measure")
    assert found.loc["mask_length", "difference"] == pytest.approx(0.3, abs=0.06)
    assert 0.2 < found.loc["mask_length", "low"] < found.loc["mask_length", "high"] < 0.4
    assert found.loc["blob_size", "difference"] == 0
    assert found.loc["centre_distance", "clips"] == 0
    assert np.isnan(found.loc["centre_distance", "low"])
    few = paired_difference(one[:9], two[:9], seed=0).set_index("measure").loc["mask_length"]
    assert few["clips"] == 9 and few["difference"] > 0.2
    assert np.isnan([few["low"], few["high"]]).all()  # too few to say


def test_different_clips_are_not_compared():
    with pytest.raises(ValueError, match="different clips: use the same"):
        paired_difference(clip_table(), clip_table(count=29), seed=0)


def test_bootstrap_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        low, high = bootstrap_interval(rng.normal(1.0, 2.0, 40), seed)
        hits += low <= 1.0 <= high
    assert 0.88 <= hits / 200 <= 0.98


def squares(*places, side=32, frames=4):
    """Masks with a thing, 8 pixels wide and high, at each (x, y, role), the later ones on top."""
    numbers = np.zeros((frames, side, side), np.uint8)
    for k, (x, y, _) in enumerate(places, 1):
        numbers[:, y : y + 8, x : x + 8] = k
    roles = [role for *_, role in places]
    return InstanceMasks(numbers, [f"thing_{k}" for k in range(len(places))], roles)


def test_saliency_on_actors_is_one_for_a_blind_map_and_more_on_target():
    masks = squares((4, 4, "object"), (20, 20, "distractor"))
    blind = np.ones((4, 32, 32))
    assert saliency_on_actors(blind, masks) == pytest.approx({"actors": 1.0, "distractors": 1.0})
    aimed = np.zeros((4, 32, 32))
    aimed[:, 6:8, 6:8] = 1
    found = saliency_on_actors(aimed, masks)
    assert found == pytest.approx({"actors": 16.0, "distractors": 0.0})  # 1/16 of the picture
    assert np.isnan(saliency_on_actors(np.zeros((4, 32, 32)), masks)["actors"])
    assert np.isnan(saliency_on_actors(blind, squares((4, 4, "object")))["distractors"])


def test_what_is_hidden_does_not_count():
    masks = squares((4, 4, "object"), (8, 4, "distractor"))  # over the object's right half
    aimed = np.zeros((4, 32, 32))
    aimed[:, 4:12, 8:12] = 1
    found = saliency_on_actors(aimed, masks)
    assert found["actors"] == 0 and found["distractors"] > 1


def test_a_coarse_map_is_held_against_the_share_that_things_cover():
    """Cells of 8 pixels: the object covers a quarter of each of four cells."""
    masks = squares((4, 4, "hand"))
    aimed = np.zeros((4, 4, 4))
    aimed[:, 0, 0] = 1
    assert saliency_on_actors(aimed, masks)["actors"] == pytest.approx(0.25 / (1 / 16))


def test_saliency_is_held_against_the_right_frame():
    """Eight frames sampled to four: the object is where it is at frames 0, 2, 5 and 7."""
    numbers = np.zeros((8, 20, 20), np.uint8)
    maps = np.zeros((4, 20, 20))
    for i, (frame, column) in enumerate([(0, 1), (2, 5), (5, 13), (7, 17)]):
        numbers[frame, 9:11, column : column + 2] = 1
        maps[i, 9:11, column : column + 2] = 1
    masks = InstanceMasks(numbers, ["hand_a"], ["hand"])
    assert saliency_on_actors(maps, masks)["actors"] == pytest.approx(100)


def test_a_blind_map_is_that_of_the_other_clips(tmp_path):
    """Two clips whose maps each lie on their own object: of the other's map, none does."""
    scenes = []
    (tmp_path / "truth/masks").mkdir(parents=True)
    for name, x, change in (("a", 4, 1), ("b", 20, 3)):
        y = np.where(np.arange(4) < change, 0.7, 0.3)
        thing = track("object_a", "object", 4, 0.5, y, 0.2)
        scenes.append((name, Scene(45, [thing], np.zeros((4, 2)), (change, change + 1))))
        write_masks(tmp_path, name, squares((x, 4, "object")))
    write_truth(tmp_path, scenes, [{}, {}])
    saliency = np.zeros((2, 4, 32, 32), np.uint8)
    saliency[0, :, 6:10, 6:10] = saliency[1, :, 6:10, 22:26] = 255
    masks = np.array([[0, 0, 0, 1], [0, 1, 1, 1.0]])  # of b and a
    # The tables hold the clips in another order.
    found = against_truth(Truth(tmp_path), observe, ["b", "a"], saliency[::-1], masks, masks[::-1])
    assert found["actors"].tolist() == [16, 16] and found["actors_blind"].tolist() == [0, 0]
    assert found["shortest"].tolist() == [1, 3]
    assert found["mask_removes"].tolist() == [1, 1] and found["start_removes"].tolist() == [1, 0]
    # of the windows of one frame, the last removes b; of those of three, both do with a's the last
    assert found["random_removes"].tolist() == [1 / 4, 1 / 2]

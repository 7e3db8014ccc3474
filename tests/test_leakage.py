"""The leakage gate: it catches a planted leak, passes sets without one, and its control works."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom

from vidlib.compare.leakage import PAIRS, gate, pair_table
from vidlib.data import load_clips, prepare_clips, read_something
from vidlib.data.clips import Clips, Frames
from vidlib.models.framewise import FrameAverage, FrameGRU
from vidlib.rendered import render_something_mini
from vidlib.training import Recipe

# Two pairs and a class without a mirror; scores of the columns 1, 2, 5, 7, 9.
CLASSES, SOME = [1, 2, 5, 7, 9], ((1, 2), (9, 7))
SCORES = [
    [0.5, 0.3, 0.2, 0.0, 0.0],  # 1: right
    [0.2, 0.4, 0.1, 0.2, 0.1],  # 1: its mirror is preferred; merged, right
    [0.1, 0.2, 0.6, 0.1, 0.0],  # 2: own above mirror, though another class wins
    [0.3, 0.0, 0.4, 0.1, 0.2],  # 9: own above mirror; merged, 5 wins
    [0.0, 0.1, 0.2, 0.3, 0.4],  # 9: right
    [0.0, 0.0, 0.4, 0.3, 0.3],  # 7: a tie is not above; merged, its pair wins
    [0.2, 0.1, 0.7, 0.0, 0.0],  # 5: right
]
LABELS = np.array([1, 1, 2, 9, 9, 7, 5])


def test_a_table_worked_by_hand():
    table = pair_table(torch.tensor(SCORES), LABELS, CLASSES, SOME)
    assert table["pair"].tolist() == ["1/2", "9/7", "all"]
    assert table["clips"].tolist() == [3, 3, 6]
    assert table["own"].tolist() == [2, 2, 4]
    assert table["share"].tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert table["merged"].tolist() == pytest.approx([2 / 3, 2 / 3, 5 / 7])
    assert table["chance"].tolist() == pytest.approx([3 / 7, 3 / 7, 3 / 7])
    assert not table["leaks"].any()


def scores_of(own, clips):
    """Scores of clips of one pair, of which `own` score their own class higher."""
    high = np.where(np.arange(clips) < own, 0.9, 0.1)
    labels = np.arange(clips) % 2 + 1
    first = np.where(labels == 1, high, 1 - high)
    return np.stack([first, 1 - first], axis=1), labels


@pytest.mark.parametrize("own", [0, 20, 28, 29, 40])
def test_intervals_are_exact(own):
    row = pair_table(*scores_of(own, 40), [1, 2], [(1, 2)]).iloc[-1]
    if own:
        assert binom.sf(own - 1, 40, row["low"]) == pytest.approx(0.025)
    if own < 40:
        assert binom.cdf(own, 40, row["high"]) == pytest.approx(0.025)
    assert row["leaks"] == (binom.sf(own - 1, 40, 0.5) < 0.025)


def test_single_pairs_have_wider_intervals_than_one_alone():
    """28 of 40 leak where there is one pair, but not where it is one of five."""
    scores, labels = scores_of(28, 40)
    alone = pair_table(scores, labels, [1, 2], [(1, 2)])
    assert alone["leaks"].all()
    more = np.hstack([scores, np.zeros((40, 8))])
    labels = np.concatenate([labels, np.repeat(np.arange(3, 11), 5)])
    even = np.zeros((40, 10))
    for row, label in enumerate(labels[40:]):
        even[row, label - 1 if row % 2 else (label - 1) ^ 1] = 1
    pairs = [(k, k + 1) for k in range(1, 10, 2)]
    table = pair_table(np.vstack([more, even]), labels, range(1, 11), pairs).set_index("pair")
    assert table.loc["1/2", "own"] == 28 and not table.loc["1/2", "leaks"]
    assert table.loc["1/2", "low"] < alone["low"][0]
    assert not table.loc["all", "leaks"]


@pytest.mark.parametrize(
    ("labels", "pairs", "said"),
    [(LABELS, [(1, 3)], "give pairs of those"), (LABELS, [], "give pairs"),
     (np.full(7, 5), SOME, "no clips of the pair 1/2")],
)  # fmt: skip
def test_pairs_without_clips_are_refused(labels, pairs, said):
    with pytest.raises(ValueError, match=said):
        pair_table(np.array(SCORES), labels, CLASSES, pairs)


# Classifiers


@pytest.mark.parametrize("size", [32, 56])
def test_logits_of_any_size_and_only_the_ordered_one_knows_the_order(size):
    torch.manual_seed(0)
    clips = torch.rand(3, 3, 6, size, size) * 2 - 1
    with torch.no_grad():
        average, ordered = FrameAverage(5).eval(), FrameGRU(5, shuffled=False).eval()
        assert average(clips).shape == ordered(clips).shape == (3, 5)
        assert torch.allclose(average(clips), average(clips.flip(2)), atol=1e-5)
        assert not torch.allclose(ordered(clips), ordered(clips.flip(2)), atol=1e-5)


def test_a_shuffled_clip_is_evaluated_the_same_in_any_batch_and_trained_in_many_orders():
    torch.manual_seed(0)
    clips = torch.rand(4, 3, 6, 16, 16) * 2 - 1
    network = FrameGRU(5, shuffled=True).eval()
    noise = network._noise(clips)
    assert torch.equal(network._noise(clips[2:]), noise[2:])
    assert len(torch.unique(noise.argsort(1), dim=0)) > 1  # each clip in an order of its own
    with torch.no_grad():
        assert torch.allclose(network(clips)[1:], network(clips[1:]), atol=1e-5)
    network.train()
    assert not torch.equal(network._noise(clips), network._noise(clips))


@pytest.mark.parametrize("shape", [(2, 3, 4, 32), (2, 1, 4, 32, 32), (2, 3, 4, 32, 8)])
def test_inputs_of_another_kind_are_refused(shape):
    with pytest.raises(ValueError, match=r"clips has shape .* give \(B, 3, T, H, W\)"):
        FrameAverage(2)(torch.zeros(shape))


# The gate


def toy_set(count, seed, leak=0):
    """Clips of two pairs of `PAIRS`: a spot goes right or left (93/94), down or up (43/45).

    Both directions are the same paths played forwards and backwards. leak: how much brighter, in
    grey levels, the frames of the first of each pair are.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.resize([93, 94, 43, 45], count))
    frames = rng.integers(60, 100, (count, 6, 16, 16, 3))
    for clip, label in zip(frames, labels, strict=True):
        begin, across = rng.integers(0, 4), rng.integers(0, 13)
        for t in range(6):
            along = begin + 2 * (t if label in (93, 43) else 5 - t)
            y, x = (across, along) if label in (93, 94) else (along, across)
            clip[t, y : y + 3, x : x + 3] = 250
        if label in (93, 43):
            clip += leak
    frames = np.clip(frames, 0, 255).astype(np.uint8)
    index = pd.DataFrame({"label": labels, "label_name": "x", "split": "train"})
    read = Frames(frames.__getitem__, np.arange(count), frames.shape[1:])
    return Clips(index, read, [43, 45, 93, 94])


RECIPE = Recipe(epochs=4, batch_size=16, lr=5e-3, seed=0, weight_decay=0.01)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("gate")
    clips = toy_set(600, 0), toy_set(200, 1)
    table = gate(*clips, folder, RECIPE)
    yield clips, folder, table
    torch.set_num_threads(threads)


def test_a_set_without_a_leak_passes_and_the_control_shows_that_order_was_there(clean):
    _, _, table = clean
    pooled = table[table["pair"] == "all"].set_index("classifier")
    assert table["pair"].tolist() == 3 * ["93/94", "45/43", "all"]
    blind = table[table["classifier"] != "ordered frames"]
    assert not blind["leaks"].any()
    assert pooled.loc["ordered frames", "leaks"]
    assert pooled.loc["ordered frames", "share"] > 0.9
    assert (pooled["chance"] == 0.5).all()


def test_a_planted_leak_is_caught_by_both_blind_classifiers(tmp_path, one_thread):
    table = gate(toy_set(300, 0, leak=12), toy_set(120, 1, leak=12), tmp_path, RECIPE)
    pooled = table[table["pair"] == "all"].set_index("classifier")
    assert pooled["leaks"].all() and (pooled["share"] > 0.8).all()


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Training and validation clips of something-mini, small."""
    root = tmp_path_factory.mktemp("rendered")
    counts = {"train": 8, "validation": 8}
    render_something_mini(root, clips_per_class=counts, size=48, seed=0, processes=2)
    prepare_clips(read_something(root), root / "prepared", frames=8, size=(32, 32), processes=2)
    clips = load_clips(root / "prepared")
    return clips.split("train"), clips.split("validation")


def brightened(clips, by):
    """The clips, those of the first class of each pair brighter by so many grey levels."""
    frames = np.asarray(clips.frames).astype(int)
    frames[np.isin(clips.index["label"], [one for one, _ in PAIRS])] += by
    frames = np.clip(frames, 0, 255).astype(np.uint8)
    read = Frames(frames.__getitem__, np.arange(len(frames)), frames.shape[1:])
    return Clips(clips.index, read, clips.classes)


@pytest.mark.soak
def test_the_renderer_does_not_leak_and_would_be_caught_if_it_did(rendered, tmp_path, one_thread):
    blind = ["average of frames", "shuffled frames"]
    table = gate(*rendered, tmp_path / "as it is", RECIPE)
    assert not table[table["classifier"].isin(blind)]["leaks"].any()
    leaky = gate(*(brightened(clips, 40) for clips in rendered), tmp_path / "leaky", RECIPE)
    pooled = leaky[leaky["pair"] == "all"].set_index("classifier")
    assert pooled.loc[blind, "leaks"].all()


def test_a_finished_gate_is_not_trained_again(clean, capsys):
    clips, folder, table = clean
    pd.testing.assert_frame_equal(gate(*clips, folder, RECIPE), table)
    assert "epoch" not in capsys.readouterr().out


def test_clips_without_a_mirrored_pair_are_refused(tmp_path):
    clips = toy_set(32, 0)
    alone = clips.subset(np.flatnonzero(np.isin(clips.index["label"], (43, 94))))
    alone = Clips(alone.index, alone.frames, [43, 94])
    with pytest.raises(ValueError, match="no mirrored pair"):
        gate(alone, alone, tmp_path, RECIPE)


def test_pairs_are_those_of_something_mini():
    from vidlib.rendered.something.scripts import CLASSES

    pairs = [(CLASSES[one], CLASSES[two]) for one, two in PAIRS]
    assert all(one.script is two.script and one.pan == two.pan for one, two in pairs)
    assert all(one.backwards != two.backwards for one, two in pairs)
    backwards = {number for number, one in CLASSES.items() if one.backwards}
    assert backwards <= {label for pair in PAIRS for label in pair}

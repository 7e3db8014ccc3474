"""What the errata say of the authors' programs, against plain loops; the paper's examples."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from benchmarks._published import frozen, published_start, score, variation
from vidlib.compare import paper, score_drops
from vidlib.explain import learn_masks
from vidlib.explain.published import start_masks, total_variation

pytestmark = pytest.mark.usefixtures("one_thread")


MASKS = arrays(np.float64, st.integers(3, 12), elements=st.sampled_from([0.0, 0.05, 0.2, 0.5, 0.9]))


@settings(deadline=None)
@given(MASKS)
def test_the_programs_total_variation_adds_both_neighbours_of_inner_frames(mask):
    mask = torch.from_numpy(mask)
    for beta in (2, 3):
        total = variation(mask, beta).item()
        assert total_variation(mask, beta).item() == pytest.approx(total)


@pytest.mark.parametrize("frames", [15, 16])
def test_the_programs_start_from_the_first_window_that_fails(frames):
    weights = torch.rand(20, frames, generator=torch.manual_seed(5)) ** 12
    weights[0] = 0.0
    weights[0, frames // 2] = 1.0  # one frame does it: no window fails
    weights[1] = 0.0
    weights[1, 0] = 1.0  # the first one tried fails

    def scores(masks):
        return 1 - (weights * masks).sum(1) / weights.sum(1)

    found = start_masks(scores, len(weights), frames).tolist()
    for row, window in zip(weights, found, strict=True):
        plain = published_start(lambda mask, row=row: 1 - row @ mask / row.sum(), frames)
        assert window == plain.tolist()
    assert len({tuple(window) for window in found}) > 3


def test_the_papers_procedure_starts_where_they_start():
    torch.manual_seed(0)
    clips = torch.randn(24, 1, 16, 2, 2)
    net = nn.Sequential(nn.Conv3d(1, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(384, 3))
    net.requires_grad_(False)
    learned = learn_masks(net, clips, procedure="paper", iterations=0)
    for clip, target, start in zip(clips, learned.targets, learned.start, strict=True):
        plain = published_start(lambda mask, c=clip, t=target: score(net, frozen(c, mask), t), 16)
        assert start.tolist() == plain.tolist()
    assert len({tuple(window) for window in learned.start.tolist()}) > 2


def test_a_clip_that_freezing_does_not_touch_starts_from_the_smallest_window():
    start = start_masks(lambda masks: torch.ones(len(masks)), 2, 16)
    assert start.sum(1).tolist() == [2, 2]


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_clips_too_short_to_shrink_start_whole(frames):
    clips = torch.randn(2, 1, frames, 2, 2)
    net = nn.Sequential(nn.Flatten(), nn.Linear(4 * frames, 3))
    learned = learn_masks(net, clips, procedure="paper", iterations=2)
    assert (learned.start == 1).all() and learned.mask.isfinite().all()


def test_the_papers_examples_agree_with_its_table_2():
    examples = paper.EXAMPLES
    assert examples.groupby("network").size().to_dict() == {"i3d": 30, "clstm": 30}
    scores = examples[["OS", "FS", "RS"]].to_numpy()
    assert (scores >= 0).all() and (scores <= 1).all()
    table = paper.TABLE_2.set_index(["measure", "network"])
    for network, rows in score_drops(examples).groupby(examples["network"]):
        for measure in ("drop_ratio", "drop_difference"):
            mean, std = table.loc[(measure, network), ["mean", "std"]]
            error = std / np.sqrt(rows[measure].count())
            assert rows[measure].mean() == pytest.approx(mean, abs=2 * error)

"""The errata chapter: the programs it writes anew, against plain loops; the paper's examples."""

import ast

import jupytext
import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from vidlib.compare import paper, score_drops
from vidlib.explain import freeze, learn_masks, perturb

pytestmark = pytest.mark.usefixtures("one_thread")


def functions():
    """The imports and functions of the chapter, without what it runs."""
    names = {}
    for cell in jupytext.read(ROOT / "notebooks/07_errata.md").cells:
        if cell.cell_type == "code":
            body = ast.parse(cell.source).body
            kept = [n for n in body if isinstance(n, ast.Import | ast.ImportFrom | ast.FunctionDef)]
            exec(compile(ast.Module(kept, []), "07_errata", "exec"), names)
    return names


CHAPTER = functions()
MASKS = arrays(np.float64, st.integers(3, 12), elements=st.sampled_from([0.0, 0.05, 0.2, 0.5, 0.9]))


@settings(deadline=None)
@given(MASKS)
def test_the_programs_total_variation_adds_both_neighbours_of_inner_frames(mask):
    total = 0
    for t in range(1, len(mask) - 1):
        total += abs(mask[t] - mask[t - 1]) ** 3 + abs(mask[t + 1] - mask[t]) ** 3
    assert CHAPTER["published_tv"](torch.from_numpy(mask)).item() == pytest.approx(total)


def start_by_hand(score, frames):
    """Shrink the window until it keeps less than 90 % of the whole drop; then take it."""
    original, whole = score([0] * frames), score([1] * frames)
    for edge in range(1, frames // 2):
        window = [0] * edge + [1] * (frames - 2 * edge) + [0] * edge
        if (original - score(window)) / (original - whole) < 0.9:
            break
    return window


@pytest.mark.parametrize("frames", [15, 16])
def test_the_programs_start_from_the_first_window_that_fails(frames):
    weights = torch.rand(20, frames, generator=torch.manual_seed(5)) ** 12
    weights[0] = 0.0
    weights[0, frames // 2] = 1.0  # one frame does it: no window fails
    weights[1] = 0.0
    weights[1, 0] = 1.0  # the first one tried fails

    def scores(masks):
        return 1 - (weights * masks).sum(1) / weights.sum(1)

    found = CHAPTER["published_start"](scores, len(weights), frames).tolist()
    for row, window in zip(weights.numpy(), found, strict=True):
        by_hand = start_by_hand(lambda mask, row=row: 1 - row @ mask / row.sum(), frames)
        assert window == by_hand
    assert len({tuple(window) for window in found}) > 3


def test_they_start_where_the_papers_procedure_starts():
    torch.manual_seed(0)
    clips = torch.randn(24, 1, 16, 2, 2)
    net = nn.Sequential(nn.Conv3d(1, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(384, 3))
    net.requires_grad_(False)
    learned = learn_masks(net, clips, procedure="paper", iterations=0)

    def scores(masks):
        logits = net(perturb(clips, freeze(masks)))
        return logits.softmax(1).gather(1, learned.targets[:, None]).squeeze(1)

    start = CHAPTER["published_start"](scores, len(clips))
    assert start.tolist() == learned.start.tolist()
    assert len({tuple(window) for window in start.tolist()}) > 2


def test_a_clip_that_freezing_does_not_touch_starts_from_the_smallest_window():
    start = CHAPTER["published_start"](lambda masks: torch.ones(len(masks)), 2)
    assert start.sum(1).tolist() == [2, 2]


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

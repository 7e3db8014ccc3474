"""The arrow of time: networks that show which way a clip is played, and networks that do not."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegressionCV
from torch import nn

from vidlib.compare import arrow_of_time, arrow_table
from vidlib.compare.arrow import PROBED, direction_features, entering_last_layer, probe, untrained
from vidlib.data.clips import Clips, Frames
from vidlib.models import CLSTM, I3D

pytestmark = pytest.mark.usefixtures("one_thread")


class Steps(nn.Module):
    """Shows its last layer the mean brightness of the frames: each, or their average."""

    def __init__(self, ordered):
        super().__init__()
        self.ordered = ordered
        self.linear = nn.Linear(8 if ordered else 1, 3)
        self.after = nn.Identity()

    def forward(self, clips):
        steps = clips.mean((1, 3, 4))
        return self.after(self.linear(steps if self.ordered else steps.mean(1, keepdim=True)))


def rising(count, seed):
    """Clips of eight frames that grow brighter, from some brightness, by some step."""
    rng = np.random.default_rng(seed)
    base, step = rng.integers(0, 100, count), rng.integers(5, 20, count)
    levels = (base[:, None] + step[:, None] * np.arange(8)).astype(np.uint8)
    frames = np.broadcast_to(levels[..., None, None, None], (count, 8, 4, 4, 3))
    index = pd.DataFrame({"clip_id": [f"{seed}-{i}" for i in range(count)], "group": None})
    index["label"] = index.index % 3
    index["label_name"] = "rising"
    return Clips(index, Frames(frames.__getitem__, np.arange(count), frames.shape[1:]), [0, 1, 2])


def test_a_network_that_shows_the_order_is_told_and_one_that_averages_is_not():
    train, validation = rising(60, 0), rising(40, 1)
    told = arrow_of_time(Steps(True), train, validation, seed=0)
    assert (told["trained"] == 1).all()
    assert told["clip_id"].tolist() == validation.index["clip_id"].tolist()
    blind = arrow_of_time(Steps(False), train, validation, seed=0)
    assert (blind["trained"] == 0.5).all()  # both copies look alike: right about one of the two
    share = arrow_table(blind).set_index("features")["share"]
    assert share.tolist() == [0.5, 0.5]


def test_features_that_only_noise_tells_apart_are_not_told():
    rng = np.random.default_rng(0)
    train, validation = rng.normal(size=(80, 2, 500)), rng.normal(size=(400, 2, 500))
    assert probe(train, validation).mean() == pytest.approx(0.5, abs=0.07)


def test_a_direction_among_many_features_is_found():
    rng = np.random.default_rng(0)
    train, validation = rng.normal(size=(80, 2, 2000)), rng.normal(size=(100, 2, 2000))
    for features in (train, validation):
        features[:, 0, :50] += 1.0
    assert probe(train, validation).mean() > 0.9


def test_features_that_never_vary_tell_nothing():
    assert probe(np.ones((4, 2, 3)), np.ones((5, 2, 3))).mean() == 0.5


def test_the_penalty_is_not_chosen_by_what_a_group_shares():
    """Every clip comes twice, its direction drawn by chance: only whole groups tell that."""
    rng = np.random.default_rng(0)
    train = rng.normal(size=(20, 2, 200)).repeat(2, axis=0)
    groups = np.repeat(np.arange(20), 2)
    chosen = []
    real = LogisticRegressionCV.fit

    def fit(model, *arguments):
        chosen.append(np.ravel(real(model, *arguments).C_)[0])
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LogisticRegressionCV, "fit", fit)
        probe(train, train, groups)
        probe(train, train)
        probe(train, train, np.zeros(40))  # one group cannot be parted: as without
    assert chosen[0] < chosen[1] == chosen[2]


def test_one_clip_is_too_few_to_probe():
    with pytest.raises(ValueError, match="the probe has 1 training clips: give it at least 2"):
        probe(np.ones((1, 2, 3)), np.ones((5, 2, 3)))


@pytest.mark.parametrize(
    ("network", "features"),
    [
        (I3D(3, width=1 / 16), 64),
        (CLSTM(3, frames=4, size=(16, 16), layers=2, hidden=4), 4 * 4),
    ],
    ids=["i3d", "clstm"],
)
def test_features_are_what_the_last_layer_sees_and_the_network_is_left_alone(network, features):
    clip = torch.rand(2, 3, 4, 16, 16) * 2 - 1
    network.train()
    with entering_last_layer(network) as seen:
        network(clip)
    assert seen[0].shape == (2, features)
    last = list(network.children())[-1]
    with pytest.raises(ZeroDivisionError), entering_last_layer(network):
        assert last._forward_pre_hooks
        raise ZeroDivisionError
    assert not last._forward_pre_hooks and network.training


def test_the_last_layer_on_the_features_gives_the_answer():
    network = CLSTM(3, frames=4, size=(16, 16), layers=2, hidden=4).eval()
    clip = torch.rand(2, 3, 4, 16, 16)
    with torch.no_grad(), entering_last_layer(network) as seen:
        logits = network(clip)
    assert torch.equal(network.linear(seen[0]), logits)


def test_both_copies_of_a_clip_are_its_own():
    features, positions = direction_features(Steps(True), rising(70, 0))
    assert features.shape == (70, 2, 8) and positions.tolist() == list(range(70))
    assert np.array_equal(features[:, 0], features[:, 1, ::-1])


def test_the_control_has_other_weights_and_the_network_keeps_its_own():
    network = I3D(3, width=1 / 16).eval()
    network.Conv3d_1a_7x7.bn.running_mean.fill_(5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    fresh, again = untrained(network, 0), untrained(network, 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, network.state_dict()[n]) for n, value in before.items())
    assert (fresh.Conv3d_1a_7x7.bn.running_mean == 0).all()
    for one, other, own in zip(
        fresh.parameters(), again.parameters(), network.parameters(), strict=True
    ):
        assert torch.equal(one, other)
        assert one.dim() == 1 or not torch.equal(one, own)


def test_clips_are_drawn_by_the_seed_and_no_more_than_enough():
    train, validation = rising(20, 0), rising(PROBED + 20, 1)
    draws = [
        arrow_of_time(Steps(True), train, validation, seed=s)["clip_id"].tolist() for s in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert len(set(draws[0])) == PROBED


def test_the_interval_of_a_share_is_the_exact_one():
    clips = pd.DataFrame({"trained": [1.0] * 7 + [0.0] * 3, "untrained": [0.5] * 10})
    found = arrow_table(clips).set_index("features")
    exact = binomtest(7, 10).proportion_ci(method="exact")
    assert found.loc["trained", ["low", "high"]].tolist() == pytest.approx([exact.low, exact.high])
    assert found.loc["trained", "share"] == pytest.approx(0.7)
    sure = arrow_table(pd.DataFrame({"trained": [1.0] * 5, "untrained": [0.0] * 5}))
    assert sure["high"].tolist()[0] == 1 and sure["low"].tolist()[1] == 0
    assert sure["low"].tolist()[0] == pytest.approx(0.025**0.2)

"""Training: it learns, it resumes to the very same weights, it stops where it must."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from vidlib.data.clips import Clips, Frames
from vidlib.data.video import VideoError
from vidlib.models.store import load_network, save_network
from vidlib.training import TrainingError, fit


def toy_clips(count=48, seed=0, decoded=False, broken=()):
    """Two classes that only differ in whether the first or the last frame is bright."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 80, (count, 4, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(count) % 2
    frames[labels == 0, 0] += 150
    frames[labels == 1, -1] += 150
    index = pd.DataFrame({"label": labels + 10, "label_name": "x", "split": "train"})

    def read(row):
        if row in broken:
            raise VideoError(f"{row}.webm: is cut off")
        return frames[row]

    return Clips(index, Frames(read, np.arange(count), frames.shape[1:], decoded), [10, 11])


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(3 * 4 * 64, 8), nn.ReLU(), nn.Dropout(0.2)
        )
        self.head = nn.Linear(8, 2)

    def forward(self, clips):
        return self.head(self.body(clips))


SETTINGS = {"epochs": 4, "batch_size": 8, "lr": 0.01, "weight_decay": 0.0, "seed": 1}


def trained(folder, network=None, **changes):
    torch.manual_seed(0)
    network = network or Toy()
    history = fit(network, toy_clips(), toy_clips(16, 1), folder, **{**SETTINGS, **changes})
    return network, history


def test_it_learns_what_can_be_learned(tmp_path):
    _, history = trained(tmp_path)
    assert [row["epoch"] for row in history] == [0, 1, 2, 3]
    assert history[-1]["validation_accuracy"] == 1.0
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]


def test_decoding_workers_change_nothing_but_the_speed(tmp_path):
    stored, history = trained(tmp_path / "stored")
    torch.manual_seed(0)
    streamed = Toy()
    clips = toy_clips(decoded=True), toy_clips(16, 1, decoded=True)
    told = fit(streamed, *clips, tmp_path / "streamed", **SETTINGS)
    assert told == history
    for one, other in zip(stored.parameters(), streamed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_clips_that_break_while_it_trains_are_counted_and_left_out(tmp_path, capsys):
    torch.manual_seed(0)
    # The first two validation batches are lost whole.
    clips = toy_clips(broken=(3, 5)), toy_clips(24, 1, broken=range(16))
    history = fit(Toy(), *clips, tmp_path, **SETTINGS)
    assert len(history) == 4 and np.isfinite(history[-1]["train_loss"])
    said = capsys.readouterr().out
    assert said.count("18 clips could not be read, first: ") == 4


class Killed(Exception):
    """Stands for the process being killed."""


@pytest.mark.parametrize("batches", [14, 20])
def test_killed_and_resumed_ends_with_the_same_weights(tmp_path, batches):
    """Killed in the third and in the fourth epoch (six batches each): nothing of it shows."""
    whole, history = trained(tmp_path / "whole")
    calls = 0

    def kill(module, _):
        nonlocal calls
        calls += module.training
        if calls > batches:
            raise Killed

    torch.manual_seed(0)
    network = Toy()
    hook = network.register_forward_pre_hook(kill)
    with pytest.raises(Killed):
        trained(tmp_path / "killed", network)
    hook.remove()
    torch.manual_seed(123)  # a new process starts from anywhere
    network, resumed = trained(tmp_path / "killed", Toy())
    for name, value in whole.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name
    assert resumed == history


def test_the_seed_decides(tmp_path):
    one, _ = trained(tmp_path / "a")
    two, _ = trained(tmp_path / "b")
    other, _ = trained(tmp_path / "c", seed=2)
    assert torch.equal(one.head.weight, two.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path):
    class Spoiled(Toy):
        calls = 0

        def forward(self, clips):
            self.calls += self.training
            return super().forward(clips) * (float("nan") if self.calls > 8 else 1)

    with pytest.raises(
        TrainingError, match=r"the loss is nan in epoch 1; .* lower the learning rate"
    ):
        trained(tmp_path, Spoiled())
    assert (tmp_path / "last.ckpt").exists()


def test_no_clips_to_judge_by_are_refused_before_any_work(tmp_path):
    nothing = toy_clips().subset(np.array([], int))
    with pytest.raises(ValueError, match="no validation clips to judge by: add some"):
        fit(Toy(), toy_clips(), nothing, tmp_path, **SETTINGS)
    assert not list(tmp_path.iterdir())


def test_too_few_clips_are_refused(tmp_path):
    with pytest.raises(ValueError, match="48 training clips do not fill a batch of 64"):
        trained(tmp_path, batch_size=64)


@pytest.mark.parametrize(
    ("name", "arguments", "size"),
    [
        ("i3d", {"num_classes": 3, "width": 0.05, "spatial_strides": (2, 2, 1, 1, 1)}, 32),
        ("clstm", {"num_classes": 3, "frames": 4, "size": (64, 64), "hidden": 2}, 64),
    ],
)
def test_a_network_is_rebuilt_from_its_folder(tmp_path, name, arguments, size):
    from vidlib.models.store import build_network

    network = build_network(name, arguments).eval()
    save_network(network, tmp_path, name, arguments)
    assert {p.suffix for p in tmp_path.iterdir()} == {".safetensors", ".json"}
    clip = torch.randn(1, 3, 4, size, size)
    again = load_network(tmp_path)
    assert not again.training
    with torch.inference_mode():
        assert torch.equal(network(clip), again(clip))


def test_an_untrained_folder_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no network\.json: train the network first"):
        load_network(tmp_path)

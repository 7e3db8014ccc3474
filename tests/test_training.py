"""Training: it learns, it resumes to the very same weights, it stops where it must."""

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from torch import nn

from vidlib.data.clips import Clips, Frames
from vidlib.data.video import VideoError
from vidlib.models.store import load_network, save_network
from vidlib.training import Recipe, TrainingError, fit


def toy_clips(count=48, seed=0, decoded=False, broken=(), swapped=False):
    """Two classes that only differ in whether the first or the last frame is bright."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 80, (count, 4, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(count) % 2
    frames[labels == 0, 0] += 150
    frames[labels == 1, -1] += 150
    told = 1 - labels if swapped else labels
    index = pd.DataFrame({"label": told + 10, "label_name": "x", "split": "train"})

    def read(row):
        if row in broken:
            raise VideoError(f"{row}.webm: is cut off")
        return frames[row]

    return Clips(index, Frames(read, np.arange(count), frames.shape[1:], decoded), [10, 11])


class Toy(nn.Module):
    def __init__(self, dropout=0.2):
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(3 * 4 * 64, 8), nn.ReLU(), nn.Dropout(dropout)
        )
        self.head = nn.Linear(8, 2)

    def forward(self, clips):
        return self.head(self.body(clips))


RECIPE = Recipe(epochs=4, batch_size=8, lr=0.01, seed=1)


def trained(folder, network=None, validation=None, **changes):
    torch.manual_seed(0)
    network, validation = network or Toy(), validation or toy_clips(16, 1)
    history = fit(network, toy_clips(), validation, folder, replace(RECIPE, **changes))
    return network, history


def assert_same_weights(one, other):
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


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
    told = fit(streamed, *clips, tmp_path / "streamed", RECIPE)
    assert told == history
    assert_same_weights(stored, streamed)


def test_clips_that_break_while_it_trains_are_counted_and_left_out(tmp_path, capsys):
    torch.manual_seed(0)
    # The first two validation batches are lost whole.
    clips = toy_clips(broken=(3, 5)), toy_clips(24, 1, broken=range(16))
    history = fit(Toy(), *clips, tmp_path, RECIPE)
    assert len(history) == 4 and np.isfinite(history[-1]["train_loss"])
    said = capsys.readouterr().out
    assert said.count("18 clips could not be read, first: ") == 4


class Killed(Exception):
    """Stands for the process being killed."""


RECIPES = {
    "adamw": {"weight_decay": 0.1},
    "sgd": {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-3},
    "plateau": {"optimizer": "adam", "schedule": "plateau", "weight_decay": 0.1, "epochs": 9},
}


def killing(batches, kill):
    """A toy network that ends in its training batch of that number, by `kill`."""
    torch.manual_seed(0)
    network, calls = Toy(), 0

    def count(module, _):
        nonlocal calls
        calls += module.training
        if calls > batches:
            kill()

    network.register_forward_pre_hook(count)
    return network


@pytest.mark.parametrize("name", RECIPES)
def test_killed_twice_and_resumed_ends_with_the_same_weights(tmp_path, name):
    """Killed in the third and in the fourth epoch (six batches each): nothing of it shows."""
    whole, history = trained(tmp_path / "whole", **RECIPES[name])

    def kill():
        raise Killed

    for batches in (14, 7):
        with pytest.raises(Killed):
            trained(tmp_path / "killed", killing(batches, kill), **RECIPES[name])
        torch.manual_seed(123)  # a new process starts from anywhere
    network, resumed = trained(tmp_path / "killed", Toy(), **RECIPES[name])
    assert_same_weights(whole, network)
    assert resumed == history


# Of the other class each: what is learned is wrong for them, and the first epoch is the best.
SWAPPED = toy_clips(16, 1, swapped=True)
KEPT = {"schedule": "constant", "lr": 2e-5, "validation": SWAPPED}


@pytest.mark.parametrize("checkpoint", ["least loss", "best accuracy"])
def test_the_weights_of_the_best_epoch_are_kept_and_the_curves_whole(tmp_path, checkpoint):
    first, _ = trained(tmp_path / "first", epochs=1, **KEPT)
    last, history = trained(tmp_path / "last", **KEPT)
    losses = [row["validation_loss"] for row in history]
    rights = [row["validation_accuracy"] for row in history]
    assert losses == sorted(losses) and rights == sorted(rights, reverse=True)
    assert losses[0] < losses[1] and rights[0] > rights[-1]
    best, told = trained(tmp_path / "best", checkpoint=checkpoint, **KEPT)
    assert told == history
    assert_same_weights(best, first)
    assert not torch.equal(best.head.weight, last.head.weight)

    def kill():
        raise Killed

    with pytest.raises(Killed):  # in the third epoch
        trained(tmp_path / "killed", killing(14, kill), checkpoint=checkpoint, **KEPT)
    network, resumed = trained(tmp_path / "killed", Toy(), checkpoint=checkpoint, **KEPT)
    assert resumed == history
    assert_same_weights(network, first)


def test_a_process_that_is_killed_leaves_a_checkpoint_to_go_on_from(tmp_path):
    script = (
        "import os, signal; from test_training import killing, trained;"
        f"trained({str(tmp_path / 'killed')!r},"
        "killing(9, lambda: os.kill(os.getpid(), signal.SIGKILL)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == -9, found.stderr
    assert_good_checkpoint(tmp_path / "killed", epochs=1)
    whole, history = trained(tmp_path / "whole")
    network, resumed = trained(tmp_path / "killed", Toy())
    assert resumed == history
    assert_same_weights(whole, network)


class Hostile:
    """What, pickled, makes a file when it is read without care."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def test_a_checkpoint_runs_no_code(tmp_path):
    trained(tmp_path)
    last, harm = tmp_path / "last.ckpt", tmp_path / "harm"
    honest = torch.load(last, weights_only=True)
    torch.save({**honest, "history": Hostile(harm)}, last)
    with pytest.raises(TrainingError, match=r"last\.ckpt is damaged"):
        trained(tmp_path, epochs=5)
    assert not harm.exists()
    last.write_bytes(pickle.dumps(Hostile(harm), protocol=2))
    with pytest.raises(TrainingError, match="damaged or no checkpoint of this: delete it"):
        trained(tmp_path, epochs=5)
    assert not harm.exists()
    pickle.loads(last.read_bytes())
    assert harm.exists()  # so it was hostile


def test_a_checkpoint_that_is_cut_off_says_what_to_do(tmp_path):
    trained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    whole = (tmp_path / "last.ckpt").read_bytes()
    for torn in (b"", whole[:100], whole[:-100]):
        (tmp_path / "last.ckpt").write_bytes(torn)
        with pytest.raises(TrainingError, match=r"delete it, and training starts from the begin"):
            trained(tmp_path, epochs=5)


def test_a_plateau_halves_the_learning_rate_after_two_epochs_in_vain(tmp_path):
    network = Toy()
    network.body.requires_grad_(False)
    network.head = nn.Sequential(network.head, Nothing())
    _, history = trained(tmp_path, network, schedule="plateau", epochs=9)
    rates = [row["learning_rate"] / RECIPE.lr for row in history]
    assert rates == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


class Nothing(nn.Module):
    def forward(self, logits):
        return 0 * logits


def test_sgd_is_that_of_the_recipe(tmp_path):
    sgd = {"optimizer": "sgd", "momentum": 0.2, "weight_decay": 0.1, "epochs": 2, "batch_size": 48}
    torch.manual_seed(0)
    network, _ = trained(tmp_path / "constant", Toy(0), schedule="constant", **sgd)
    trained(tmp_path / "cycle", **sgd)
    kept = torch.load(tmp_path / "cycle/last.ckpt", weights_only=True)
    assert kept["optimizer_states"][0]["param_groups"][0]["momentum"] == 0.2

    torch.manual_seed(0)
    expected = Toy(0)
    optimizer = torch.optim.SGD(expected.parameters(), 0.01, momentum=0.2, weight_decay=0.1)
    clips, outputs = toy_clips().batch()
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(expected(clips), outputs).backward()
        optimizer.step()
    for one, other in zip(network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_weight_decay_of_adam_is_part_of_the_gradient(tmp_path):
    """So one step goes as far whatever its size, where AdamW's is proportional to it."""
    step = {"epochs": 1, "batch_size": 48, "schedule": "constant"}

    def moved(optimizer, decay):
        torch.manual_seed(0)
        before = Toy().head.weight.detach().clone()
        folder = tmp_path / f"{optimizer}-{decay}"
        network, _ = trained(folder, optimizer=optimizer, weight_decay=decay, **step)
        return (network.head.weight - before).abs().max().item()

    assert moved("adam", 1e3) == pytest.approx(0.01, rel=1e-3)
    assert moved("adamw", 50) > 0.1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"optimizer": "adamax"}, "optimizer is 'adamax' .*give one of adamw, adam, sgd"),
        ({"schedule": "cosine"}, "schedule is 'cosine'.*give one of one-cycle, plateau, constant"),
        ({"checkpoint": "best"}, "checkpoint is 'best'.*give one of last, least loss"),
        ({"lr": 0}, "lr is 0: .* above 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"weight_decay": -1}, "weight_decay is -1: .* at least 0"),
        ({"momentum": 1.0}, r"momentum is 1\.0: .* below 1"),
        ({"epochs": 0}, "epochs is 0: .* at least 1"),
        ({"batch_size": 2.5}, r"batch_size is 2\.5: give a whole number"),
        ({"seed": -1}, "seed is -1: .* at least 0"),
    ],
)
def test_a_recipe_of_impossible_values_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        replace(RECIPE, **value)


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
    assert_good_checkpoint(tmp_path, epochs=1)


def assert_good_checkpoint(folder, epochs):
    kept = torch.load(folder / "last.ckpt", weights_only=True)
    assert len(kept["history"]) == epochs
    assert all(value.isfinite().all() for value in kept["state_dict"].values())


def test_weights_that_break_in_the_last_step_of_an_epoch_are_not_kept(tmp_path):
    """Its loss is still a number, that of the step after would not be."""
    network, steps = Toy(), 0

    def spoil(gradient):
        nonlocal steps
        steps += 1
        return gradient * float("inf") if steps == 12 else gradient

    network.head.bias.register_hook(spoil)
    with pytest.raises(TrainingError, match="some weights are no longer finite in epoch 1; the"):
        trained(tmp_path, network)
    assert_good_checkpoint(tmp_path, epochs=1)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_a_readable_clip_says_so(tmp_path, split):
    broken = {"train": (range(48), ()), "validation": ((), range(16))}[split]
    clips = toy_clips(broken=broken[0]), toy_clips(16, 1, broken=broken[1])
    with pytest.raises(TrainingError, match=rf"no {split} clip could be read, first: .*is cut off"):
        fit(Toy(), *clips, tmp_path, RECIPE)


def test_no_clips_to_judge_by_are_refused_before_any_work(tmp_path):
    nothing = toy_clips().subset(np.array([], int))
    with pytest.raises(ValueError, match="number of validation clips is 0"):
        fit(Toy(), toy_clips(), nothing, tmp_path, RECIPE)
    assert not list(tmp_path.iterdir())


def test_too_few_clips_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"batch_size is 64: .* at most 48"):
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


# ---------------------------------------------------------------- half precision


class Off(torch.autograd.Function):
    """A kernel with an error in half precision, as PyTorch has had some."""

    @staticmethod
    def forward(ctx, x):
        ctx.half = torch.is_autocast_enabled("cpu")
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.flip(-1) if ctx.half else gradient


class Wrong(Toy):
    def forward(self, clips):
        return self.head(Off.apply(self.body(clips)))


def test_half_precision_learns_the_same_with_weights_in_single_precision(tmp_path, capsys):
    seen = []

    class Noted(Toy):
        def forward(self, clips):
            logits = super().forward(clips)
            seen.append((logits.dtype, self.head.weight.dtype))
            return logits

    single, _ = trained(tmp_path / "single")
    torch.manual_seed(0)
    half, history = trained(tmp_path / "half", Noted(), precision="bfloat16")
    assert seen[-1] == (torch.bfloat16, torch.float32)
    assert history[-1]["validation_accuracy"] == 1.0
    pairs = zip(single.parameters(), half.parameters(), strict=True)
    turned = [torch.cosine_similarity(a.flatten(), b.flatten(), 0) for a, b in pairs if a.ndim > 1]
    assert min(turned) > 0.98 and any(one < 1 - 1e-7 for one in turned)
    assert "float32" not in capsys.readouterr().out


def test_where_half_precision_goes_wrong_training_says_so_and_is_in_single_precision(
    tmp_path, capsys
):
    single, history = trained(tmp_path / "single", Wrong())
    half, other = trained(tmp_path / "half", Wrong(), precision="bfloat16")
    assert "bfloat16 goes wrong here" in capsys.readouterr().out
    assert history == other
    assert_same_weights(single, half)


def test_half_precision_resumes_to_the_same_weights(tmp_path):
    whole, history = trained(tmp_path / "whole", precision="bfloat16", schedule="constant")
    trained(tmp_path / "parts", precision="bfloat16", schedule="constant", epochs=2)
    parts, other = trained(tmp_path / "parts", precision="bfloat16", schedule="constant")
    assert history == other
    assert_same_weights(whole, parts)


def test_wrong_precisions_are_refused():
    with pytest.raises(ValueError, match="precision"):
        replace(RECIPE, precision="float16")

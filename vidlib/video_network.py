"""Any network, asked about any video.

`load_video_network` takes the name of a network:

- one of the study's, such as ``i3d`` or ``clstm``, which is trained first if need be;
- ``kinetics``, I3D with DeepMind's weights for the 400 classes of Kinetics;
- ``torchvision:r3d_18``, or any other of torchvision's video networks, with its own weights;
- ``package.module:function``, where the function returns a `VideoNetwork`.

Each is tried when it is loaded, with its layer, so that what does not work fails at once.
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidlib import check
from vidlib.data.clips import to_network
from vidlib.data.picture import Geometry
from vidlib.data.video import read_clip, video_geometry
from vidlib.explain.gradcam import channels_last, grad_cam, token_grid
from vidlib.explain.objective import Perturbation
from vidlib.explain.perturb import perturb, window_masks
from vidlib.explain.scores import logits_of_clips, score_clips
from vidlib.explain.trial import check_gradients, check_steady
from vidlib.models.kinetics import kinetics_classes, load_kinetics_i3d
from vidlib.models.store import best_device
from vidlib.variants import VARIANTS

# A street, from above; see the README beside it.
STREET = Path(__file__).resolve().parents[1] / "notebooks/clips/street.webm"
SPECS = (*VARIANTS, "kinetics", "torchvision:NAME", "package.module:function")


def _names(classes: Sequence[str] | Mapping[Any, Any]) -> tuple[str, ...]:
    """Return the names of classes in the order of their numbers."""
    if isinstance(classes, str | set) or not isinstance(classes, Iterable):
        raise ValueError(f"classes is {classes!r}: give a list of names")
    if not isinstance(classes, Mapping):
        return tuple(map(str, classes))
    pairs = list(classes.items())
    if all(isinstance(name, int) for _, name in pairs):
        pairs = [(number, name) for name, number in pairs]
    named = {int(number): str(name) for number, name in pairs if str(number).isdecimal()}
    if sorted(named) != list(range(len(pairs))):
        raise ValueError(f"classes has numbers {[*dict(pairs)]}: name each, from 0 on")
    return tuple(named[number] for number in sorted(named))


@dataclass(frozen=True)
class VideoNetwork:
    """A network with all that it takes to ask it about a video.

    network: an nn.Module, clips (B, 3, T, H, W) float32 to logits (B, K). frames: T, spread over
    the video. size: (H, W) of a clip. resize: the size of the pictures before their centre is
    cropped to ``size``: (height, width), or the length of the shorter side, which keeps their
    shape; by default ``size``, which may squash them and crops nothing. mean, std: of each channel,
    in RGB from 0 to 1; by default values lie in [-1, 1]. classes: the names of the K classes, or a
    mapping from their numbers to names, or from names to numbers; by default their numbers. layer,
    reshape: as `grad_cam` takes them, by default the network's ``gradcam_layer``; without a layer
    there is no Grad-CAM.

    Raises ValueError, naming the field, for invalid values.
    """

    network: nn.Module
    frames: int
    size: tuple[int, int]
    resize: tuple[int, int] | int | None = None
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    classes: Sequence[str] | Mapping[Any, Any] = ()
    layer: nn.Module | None = None
    reshape: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self):
        """Check every field."""
        if not isinstance(self.network, nn.Module):
            raise ValueError(f"network is a {type(self.network).__name__}: give an nn.Module")
        check.count("frames", self.frames, 2)
        check.counts("size", self.size, 2)
        if isinstance(self.resize, Sequence):
            check.counts("resize", self.resize, 2)
            for side, least in zip(self.resize, self.size, strict=True):
                check.count("resize", side, least)
        elif self.resize is not None:
            check.count("resize", self.resize, max(self.size))
        for name, above in (("mean", None), ("std", 0)):
            if len(values := getattr(self, name)) != 3:
                raise ValueError(f"{name} is {values!r}: give three numbers, for R, G and B")
            for value in values:
                check.number(name, value, above=above)
        object.__setattr__(self, "classes", _names(self.classes))
        if self.layer is None:
            object.__setattr__(self, "layer", getattr(self.network, "gradcam_layer", None))

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the size to which pictures of this height and width are resized."""
        if isinstance(self.resize, int):
            scale = self.resize / min(height, width)
            return round(height * scale), round(width * scale)
        return self.resize or self.size

    def clip(self, frames: np.ndarray) -> Tensor:
        """Turn frames (T, H, W, 3) uint8 RGB into what the network takes, (1, 3, T, H, W)."""
        mean, std = (torch.tensor(v).view(3, 1, 1, 1) for v in (self.mean, self.std))
        return (((to_network(frames) + 1) / 2 - mean) / std)[None]


def check_video(path: str | Path, start: int = 0, stop: int | None = None) -> Geometry:
    """Return how a video's pictures are shown; refuse what is no video, and invalid frame numbers.

    Raises `VideoError`, saying why, for a file that is no video, and ValueError for a range of less
    than two frames.

    >>> check_video(STREET)[:2]
    (240, 320)
    """
    check.count("start", start, 0)
    if stop is not None:
        check.count("stop", stop, start + 2)
    return video_geometry(path)


def read_frames(
    path: str | Path, network: VideoNetwork, start: int = 0, stop: int | None = None
) -> np.ndarray:
    """Return the frames of a video that a network sees: (frames, *size, 3) uint8 RGB, upright.

    They are spread over the whole video, or over the frames from ``start`` to before ``stop``; a
    short video repeats some. Pictures are resized by area and cropped as the network asks. Raises
    `VideoError` for an unreadable file, and ValueError for an empty or reversed range.

    >>> network = VideoNetwork(nn.Flatten(), frames=4, size=(24, 32))
    >>> read_frames(STREET, network).shape
    (4, 24, 32, 3)
    """
    shown = check_video(path, start, stop)
    size = network.resized(shown.height, shown.width)
    upright = read_clip(path, network.frames, size, start, stop, seek=True)
    height, width = network.size
    top, left = round((size[0] - height) / 2), round((size[1] - width) / 2)
    return np.ascontiguousarray(upright[:, top : top + height, left : left + width])


def load_video_network(spec: str, study, *, frames: int | None = None) -> VideoNetwork:
    """Return a network by its name, tried out, on the best device and with names for its classes.

    study: the study whose networks have names such as ``i3d``. frames: how many it sees, if not its
    usual number. Raises ValueError, one sentence, for an unknown name and for a network that does
    not return logits, and FileNotFoundError for weights that are not there and cannot be fetched.

    >>> load_video_network("r3d", study=None)
    Traceback (most recent call last):
    ValueError: model is 'r3d' (did you mean 'i3d'?): give one of i3d, clstm, i3d-causal, ...
    """
    kind, _, name = str(spec).partition(":")  # papermill makes numbers of what looks so
    if spec in VARIANTS:
        clips, p = study.clips("validation"), study.profile
        names = [clips.names[label] for label in clips.classes]
        loaded = VideoNetwork(study.network(spec), p.frames, p.size, classes=names)
    elif spec == "kinetics":  # as DeepMind tested it, but on 16 frames for their 64
        names = kinetics_classes()
        loaded = VideoNetwork(load_kinetics_i3d(), 16, (224, 224), resize=256, classes=names)
    elif kind == "torchvision":
        loaded = _of_torchvision(name)
    elif name:
        loaded = _imported(spec)
    else:
        raise ValueError(check.unknown("model", spec, SPECS))
    if frames is not None:
        loaded = replace(loaded, frames=frames)
    loaded.network.to(best_device()).eval()
    return _tried(spec, loaded)


def class_number(network: VideoNetwork, target: int | str | None) -> int | None:
    """Return the number of a class given by number or name; None, for the guess, stays None.

    Raises ValueError for a class that the network does not have.

    >>> network = VideoNetwork(nn.Flatten(), frames=4, size=(24, 32), classes=["left", "right"])
    >>> class_number(network, "right")
    1
    """
    if isinstance(target, str):
        check.one_of("target", target, network.classes)
        return list(network.classes).index(target)
    if target is not None:
        check.count("target", target, 0, len(network.classes) - 1)
    return target


def window_scores(
    network: nn.Module, clip: Tensor, target: int, length: int, perturbation: Perturbation
) -> Tensor:
    """Return the score of a class when each window of this length is perturbed.

    clip: (1, 3, T, H, W). Returns (T - length + 1,), by the first frame of the window: whether a
    mask of that length lies where it matters, or whether any window would have done.

    >>> from vidlib.explain import freeze
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 4 * 4, 2))
    >>> window_scores(network, torch.rand(1, 3, 8, 4, 4), 0, 3, freeze).shape
    torch.Size([6])
    """
    frames = clip.shape[2]
    check.count("length", length, most=frames)
    first = torch.arange(frames - length + 1, device=clip.device)
    masks = window_masks(first, first + length - 1, frames).float()
    shown = perturb(clip.expand(len(masks), -1, -1, -1, -1), perturbation(masks))
    return score_clips(network, shown)[:, target]


# Of torchvision's architectures: the Grad-CAM layer, what makes its output (B, K, T, H, W), and the
# frames of a clip as torchvision tests it, but for S3D, whose 128 would take too long. MViT
# classifies its class token, on which the other tokens of its last block have no effect.
TORCHVISION = {
    "VideoResNet": (lambda network: network.layer4, None, 16),
    "S3D": (lambda network: network.features[-1], None, 32),
    "SwinTransformer3d": (lambda network: network.features[-1], channels_last, 32),
    "MViT": (lambda network: network.blocks[-2], token_grid(8, 7, 7), 16),
}


def _of_torchvision(name: str) -> VideoNetwork:
    from torchvision.models import get_model, get_model_weights, list_models, video

    check.one_of("torchvision video network", name, list_models(module=video))
    weights = get_model_weights(name).DEFAULT
    try:
        network = get_model(name, weights=weights)
    except (OSError, RuntimeError) as error:  # RuntimeError: another file than was published
        remedy = f"download {weights.url} into {torch.hub.get_dir()}/checkpoints"
        raise FileNotFoundError(f"cannot fetch torchvision:{name} ({error}): {remedy}") from error
    layer, reshape, frames = TORCHVISION[type(network).__name__]
    shown = weights.transforms()
    return VideoNetwork(
        network,
        frames,
        tuple(shown.crop_size),
        resize=shown.resize_size[0] if len(shown.resize_size) == 1 else tuple(shown.resize_size),
        mean=tuple(shown.mean),
        std=tuple(shown.std),
        classes=weights.meta["categories"],
        layer=layer(network),
        reshape=reshape,
    )


def _imported(spec: str) -> VideoNetwork:
    module, _, name = spec.replace("\\", "/").rpartition(":")
    folder = Path(module).absolute().parent if "/" in module or module.endswith(".py") else None
    try:
        if folder is not None:
            sys.path.insert(0, str(folder))
            module = Path(module).name.removesuffix(".py")
        imported = importlib.import_module(module)
        if folder is not None and folder not in Path(imported.__file__ or "").parents:
            raise ImportError(f"{imported.__file__ or 'Python'} has its name")
        function = getattr(imported, name)
    except Exception as error:  # the file may hold anything
        remedy = "give package.module:function or folder/file.py:function"
        raise ValueError(f"model {spec!r} cannot be imported ({error}): {remedy}") from error
    try:
        loaded = function()
    except Exception as error:
        raise ValueError(f"{spec} fails ({type(error).__name__}: {error}): mend it") from error
    if not isinstance(loaded, VideoNetwork):
        raise ValueError(f"{spec} returned a {type(loaded).__name__}: return a VideoNetwork")
    return loaded


def _tried(spec: str, loaded: VideoNetwork) -> VideoNetwork:
    """Ask a network as it will be asked, and its layer; return it with a name for each class."""
    noise = np.random.default_rng(0).integers(0, 256, (2, loaded.frames, *loaded.size, 3), np.uint8)
    clips = torch.cat([loaded.clip(frames) for frames in noise])
    try:
        logits = logits_of_clips(loaded.network, clips)
        check_steady(loaded.network, clips, logits)
        check_gradients(loaded.network, clips)
        if loaded.layer is not None:
            grad_cam(loaded.network, clips[:1], layer=loaded.layer, reshape=loaded.reshape)
    except ValueError as error:
        asked = f"{spec} cannot be explained with {loaded.frames} frames of {loaded.size}"
        raise ValueError(f"{asked}: {error}") from error
    count = logits.shape[1]
    names = loaded.classes or [f"class {k}" for k in range(count)]
    if count < 2:
        raise ValueError(f"{spec} has one class: give a network with two or more")
    if len(names) != count:
        raise ValueError(f"{spec} names {len(names)} classes and has {count} logits: name each")
    return replace(loaded, classes=names)

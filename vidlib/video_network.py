"""Networks of any origin, asked about a video of one's own.

A network is a name that `load_video_network` understands:

- one of the study's, such as ``i3d`` or ``clstm``, trained first if need be;
- ``kinetics``, I3D with DeepMind's weights for the 400 classes of Kinetics;
- ``torchvision:r3d_18``, or any other of torchvision's video networks, with its own weights;
- ``package.module:function``, where the function returns a `VideoNetwork`.

All are tried out on one grey clip when they are loaded: what does not work, does not work at once.
"""

import difflib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vidlib.data.clips import to_network
from vidlib.data.video import VideoError, decode_sequences, video_geometry
from vidlib.explain.gradcam import channels_last, token_grid
from vidlib.explain.objective import Perturbation
from vidlib.explain.perturb import PERTURBATIONS, perturb, window_masks
from vidlib.explain.scores import logits_of_clips, score_clips
from vidlib.models.kinetics import kinetics_classes, load_kinetics_i3d
from vidlib.models.store import best_device
from vidlib.profiles import unknown
from vidlib.variants import VARIANTS

# A street, from above; see the README beside it.
STREET = Path(__file__).resolve().parents[1] / "notebooks/clips/street.webm"
SPECS = (*VARIANTS, "kinetics", "torchvision:NAME", "package.module:function")


def _whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _sides(value) -> bool:
    return isinstance(value, Sequence) and len(value) == 2 and all(map(_whole, value))


@dataclass(frozen=True)
class VideoNetwork:
    """A network with all that it takes to ask it about a video.

    network: an nn.Module, clips (B, 3, T, H, W) float32 to logits (B, K). frames: T, spread over
    the video. size: (H, W). resize: what pictures are resized to before their middle, of ``size``,
    is cut out: (height, width), or the length of the shorter side, which keeps their shape; by
    default ``size``, which squashes them and cuts nothing off. mean, std: of each channel, in RGB
    of 0 to 1; by default values come to lie in [-1, 1]. classes: the names of the K classes, by
    default their numbers. layer: the module of the network that Grad-CAM explains, as `grad_cam`
    takes it, and ``reshape`` for what it returns; without a layer, by default the network's
    ``gradcam_layer``, there is no Grad-CAM.

    ValueError, naming the field, for what cannot be.
    """

    network: nn.Module
    frames: int
    size: tuple[int, int]
    resize: tuple[int, int] | int | None = None
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    classes: Sequence[str] = ()
    layer: nn.Module | None = None
    reshape: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self):
        """Check every field."""
        if not isinstance(self.network, nn.Module):
            raise ValueError(f"network is a {type(self.network).__name__}: give an nn.Module")
        if not _whole(self.frames) or self.frames < 2:
            raise ValueError(f"frames is {self.frames!r}: give a whole number of at least 2")
        if not _sides(self.size):
            raise ValueError(f"size is {self.size!r}: give height and width, whole and at least 1")
        resize = self.resize
        if resize is None:
            object.__setattr__(self, "resize", self.size)
        elif not (_whole(resize) and resize >= max(self.size)) and not (
            _sides(resize) and resize[0] >= self.size[0] and resize[1] >= self.size[1]
        ):
            raise ValueError(
                f"resize is {resize!r}: give height and width, or the shorter side, not below the "
                f"size of {self.size}, which is cut out of it"
            )
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != 3 or not all(isinstance(value, Real) for value in values):
                raise ValueError(f"{name} is {values!r}: give three numbers, for R, G and B of 0-1")
        if min(self.std) <= 0:
            raise ValueError(f"std is {self.std!r}: all three must be above 0")
        if self.layer is None:
            object.__setattr__(self, "layer", getattr(self.network, "gradcam_layer", None))
        elif all(module is not self.layer for module in self.network.modules()):
            raise ValueError("layer is no module of the network: give one of network.modules()")

    def clip(self, frames: np.ndarray) -> Tensor:
        """Turn frames (T, H, W, 3) uint8 RGB into what the network takes, (1, 3, T, H, W)."""
        mean, std = (torch.tensor(v).view(3, 1, 1, 1) for v in (self.mean, self.std))
        return (((to_network(frames) + 1) / 2 - mean) / std)[None]


def check_video(path: Path) -> None:
    """Raise `VideoError`, saying why, unless a file is a video; nothing else is done."""
    video_geometry(Path(path))


def read_frames(
    path: Path, network: VideoNetwork, start: int = 0, stop: int | None = None
) -> np.ndarray:
    """Return what a network is to see of a video: (frames, *size, 3) uint8 RGB, upright.

    Its frames are spread over the whole video, or over those from ``start`` to before ``stop``;
    where there are fewer, some come twice. Pictures are resized, by area, and cut as the network
    wants them. Raises `VideoError` for a file that cannot be read, and ValueError for a stretch
    that is none.
    """
    height, width, turns = video_geometry(path)
    if (start, stop) != (0, None) and not (stop and 0 <= start < stop - 1):
        raise ValueError(
            f"start is {start} and stop is {stop}: give both, numbers of frames from 0 on, at "
            "least two frames apart"
        )
    size = network.resize
    if isinstance(size, int):
        scale = size / min(height, width)
        size = (round(height * scale), round(width * scale))
    stored = size[::-1] if turns % 2 else size
    (video,) = decode_sequences(Path(path), [(start, stop)], network.frames, stored)
    if video.reason:
        raise VideoError(video.reason)
    upright = np.rot90(video.frames, turns, axes=(1, 2))
    top, left = (round((a - b) / 2) for a, b in zip(size, network.size, strict=True))
    cut = upright[:, top : top + network.size[0], left : left + network.size[1]]
    return np.ascontiguousarray(cut)


def load_video_network(spec: str, study, *, frames: int | None = None) -> VideoNetwork:
    """Return a network by its name, tried out, on the best device and with names for its classes.

    study: whose networks are meant by names such as ``i3d``. frames: how many it is to see, where
    it can take another number than its usual. Raises ValueError, one sentence, for a name that
    means nothing and for a network that does not do what it has to, and FileNotFoundError for
    weights that are neither here nor to be had.
    """
    kind, _, name = str(spec).partition(":")  # papermill makes numbers of what looks so
    if spec in VARIANTS:
        loaded = _of_study(spec, study)
    elif spec == "kinetics":
        loaded = _kinetics()
    elif kind == "torchvision":
        loaded = _of_torchvision(name)
    elif name:
        loaded = _imported(spec)
    else:
        raise ValueError(unknown("model", spec, SPECS))
    if frames is not None:
        loaded = replace(loaded, frames=frames)
    loaded.network.to(best_device()).eval()
    return replace(loaded, classes=_named(spec, loaded, _try_out(spec, loaded)))


def class_number(network: VideoNetwork, target: int | str | None) -> int | None:
    """Return the number of a class given by number or name; None, for the guess, stays None.

    Raises ValueError for a class that the network does not have.
    """
    count = len(network.classes)
    if isinstance(target, str):
        if target not in network.classes:
            near = difflib.get_close_matches(target, network.classes, n=3)
            hint = f"; near are {', '.join(map(repr, near))}" if near else ""
            raise ValueError(
                f"target is {target!r}: none of the {count} classes is so called{hint}"
            )
        return list(network.classes).index(target)
    if target is not None and (not isinstance(target, int) or not 0 <= target < count):
        raise ValueError(
            f"target is {target!r}: give a number from 0 to {count - 1}, or the name of a class"
        )
    return target


def perturbation_called(name: str) -> Perturbation:
    """Return a perturbation by name; ValueError, naming those that there are, for another."""
    if name not in PERTURBATIONS:
        raise ValueError(unknown("perturbation", name, PERTURBATIONS))
    return PERTURBATIONS[name]


def stretch_scores(
    network: nn.Module, clip: Tensor, target: int, length: int, perturbation: Perturbation
) -> Tensor:
    """Return what is left of a class's score when so many frames in a row are perturbed.

    clip (1, 3, T, H, W); the scores (T - length + 1,) are by the first of the frames. They say
    whether a mask of that length lies where it matters, or whether any would have done.
    """
    frames = clip.shape[2]
    first = torch.arange(frames - length + 1, device=clip.device)
    masks = window_masks(first, first + length - 1, frames).float()
    shown = perturb(clip.expand(len(masks), -1, -1, -1, -1), perturbation(masks))
    return score_clips(network, shown)[:, target]


def _of_study(name: str, study) -> VideoNetwork:
    clips = study.clips("validation")
    return VideoNetwork(
        study.network(name),
        study.profile.frames,
        study.profile.size,
        classes=[clips.names[label] for label in clips.classes],
    )


def _kinetics() -> VideoNetwork:
    """I3D as DeepMind tested it, but on 16 frames for their 64: a quarter of the time."""
    return VideoNetwork(load_kinetics_i3d(), 16, (224, 224), resize=256, classes=kinetics_classes())


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

    names = list_models(module=video)
    if name not in names:
        raise ValueError(unknown("torchvision video network", name, names))
    weights = get_model_weights(name).DEFAULT
    try:
        network = get_model(name, weights=weights)
    except (OSError, RuntimeError) as error:  # RuntimeError: another file than was published
        raise FileNotFoundError(
            f"the weights of torchvision:{name} cannot be had ({error}): fetch {weights.url} and "
            f"put it into {torch.hub.get_dir()}/checkpoints"
        ) from error
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
    module, _, name = spec.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"model is {spec!r}, which cannot be imported ({error}): name a function as "
            "package.module:function, of a package that is installed or lies in the folder that "
            "the notebook runs in"
        ) from error
    if not callable(function):
        raise ValueError(f"{spec} is a {type(function).__name__}: name a function")
    loaded = function()
    if not isinstance(loaded, VideoNetwork):
        raise ValueError(
            f"{spec} returned a {type(loaded).__name__}: it has to return a VideoNetwork"
        )
    return loaded


def _try_out(spec: str, loaded: VideoNetwork) -> int:
    """Return the number of classes that a network tells apart in a grey clip."""
    clip = loaded.clip(np.full((loaded.frames, *loaded.size, 3), 128, np.uint8))
    try:
        logits = logits_of_clips(loaded.network, clip)
    except Exception as error:  # what a network of unknown origin raises is anything
        raise ValueError(
            f"{spec} cannot be asked: of a clip {tuple(clip.shape)} it makes no logits (B, K) "
            f"({error}); see that its frames and size are what it takes"
        ) from error
    if logits.shape[1] < 2:
        raise ValueError(f"{spec} has one class: there is nothing that it tells apart")
    return logits.shape[1]


def _named(spec: str, loaded: VideoNetwork, count: int) -> tuple[str, ...]:
    names = tuple(loaded.classes) or tuple(f"class {k}" for k in range(count))
    if len(names) != count:
        raise ValueError(f"{spec} names {len(names)} classes and has logits for {count}: name each")
    return names

"""Small classifiers of single frames: what can be recognised with and without their order.

Both map clips (B, 3, T, H, W), float in [-1, 1], of any T and of H and W of at least 16, to logits
(B, num_classes), and raise ValueError for other inputs.
"""

import zlib

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidlib import check

GRID = 4  # cells a side over which a frame's maps are averaged, so that places are kept


class FrameEncoder(nn.Module):
    """A 2D CNN on each frame alone: three convolutions, two poolings, one linear layer.

    Averages over a grid tell where something is, maxima over the frame that it is there.
    Maps clips (B, 3, T, H, W) to (B, T, features), features = 4 width.
    """

    def __init__(self, width: int):
        super().__init__()

        def layer(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
            conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
            return conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)

        maps, self.features = 2 * width, 4 * width
        layers = *layer(3, width, 5, 4), *layer(width, maps, 3, 1), *layer(maps, maps, 3, 2)
        self.body = nn.Sequential(*layers)
        self.linear = nn.Linear(maps * (GRID**2 + 1), self.features)

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips (B, 3, T, H, W) to the features of their frames, at least 0."""
        good = clips.ndim == 5 and clips.shape[1] == 3 and min(clips.shape[3:]) >= 16
        check.shape("clips", clips, "(B, 3, T, H, W) of at least 16 pixels a side", good)
        frames = clips.transpose(1, 2)
        maps = self.body(frames.flatten(0, 1))
        pooled = [F.adaptive_avg_pool2d(maps, GRID).flatten(1), maps.amax((2, 3))]
        return F.relu(self.linear(torch.cat(pooled, 1))).unflatten(0, frames.shape[:2])


class FrameAverage(nn.Module):
    """Averages the logits of single frames: blind to the order of the frames, by construction."""

    def __init__(self, num_classes: int, *, width: int = 16):
        """Build the network with PyTorch's default initialisation."""
        super().__init__()
        self.encoder = FrameEncoder(width)
        self.head = nn.Linear(self.encoder.features, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips (B, 3, T, H, W) to logits (B, num_classes)."""
        return self.head(self.encoder(clips)).mean(1)


class FrameGRU(nn.Module):
    """A GRU over the features of single frames; the average of both over time is classified.

    shuffled: whether the frames of every clip come in a random order, so that only the set of
    frames is informative. In training the order comes from PyTorch's generator; in evaluation it
    depends on the clip's pixels alone. (With one order for all clips, what the GRU makes of that
    order by chance would look like knowledge.)
    """

    def __init__(self, num_classes: int, *, width: int = 16, shuffled: bool):
        """Build the network with PyTorch's default initialisation."""
        super().__init__()
        self.encoder = FrameEncoder(width)
        self.shuffled = shuffled
        features = self.encoder.features
        self.gru = nn.GRU(features, features, batch_first=True)
        self.head = nn.Linear(features, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips (B, 3, T, H, W) to logits (B, num_classes)."""
        features = self.encoder(clips)
        if self.shuffled:
            order = self._noise(clips).argsort(1).to(features.device)
            features = features.gather(1, order[..., None].expand_as(features))
        return self.head((features + self.gru(features)[0]).mean(1))

    def _noise(self, clips: Tensor) -> Tensor:
        """Return a random number per frame, (B, T)."""
        if self.training:
            return torch.rand(clips.shape[0], clips.shape[2])
        seeds = [zlib.crc32(clip.detach().cpu().float().numpy().tobytes()) for clip in clips]
        return torch.stack(
            [torch.rand(clips.shape[2], generator=torch.Generator().manual_seed(s)) for s in seeds]
        )

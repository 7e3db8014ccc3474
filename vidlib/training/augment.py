"""Training clips changed by chance, so that a network does not learn single clips by heart."""

import torch
import torch.nn.functional as F
from torch import Tensor


def mirrored(clips: Tensor) -> Tensor:
    """Mirror half of the clips (B, C, T, H, W), by chance, left to right.

    >>> clips = torch.arange(2.0).expand(64, 1, 1, 1, 2)
    >>> sorted(set(mirrored(clips)[..., 0].flatten().tolist()))
    [0.0, 1.0]
    """
    turned = torch.rand(len(clips), 1, 1, 1, 1, device=clips.device) < 0.5
    return torch.where(turned, clips.flip(-1), clips)


def shifted(clips: Tensor, most: float) -> Tensor:
    """Shift each clip (B, C, T, H, W) by chance, all its frames alike; repeat pixels of its edge.

    most: the largest shift, up, down or to a side, as a share of the shorter side.

    >>> shifted(torch.arange(4.0).expand(1, 1, 1, 4, 4), 0.25).shape
    torch.Size([1, 1, 1, 4, 4])
    """
    height, width = clips.shape[3:]
    most = round(most * min(height, width))
    padded = F.pad(clips, (most, most, most, most, 0, 0), mode="replicate")
    rows, columns = torch.randint(2 * most + 1, (2, len(clips))).tolist()
    views = zip(padded, rows, columns, strict=True)
    return torch.stack([one[..., y : y + height, x : x + width] for one, y, x in views])

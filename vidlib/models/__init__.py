"""The two networks under study: (B, 3, T, H, W) float in [-1, 1] -> logits (B, K)."""

from vidlib.models.clstm import CLSTM
from vidlib.models.i3d import I3D

__all__ = ["CLSTM", "I3D"]

"""The two networks under study: (B, 3, T, H, W) float in [-1, 1] -> logits (B, K)."""

from vidlib.models.anatomy import layer_costs, temporal_reach
from vidlib.models.clstm import CLSTM
from vidlib.models.i3d import I3D
from vidlib.models.kinetics import (
    WeightsError,
    download_kinetics_i3d,
    kinetics_classes,
    load_kinetics_i3d,
)
from vidlib.weights_cache import has_kinetics_weights

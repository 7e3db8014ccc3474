"""Explanations of any network (B, C, T, H, W) -> logits (B, K): temporal masks and Grad-CAM."""

from vidlib.explain.gradcam import grad_cam
from vidlib.explain.masks import Masks, learn_masks, search_masks
from vidlib.explain.perturb import frame_order, freeze, perturb, reverse
from vidlib.explain.scores import score_clips

__all__ = [
    "Masks",
    "frame_order",
    "freeze",
    "grad_cam",
    "learn_masks",
    "perturb",
    "reverse",
    "score_clips",
    "search_masks",
]

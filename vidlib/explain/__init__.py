"""Explanations of any network (B, C, T, H, W) -> logits (B, K): temporal masks and Grad-CAM."""

from vidlib.explain.gradcam import grad_cam
from vidlib.explain.masks import Masks, find_masks, learn_masks, search_masks
from vidlib.explain.objective import penalty
from vidlib.explain.perturb import (
    PERTURBATIONS,
    REORDERINGS,
    blur,
    fade,
    frame_order,
    freeze,
    hold_next,
    perturb,
    repeat,
    reverse,
    reverse_by_first_half,
    shuffle,
)
from vidlib.explain.scores import score_clips

__all__ = [
    "PERTURBATIONS",
    "REORDERINGS",
    "Masks",
    "blur",
    "fade",
    "find_masks",
    "frame_order",
    "freeze",
    "grad_cam",
    "hold_next",
    "learn_masks",
    "penalty",
    "perturb",
    "repeat",
    "reverse",
    "reverse_by_first_half",
    "score_clips",
    "search_masks",
    "shuffle",
]

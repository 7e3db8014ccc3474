"""Explanations of any network (B, C, T, H, W) -> logits (B, K): which frames and pixels decide."""

from vidlib.explain.adapter import adapt
from vidlib.explain.attribution import (
    discriminative_crop,
    integrated_gradients,
    occlusion,
    random_masks,
    window_of,
)
from vidlib.explain.every_mask import (
    EveryMask,
    best_hard_mask,
    score_all_masks,
    shapley_interactions,
    shapley_values,
    smallest_sets,
)
from vidlib.explain.gradcam import channels_last, grad_cam, token_grid
from vidlib.explain.masks import TemporalMasks, find_masks, learn_masks, search_masks
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
    shuffle,
)
from vidlib.explain.published import reverse_by_first_half
from vidlib.explain.scores import score_clips

"""The statistics of the comparison: the paper's Tables 1 and 2, and what truth adds to them."""

from vidlib.compare import paper
from vidlib.compare.accuracy import per_class, summary
from vidlib.compare.explanations import (
    blob_statistics,
    bootstrap_interval,
    drops,
    find_blobs,
    paired_difference,
    table_2,
)
from vidlib.compare.truth import against_truth, mask_survival, saliency_on_actors
from vidlib.compare.windows import Survival, minimal, removing, survival, window_answers

__all__ = [
    "Survival",
    "against_truth",
    "blob_statistics",
    "bootstrap_interval",
    "drops",
    "find_blobs",
    "mask_survival",
    "minimal",
    "paired_difference",
    "paper",
    "per_class",
    "removing",
    "saliency_on_actors",
    "summary",
    "survival",
    "table_2",
    "window_answers",
]

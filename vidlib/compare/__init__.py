"""The statistics of the comparison: the paper's Tables 1 and 2, and what truth adds to them."""

from vidlib.compare import paper
from vidlib.compare.accuracy import (
    class_drops,
    guess_table,
    per_class,
    reversal_drops,
    summary,
)
from vidlib.compare.arrow import arrow_of_time, arrow_table
from vidlib.compare.distinct import distinct_counts, distinct_table, held_frames
from vidlib.compare.explanations import (
    blob_statistics,
    bootstrap_interval,
    drops,
    find_blobs,
    paired_difference,
    table_2,
)
from vidlib.compare.networks import ALIKE, comparable_classes, network_differences
from vidlib.compare.truth import against_truth, mask_survival, saliency_on_actors
from vidlib.compare.windows import Survival, minimal, removing, survival, window_answers

__all__ = [
    "ALIKE",
    "Survival",
    "against_truth",
    "arrow_of_time",
    "arrow_table",
    "blob_statistics",
    "bootstrap_interval",
    "class_drops",
    "comparable_classes",
    "distinct_counts",
    "distinct_table",
    "drops",
    "find_blobs",
    "guess_table",
    "held_frames",
    "mask_survival",
    "minimal",
    "network_differences",
    "paired_difference",
    "paper",
    "per_class",
    "removing",
    "reversal_drops",
    "saliency_on_actors",
    "summary",
    "survival",
    "table_2",
    "window_answers",
]

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
from vidlib.compare.truth import against_truth, event_overlap, saliency_on_actors

__all__ = [
    "against_truth",
    "blob_statistics",
    "bootstrap_interval",
    "drops",
    "event_overlap",
    "find_blobs",
    "paired_difference",
    "paper",
    "per_class",
    "saliency_on_actors",
    "summary",
    "table_2",
]

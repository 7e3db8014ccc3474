"""The statistics of the comparison: the paper's Tables 1 and 2, and tests against known truth."""

from vidlib.compare import paper
from vidlib.compare.accuracy import class_drops, guess_table, per_class, reversal_drops, summary
from vidlib.compare.against_truth import against_truth, mask_survival, saliency_on_actors
from vidlib.compare.arrow import arrow_of_time, arrow_table
from vidlib.compare.distinct import distinct_counts, distinct_table, held_frames
from vidlib.compare.explanations import (
    blob_statistics,
    find_blobs,
    paired_difference,
    score_drops,
    table_2,
)
from vidlib.compare.intervals import bootstrap_interval
from vidlib.compare.networks import ALIKE, comparable_classes, network_differences
from vidlib.compare.survival import minimal, removing, survival, window_answers

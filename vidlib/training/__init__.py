"""Training with Lightning: resumable, the same numbers for the same seed."""

from vidlib.training.fit import fit
from vidlib.training.recipe import Recipe, TrainingError

"""How a network is trained, and what stops a training."""

from dataclasses import dataclass

import torch

from vidlib import check

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
SCHEDULES = ("one-cycle", "plateau", "constant")
PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}  # and what Lightning calls them
BEST = {  # the epoch whose weights are kept: a column of the history, and which row by it
    "last": ("epoch", max),
    "least loss": ("validation_loss", min),
    "best accuracy": ("validation_accuracy", max),
}


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to change."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    epochs: how often it sees every clip. batch_size: clips to a step, of all processes together.
    lr: the learning rate, the highest of its schedule. seed: of the clips' order and of dropout.
    optimizer: "adamw", "adam" (whose weight decay is a part of the gradient) or "sgd". momentum:
    of sgd; the others have none. schedule: "one-cycle" (up and down once, step by step), "plateau"
    (halved when the validation loss has not gone down for more than two epochs) or "constant".
    checkpoint: the epoch whose weights are kept, the "last" or the first that has the "least loss"
    or the "best accuracy" on the validation clips. precision: "float32", or "bfloat16" for passes
    in half precision, with weights in single precision.
    Raises ValueError for an invalid value.
    """

    epochs: int
    batch_size: int
    lr: float
    seed: int
    optimizer: str = "adamw"
    schedule: str = "one-cycle"
    weight_decay: float = 0.0
    momentum: float = 0.0
    checkpoint: str = "last"
    precision: str = "float32"

    def __post_init__(self):
        """Refuse invalid values."""
        check.one_of("optimizer", self.optimizer, OPTIMIZERS)
        check.one_of("schedule", self.schedule, SCHEDULES)
        check.one_of("checkpoint", self.checkpoint, BEST)
        check.one_of("precision", self.precision, PRECISIONS)
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            check.count(name, getattr(self, name), least)
        check.number("lr", self.lr, above=0)
        check.number("weight_decay", self.weight_decay, least=0)
        check.number("momentum", self.momentum, least=0, below=1)

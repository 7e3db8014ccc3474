"""What each of two processes does in test_distributed.py: trainings of toys, one after the other.

Run as `torchrun --nproc-per-node 2 tests/together.py FOLDER`, or by srun, or alone; every process
writes what it has to FOLDER/<rank>.pt.
"""

import sys
from pathlib import Path

import torch
from test_training import RECIPE, RECIPES, SWAPPED, Toy, replace, toy_clips

from vidlib import distributed
from vidlib.training import TrainingError, fit


def train(folder, recipe=RECIPE, network=None, train=None, validation=None, together=True):
    """Return the weights and the history, or what was said in place of them."""
    torch.manual_seed(0)
    network = network or Toy(dropout=0)
    clips = train or toy_clips(), validation or toy_clips(19, 1)  # a last batch of 3: of 2 and 1
    try:
        history = fit(network, *clips, folder, recipe, together=together)
    except (TrainingError, ValueError) as error:
        return str(error)
    return network.state_dict(), history


class Spoiled(Toy):
    """Its loss is NaN in the second epoch, in the last process alone."""

    calls = 0

    def forward(self, clips):
        self.calls += self.training
        bad = self.calls > 8 and distributed.rank() == distributed.world_size() - 1
        return super().forward(clips) * (float("nan") if bad else 1)


class Drawing(Toy):
    """Notes what it draws at random in the first step, as dropout would."""

    drawn = None

    def forward(self, clips):
        if self.training and self.drawn is None:
            self.drawn = torch.rand(8)
        return super().forward(clips)


def main(folder: Path) -> None:
    found = {name: train(folder / name, replace(RECIPE, **r)) for name, r in RECIPES.items()}
    train(folder / "resumed", replace(RECIPE, epochs=2, schedule="constant"))
    found["resumed"] = train(folder / "resumed", replace(RECIPE, schedule="constant"))
    found["constant"] = train(folder / "constant", replace(RECIPE, schedule="constant"))
    kept = replace(RECIPE, epochs=3, lr=1e-3, schedule="constant", checkpoint="least loss")
    train(folder / "best", replace(kept, epochs=2), validation=SWAPPED)
    found["best"] = train(folder / "best", kept, validation=SWAPPED)
    found["first"] = train(folder / "first", replace(kept, epochs=1), validation=SWAPPED)
    # In batches of 2, some shares are empty, and some batches: of these all clips are broken.
    found["broken"] = train(
        folder / "broken",
        replace(RECIPE, batch_size=2, epochs=2, weight_decay=0.1),
        train=toy_clips(broken=range(30)),
        validation=toy_clips(19, 1, broken=(0, 1, 4)),
    )
    found["spoiled"] = train(folder / "spoiled", network=Spoiled())
    network = Drawing(dropout=0)
    train(folder / "drawn", replace(RECIPE, epochs=1), network)
    found["drawn"] = network.drawn
    found["uneven"] = train(folder / "uneven", replace(RECIPE, batch_size=7))
    if distributed.rank() == 0:  # as stages do that the first process makes
        found["by the first"] = train(folder / "alone", together=False)
    torch.save(found, folder / f"{distributed.rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A network as Lightning trains it: its loss, its clips, what each epoch begins and ends with."""

import math
import os
import time
from operator import itemgetter

import lightning as L
import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from vidlib.data.clips import Batch, Batches, Clips, batch_loader, to_network
from vidlib.training.recipe import BEST, OPTIMIZERS, Recipe, TrainingError


class Classifier(L.LightningModule):
    """A network with cross-entropy, trained by a recipe on some clips and tried on others.

    Each epoch draws a new order of the training clips, and starts from its number and the history
    alone, so that a resumed epoch is the same. Every process has the same order, and takes its
    share of each batch: no clip twice, none added.

    history: a dict per finished epoch with epoch, loss and accuracy on both splits, learning_rate.
    It travels in the checkpoint, so that a resumed run has the whole of it. Where several processes
    share each batch, it is that of all their clips, and the same in each of them. best: the weights
    after the best epoch so far, on the CPU, unless the recipe keeps the last; they travel too.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, train: Clips, validation: Clips):
        super().__init__()
        self.network, self.recipe = network, recipe
        self.clips = {"train": train, "validation": validation}
        self.history: list[dict[str, float]] = []
        self.best: dict[str, torch.Tensor] = {}
        self.lost: list[str] = []  # of the running epoch: why this process could not read clips
        # Of the running epoch, all processes: sum of the losses, right answers, clips.
        self.sums = {split: np.zeros(3) for split in self.clips}
        self.clips_in_batch = 0  # of all processes

    def _loader(self, split: str, **options) -> Batches:
        clips, trainer = self.clips[split], self.trainer
        share = trainer.global_rank, trainer.world_size
        # Processes of one machine share the cores that they may use; not every system says which.
        allowed = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
        cores = len(allowed(0))
        workers = -(-cores // trainer.num_devices) if clips.frames.decoded else 0
        return batch_loader(clips, self.recipe.batch_size, share=share, workers=workers, **options)

    def train_dataloader(self) -> Batches:
        """Return the batches of the running epoch."""
        epoch = torch.Generator().manual_seed(1000 * self.recipe.seed + self.current_epoch)
        order = torch.randperm(len(self.clips["train"]), generator=epoch).tolist()
        return self._loader("train", order=order, drop_last=True)

    def val_dataloader(self) -> Batches:
        """Return the batches of the validation split."""
        return self._loader("validation")

    def on_train_epoch_start(self) -> None:
        """Draw this epoch's random numbers, and set the rate that its history asks for."""
        number = 1000 * self.recipe.seed + self.current_epoch
        if self.global_rank:  # each process draws dropout of its own
            # torch's generators on CPUs take 32 bits of a seed
            number = int(np.random.SeedSequence([number, self.global_rank]).generate_state(1)[0])
        torch.manual_seed(number)
        if self.recipe.schedule == "plateau":
            (optimizer,) = self.trainer.optimizers
            for group in optimizer.param_groups:
                group["lr"] = self.recipe.lr
            plateau = ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
            for row in self.history:
                plateau.step(row["validation_loss"])
        self.begin = time.perf_counter()

    def _score(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean loss and number of right answers of some clips."""
        logits = self.network(to_network(batch.frames)).float()
        loss = nn.functional.cross_entropy(logits, batch.outputs)
        return loss, (logits.argmax(1) == batch.outputs).sum()

    def _count(self, split: str, loss: torch.Tensor, right: torch.Tensor, clips: int) -> np.ndarray:
        """Add what all processes found in a batch to the epoch's sums, and return it."""
        here = [loss.detach().float() * clips, right.float(), loss.new_tensor(clips).float()]
        everywhere = self.trainer.strategy.reduce(torch.stack(here), reduce_op="sum")
        found = np.array(everywhere.tolist())
        self.sums[split] += found
        return found

    def training_step(self, batch: Batch, _) -> torch.Tensor | None:
        """Return the loss of one batch; refuse to go on from one that is not finite."""
        self.lost += batch.lost
        clips, together = len(batch.frames), self.trainer.world_size
        if not clips:
            if together == 1:
                return None
            # Processes have to go through the network together: a black clip of no weight.
            frames = batch.frames.new_zeros((1, *batch.frames.shape[1:]))
            batch = batch._replace(frames=frames, outputs=batch.outputs.new_zeros(1))
        loss, right = self._score(batch)
        total, _, self.clips_in_batch = self._count("train", loss, right * (clips > 0), clips)
        if not math.isfinite(total):  # in any process, and so all of them stop here
            raise self._not_finite(f"the loss is {total / max(self.clips_in_batch, 1)}")
        # The mean over the processes, which is what their gradients get, is that over all clips.
        return loss * (clips * together / max(self.clips_in_batch, 1))

    def on_after_backward(self) -> None:
        """Change nothing after a batch of which no process could read a clip."""
        if not self.clips_in_batch:
            self.zero_grad(set_to_none=True)

    def _not_finite(self, what: str) -> TrainingError:
        return TrainingError(
            f"{what} in epoch {self.current_epoch}; the last checkpoint is kept: lower the "
            f"learning rate (now at most {self.recipe.lr:g}) and start again"
        )

    def on_validation_start(self) -> None:
        """Note how long the epoch trained."""
        self.seconds = time.perf_counter() - self.begin

    def validation_step(self, batch: Batch, _) -> None:
        """Score one batch of the validation split."""
        self.lost += batch.lost
        clips = len(batch.frames)
        nothing = torch.zeros((), device=self.device)
        self._count("validation", *(self._score(batch) if clips else (nothing, nothing)), clips)

    def on_train_epoch_end(self) -> None:
        """Add the epoch to the history and print it in one line; `TrainingError` where it failed.

        The network may have broken in the very last step, whose loss was still a number.
        """
        row: dict[str, float] = {"epoch": self.current_epoch}
        speed = self.sums["train"][2] / self.seconds
        for split, sums in self.sums.items():
            loss, right, clips = sums.tolist()
            if not clips:
                reason = f", first: {self.lost[0]}" if self.lost else ""
                raise TrainingError(f"no {split} clip could be read{reason}: mend or replace them")
            row |= {f"{split}_loss": loss / clips, f"{split}_accuracy": right / clips}
            self.sums[split] = np.zeros(3)
        values = [v for v in self.network.state_dict().values() if v.is_floating_point()]
        if not all(v.isfinite().all() for v in values):
            raise self._not_finite("some weights are no longer finite")
        if not math.isfinite(row["validation_loss"]):
            raise self._not_finite(f"the validation loss is {row['validation_loss']}")
        shown = {name: value for name, value in row.items() if name != "epoch"}
        self.log_dict(shown, prog_bar=True, sync_dist=True)
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.history.append({**row, "learning_rate": rate})
        column, best_of = BEST[self.recipe.checkpoint]
        if column != "epoch" and best_of(self.history, key=itemgetter(column)) is self.history[-1]:
            self.best = {k: v.cpu().clone() for k, v in self.network.state_dict().items()}
        if self.trainer.is_global_zero:
            shares = [f"{split} {row[f'{split}_accuracy']:.0%}, " for split in self.sums]
            epoch = f"epoch {self.current_epoch + 1}/{self.trainer.max_epochs}: "
            print(f"{epoch}{''.join(shares)}{speed:.3g} clips/s", flush=True)
        if self.lost:
            print(f"{len(self.lost)} clips could not be read, first: {self.lost[0]}", flush=True)
            self.lost.clear()

    def configure_optimizers(self):
        """Return the recipe's optimizer, with one cycle over the whole training if it says so."""
        r = self.recipe
        own = {"momentum": r.momentum} if r.optimizer == "sgd" else {}
        optimizer = OPTIMIZERS[r.optimizer](
            self.network.parameters(), lr=r.lr, weight_decay=r.weight_decay, fused=True, **own
        )
        if r.schedule != "one-cycle":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = OneCycleLR(optimizer, r.lr, steps, pct_start=0.2, cycle_momentum=not own)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def on_save_checkpoint(self, checkpoint) -> None:
        """Keep the learning curves and the best weights."""
        checkpoint |= {"history": self.history, "best": self.best}

    def on_load_checkpoint(self, checkpoint) -> None:
        """Restore the learning curves and the best weights."""
        self.history, self.best = checkpoint["history"], checkpoint["best"]

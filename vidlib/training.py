"""Train a network on clips with Lightning: resumable, the same numbers for the same seed."""

import logging
import math
import os
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO
from lightning.pytorch.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau
from torch.utils.data import DataLoader, Sampler

from vidlib import distributed
from vidlib.data.clips import Batch, Clips, batch_loader, to_network
from vidlib.files import aside, sweep

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
SCHEDULES = ("one-cycle", "plateau", "constant")


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
    Raises ValueError for a value that cannot be.
    """

    epochs: int
    batch_size: int
    lr: float
    seed: int
    optimizer: str = "adamw"
    schedule: str = "one-cycle"
    weight_decay: float = 0.0
    momentum: float = 0.0

    def __post_init__(self):
        """Refuse values that cannot be."""
        for name, allowed in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: give one of {', '.join(allowed)}"
                )
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} is {value!r}: give a whole number of at least {least}")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr is {self.lr!r}: give a finite number above 0")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay is {self.weight_decay!r}: give a finite number from 0")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is {self.momentum!r}: give a number from 0 to below 1")


class Classifier(L.LightningModule):
    """A network with cross-entropy, trained by a recipe.

    history: a dict per finished epoch with epoch, loss and accuracy on both splits, learning_rate.
    It travels in the checkpoint, so that a resumed run has the whole of it. Where several processes
    share each batch, it is that of all their clips, and the same in each of them.
    """

    def __init__(self, network: nn.Module, recipe: Recipe):
        super().__init__()
        self.network, self.recipe = network, recipe
        self.history: list[dict[str, float]] = []
        self.lost: list[str] = []  # of the running epoch: why this process could not read clips
        # Of the running epoch, all processes: sum of the losses, right answers, clips.
        self.sums = {split: np.zeros(3) for split in ("train", "validation")}
        self.clips_in_batch = 0  # of all processes

    def _score(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean loss and number of right answers of some clips."""
        logits = self.network(to_network(batch.frames))
        loss = nn.functional.cross_entropy(logits, batch.outputs)
        return loss, (logits.argmax(1) == batch.outputs).sum()

    def _count(self, split: str, loss: torch.Tensor, right: torch.Tensor, clips: int) -> np.ndarray:
        """Add what all processes found in a batch to the epoch's sums, and return it."""
        found = torch.stack(
            [loss.detach().float() * clips, right.float(), loss.new_tensor(clips).float()]
        )
        found = np.array(self.trainer.strategy.reduce(found, reduce_op="sum").tolist())
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
        """Let a batch of which no process could read a clip change nothing."""
        if not self.clips_in_batch:
            self.zero_grad(set_to_none=True)

    def _not_finite(self, what: str) -> TrainingError:
        return TrainingError(
            f"{what} in epoch {self.current_epoch}; the last checkpoint is kept: lower the "
            f"learning rate (now at most {self.recipe.lr:g}) and start again"
        )

    def validation_step(self, batch: Batch, _) -> None:
        """Score one batch of the validation split."""
        self.lost += batch.lost
        clips = len(batch.frames)
        nothing = torch.zeros((), device=self.device)
        self._count("validation", *(self._score(batch) if clips else (nothing, nothing)), clips)

    def finish_epoch(self) -> dict[str, float]:
        """Add the epoch to the history and return its row; raise `TrainingError` where it is none.

        The network may have broken in the very last step, whose loss was still a number.
        """
        row: dict[str, float] = {"epoch": self.current_epoch}
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
        row["learning_rate"] = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.history.append(row)
        return row

    def configure_optimizers(self):
        """Return the recipe's optimizer, with one cycle over the whole training if it says so."""
        r = self.recipe
        own = {"momentum": r.momentum} if r.optimizer == "sgd" else {}
        optimizer = OPTIMIZERS[r.optimizer](
            self.network.parameters(), lr=r.lr, weight_decay=r.weight_decay, **own
        )
        if r.schedule != "one-cycle":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = OneCycleLR(optimizer, r.lr, steps, pct_start=0.2, cycle_momentum=not own)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def on_save_checkpoint(self, checkpoint) -> None:
        """Keep the learning curves."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint) -> None:
        """Restore the learning curves."""
        self.history = checkpoint["history"]


class _Epochs(Callback):
    """Begins an epoch by its number and the history alone: a resumed one is what was cut off."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe

    def on_train_epoch_start(self, trainer, module) -> None:
        number = 1000 * self.recipe.seed + trainer.current_epoch
        if trainer.global_rank:  # each process draws dropout of its own
            # torch's generators on CPUs take 32 bits of a seed
            number = int(np.random.SeedSequence([number, trainer.global_rank]).generate_state(1)[0])
        torch.manual_seed(number)
        if self.recipe.schedule == "plateau":
            (optimizer,) = trainer.optimizers
            for group in optimizer.param_groups:
                group["lr"] = self.recipe.lr
            plateau = ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
            for row in module.history:
                plateau.step(row["validation_loss"])
        self.begin = time.perf_counter()

    def on_validation_start(self, trainer, module) -> None:
        self.seconds = time.perf_counter() - self.begin

    def on_train_epoch_end(self, trainer, module) -> None:
        seen = module.sums["train"][2]
        row = module.finish_epoch()
        shown = [name for name in row if name.endswith(("loss", "accuracy"))]
        module.log_dict({name: row[name] for name in shown}, prog_bar=True, sync_dist=True)
        if trainer.is_global_zero:
            print(
                f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: "
                f"train {row['train_accuracy']:.0%}, validation {row['validation_accuracy']:.0%}, "
                f"{seen / self.seconds:.3g} clips/s",
                flush=True,
            )
        if module.lost:
            print(
                f"{len(module.lost)} clips could not be read, first: {module.lost[0]}", flush=True
            )
            module.lost.clear()


class _Shuffled(Sampler):
    """A random order that depends on a number alone, however often it is asked for."""

    def __init__(self, length: int, number: int):
        self.length, self.number = length, number

    def __iter__(self):
        order = torch.Generator().manual_seed(self.number)
        return iter(torch.randperm(self.length, generator=order).tolist())

    def __len__(self) -> int:
        return self.length


class _Batches(L.LightningDataModule):
    """Both splits; the order of the training clips is drawn anew, by number, every epoch.

    Every process has the same order, and takes its share of each batch: no clip twice, none added.
    """

    def __init__(self, train: Clips, validation: Clips, recipe: Recipe):
        super().__init__()
        self.train, self.validation, self.recipe = train, validation, recipe

    def _loader(self, clips: Clips, **options) -> DataLoader:
        trainer = self.trainer
        share = trainer.global_rank, trainer.world_size
        # Processes of one machine share the cores that they may use; not every system says which.
        allowed = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
        cores = len(allowed(0))
        workers = -(-cores // trainer.num_devices) if clips.frames.decoded else 0
        return batch_loader(clips, self.recipe.batch_size, share=share, workers=workers, **options)

    def train_dataloader(self) -> DataLoader:
        number = 1000 * self.recipe.seed + self.trainer.current_epoch
        return self._loader(self.train, order=_Shuffled(len(self.train), number), drop_last=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader(self.validation)


class _Checkpoints(TorchCheckpointIO):
    """Checkpoints that are whole or not there, and that run no code when they are read."""

    def save_checkpoint(self, checkpoint, path, storage_options=None) -> None:
        # Lightning's own is written to the folder for temporary files, and moving it from there to
        # another disk is copying it.
        folder = Path(path).parent
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        with aside(path) as part:
            torch.save(checkpoint, part)

    def load_checkpoint(self, path, map_location="cpu", weights_only=True) -> dict:
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
            checkpoint["state_dict"], checkpoint["optimizer_states"], checkpoint["history"]
        except Exception as error:  # torch, zipfile and pickle have many for what is no checkpoint
            raise TrainingError(
                f"{path} is cut off, spoiled or no checkpoint of this training: delete it, and "
                "training starts from the beginning"
            ) from error
        return checkpoint


def fit(
    network: nn.Module,
    train: Clips,
    validation: Clips,
    folder: Path,
    recipe: Recipe,
    *,
    together: bool = False,
) -> list[dict[str, float]]:
    """Train a network in place and return its learning curves, a dict per epoch.

    A checkpoint per epoch goes to folder/last.ckpt; where one is there, training goes on from it
    and ends, on a CPU, with the very weights of an uninterrupted run. together: whether all
    processes that torchrun or Slurm started for this run share each batch, for which each of them
    has to call this; the first one's folder counts. They see the same clips in the same steps as
    one process would, and come to its numbers within rounding, but where there is BatchNorm: on a
    GPU its statistics are of the whole batch too, on CPUs of each process's share, those kept being
    the first one's.

    Raises ValueError for fewer clips than a batch, none to validate by or a batch that processes
    cannot share evenly, `TrainingError` for a loss or weights that are not finite, for clips of
    which none can be read and for a checkpoint that cannot be.
    """
    several = distributed.world_size() if together else 1
    if len(train) < recipe.batch_size:
        raise ValueError(
            f"{len(train)} training clips do not fill a batch of {recipe.batch_size}: lower "
            "batch_size or take more clips"
        )
    if not len(validation):
        raise ValueError("no validation clips to judge by: add some to the data set")
    if recipe.batch_size % several:
        raise ValueError(
            f"batch_size is {recipe.batch_size}, which {several} processes cannot share evenly: "
            f"give a multiple of {several}, or start another number of them"
        )
    # Named, or Lightning would take a process that trains alone for a part of Slurm's job.
    where = {"devices": 1, "plugins": [_Checkpoints(), LightningEnvironment()]}
    if several > 1:
        folder = distributed.broadcast(folder)
        nodes = distributed.nodes()
        where = {"strategy": "ddp", "devices": several // nodes, "num_nodes": nodes}
        where["plugins"] = [_Checkpoints(), TorchElasticEnvironment()]
    folder = Path(folder)
    module = Classifier(network, recipe)
    checkpoint = ModelCheckpoint(
        dirpath=folder, filename="last", save_top_k=1, enable_version_counter=False
    )
    trainer = L.Trainer(
        max_epochs=recipe.epochs,
        accelerator="auto",
        **where,
        use_distributed_sampler=False,  # the loaders give each process its share
        sync_batchnorm=several > 1 and torch.cuda.is_available(),
        precision="bf16-mixed" if torch.cuda.is_available() else "32-true",
        logger=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        default_root_dir=folder,
        enable_progress_bar=sys.stderr.isatty(),  # a log gets the line per epoch alone
        callbacks=[_Epochs(recipe), checkpoint],
    )
    last = folder / "last.ckpt"
    goes_on = distributed.broadcast(last.exists()) if several > 1 else last.exists()
    with warnings.catch_warnings():
        # Clips are in memory already: loader workers, which it recommends, would only copy them.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
        warnings.filterwarnings("ignore", ".*LeafSpec.*", DeprecationWarning)
        warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
        trainer.fit(
            module,
            datamodule=_Batches(train, validation, recipe),
            ckpt_path=str(last) if goes_on else None,
            weights_only=True,
        )
    return module.history

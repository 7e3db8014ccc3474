"""Train a network on clips with Lightning: resumable, the same numbers for the same seed."""

import logging
import sys
import warnings
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, Sampler
from torchmetrics.classification import MulticlassAccuracy

from vidlib.data.clips import Batch, Clips, batch_loader, to_network

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to change."""


class Classifier(L.LightningModule):
    """A network with cross-entropy, AdamW and a one-cycle learning rate.

    history: a dict per finished epoch with epoch, loss and accuracy on both splits, learning_rate.
    It travels in the checkpoint, so that a resumed run has the whole of it.
    """

    def __init__(self, network: nn.Module, classes: int, *, lr: float, weight_decay: float):
        super().__init__()
        self.network = network
        self.lr, self.weight_decay = lr, weight_decay
        self.history: list[dict[str, float]] = []
        self.lost: list[str] = []  # of the running epoch: why clips could not be read
        self.accuracy = nn.ModuleDict(
            {f"{split}_accuracy": MulticlassAccuracy(classes, average="micro")
             for split in ("train", "validation")}
        )  # fmt: skip

    def _step(self, batch: Batch, split: str) -> torch.Tensor | None:
        self.lost += batch.lost
        if not len(batch.frames):
            return None
        clips, outputs = to_network(batch.frames), batch.outputs
        logits = self.network(clips)
        loss = nn.functional.cross_entropy(logits, outputs)
        self.accuracy[f"{split}_accuracy"](logits, outputs)
        show = {"on_step": False, "on_epoch": True, "prog_bar": True, "batch_size": len(clips)}
        self.log(f"{split}_loss", loss, **show)
        self.log(f"{split}_accuracy", self.accuracy[f"{split}_accuracy"], **show)
        return loss

    def training_step(self, batch: Batch, _) -> torch.Tensor | None:
        """Return the loss of one batch; refuse to go on from one that is not finite."""
        loss = self._step(batch, "train")
        if loss is not None and not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} in epoch {self.current_epoch}; the last checkpoint is "
                f"kept: lower the learning rate (now at most {self.lr:g}) and start again"
            )
        return loss

    def validation_step(self, batch: Batch, _) -> None:
        """Score one batch of the validation split."""
        self._step(batch, "validation")

    def configure_optimizers(self):
        """Return AdamW with one cycle over the whole training."""
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self.lr, weight_decay=self.weight_decay
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, steps, pct_start=0.2)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def on_save_checkpoint(self, checkpoint) -> None:
        """Keep the learning curves."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint) -> None:
        """Restore the learning curves."""
        self.history = checkpoint["history"]


class _Epochs(Callback):
    """Seeds every epoch by its number, so that a resumed epoch is the one that was cut off."""

    def __init__(self, seed: int):
        self.seed = seed

    def on_train_epoch_start(self, trainer, module) -> None:
        torch.manual_seed(1000 * self.seed + trainer.current_epoch)

    def on_train_epoch_end(self, trainer, module) -> None:
        row = {name: value.item() for name, value in trainer.callback_metrics.items()}
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        module.history.append({"epoch": trainer.current_epoch, **row})
        print(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: "
            f"train {row['train_accuracy']:.0%}, validation {row['validation_accuracy']:.0%}",
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
    """Both splits; the order of the training clips is drawn anew, by number, every epoch."""

    def __init__(self, train: Clips, validation: Clips, batch_size: int, seed: int):
        super().__init__()
        self.train, self.validation = train, validation
        self.batch_size, self.seed = batch_size, seed

    def train_dataloader(self) -> DataLoader:
        order = _Shuffled(len(self.train), 1000 * self.seed + self.trainer.current_epoch)
        return batch_loader(self.train, self.batch_size, order=order, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        return batch_loader(self.validation, self.batch_size)


def fit(
    network: nn.Module,
    train: Clips,
    validation: Clips,
    folder: Path,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    weight_decay: float,
    seed: int,
) -> list[dict[str, float]]:
    """Train a network in place and return its learning curves, a dict per epoch.

    A checkpoint per epoch goes to folder/last.ckpt; where one is there, training goes on from it
    and ends, on a CPU, with the very weights of an uninterrupted run. Raises ValueError for fewer
    clips than a batch or none to validate by, `TrainingError` for a loss that is not finite.
    """
    if len(train) < batch_size:
        raise ValueError(
            f"{len(train)} training clips do not fill a batch of {batch_size}: lower batch_size "
            "or take more clips"
        )
    if not len(validation):
        raise ValueError("no validation clips to judge by: add some to the data set")
    folder = Path(folder)
    module = Classifier(network, len(train.classes), lr=lr, weight_decay=weight_decay)
    checkpoint = ModelCheckpoint(
        dirpath=folder, filename="last", save_top_k=1, enable_version_counter=False
    )
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="auto",
        devices=1,
        precision="bf16-mixed" if torch.cuda.is_available() else "32-true",
        logger=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        default_root_dir=folder,
        enable_progress_bar=sys.stderr.isatty(),  # a log gets the line per epoch alone
        callbacks=[_Epochs(seed), checkpoint],
    )
    last = folder / "last.ckpt"
    with warnings.catch_warnings():
        # Clips are in memory already: loader workers, which it recommends, would only copy them.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
        warnings.filterwarnings("ignore", ".*LeafSpec.*", DeprecationWarning)
        warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
        trainer.fit(
            module,
            datamodule=_Batches(train, validation, batch_size, seed),
            ckpt_path=str(last) if last.exists() else None,
        )
    return module.history

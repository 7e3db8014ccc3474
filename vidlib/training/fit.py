"""Train a network on clips: its checkpoints, and one function that does it all."""

import copy
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO
from lightning.pytorch.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from torch import nn

from vidlib import check, distributed
from vidlib.data.clips import Clips, batch_loader, to_network
from vidlib.files import aside, sweep
from vidlib.training.classifier import Classifier
from vidlib.training.recipe import PRECISIONS, Recipe, TrainingError

LEAST_ALIKE = 0.9  # cosine of a weight's gradients in half and in single precision

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


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
            checkpoint["state_dict"], checkpoint["optimizer_states"]
            checkpoint["history"], checkpoint["best"]
        except Exception as error:  # torch, zipfile and pickle have many for what is no checkpoint
            remedy = "delete it, and training starts from the beginning"
            raise TrainingError(f"{path} is damaged or no checkpoint of this: {remedy}") from error
        return checkpoint


def _right_precision(network: nn.Module, train: Clips, recipe: Recipe) -> str:
    """Return the recipe's precision, or float32 where half precision goes wrong on a batch.

    PyTorch's kernels for bfloat16 have had errors at certain shapes: they turn the gradients of
    some weights by far more than rounding does. The network is in eval mode, as BatchNorm in
    training mode blows up any rounding.
    """
    if recipe.precision == "float32":
        return recipe.precision
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch = next(iter(batch_loader(train, recipe.batch_size, workers=0)))
    clips, outputs = to_network(batch.frames.to(device)), batch.outputs.to(device)
    gradients = []
    for half in (False, True) if len(clips) else ():
        one = copy.deepcopy(network).to(device).eval()
        with torch.autocast(device, torch.bfloat16, enabled=half):
            logits = one(clips)
        nn.functional.cross_entropy(logits.float(), outputs).backward()
        weights = (p.grad.flatten() for p in one.parameters() if p.ndim > 1 and p.grad is not None)
        gradients.append(list(weights))
    pairs = [pair for pair in zip(*gradients, strict=True) if pair[0].any()]
    cosines = [nn.functional.cosine_similarity(one, other, 0).item() for one, other in pairs]
    alike = min(cosines, default=1.0)
    if alike >= LEAST_ALIKE:
        return recipe.precision
    print(
        f"bfloat16 goes wrong here: gradients of some weights have a cosine of {alike:.2f} with "
        f"those in float32, less than {LEAST_ALIKE}; training in float32",
        flush=True,
    )
    return "float32"


def fit(
    network: nn.Module,
    train: Clips,
    validation: Clips,
    folder: str | Path,
    recipe: Recipe,
    *,
    together: bool = False,
) -> list[dict[str, float]]:
    """Train a network in place and return its learning curves, a dict per epoch.

    Each epoch leaves a checkpoint, folder/last.ckpt; if there is one, training resumes from it, by
    the same recipe, and ends, on a CPU, with the same weights as an uninterrupted run: those of the
    epoch that the recipe keeps. The curves are of all epochs. together: whether all processes
    that torchrun or Slurm started share each batch; then each of them calls this, and the first
    one's folder counts. They see the same clips in the same steps as one process would and reach
    its numbers within rounding, except for BatchNorm: on GPUs its statistics are of the whole batch
    too, on CPUs of each process's share, and the first one's are kept.

    Raises ValueError for fewer clips than a batch, no validation clips, or a batch that processes
    cannot share evenly; `TrainingError` for a loss or weights that are not finite, where no clip
    can be read, and for an unreadable checkpoint.

    >>> import tempfile
    >>> from vidlib.data import Clips, Frames
    >>> import numpy as np, pandas as pd
    >>> frames = np.zeros((4, 2, 16, 16, 3), np.uint8)
    >>> index = pd.DataFrame({"label": [3, 5, 3, 5], "label_name": ["up", "down", "up", "down"]})
    >>> clips = Clips(index, Frames(frames.__getitem__, np.arange(4), frames.shape[1:]), [3, 5])
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(1536, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     history = fit(network, clips, clips, folder, Recipe(1, 2, lr=0.1, seed=0))
    epoch 1/1: train ...
    >>> sorted(history[0])[:3]
    ['epoch', 'learning_rate', 'train_accuracy']
    """
    several = distributed.world_size() if together else 1
    check.count("batch_size", recipe.batch_size, most=len(train))
    check.count("the number of validation clips", len(validation))
    if recipe.batch_size % several:
        size = f"batch_size is {recipe.batch_size}"
        raise ValueError(f"{size}: give a multiple of {several}, the number of processes")
    # Named, or Lightning would take a process that trains alone for a part of Slurm's job.
    where: dict[str, Any] = {"devices": 1, "plugins": [_Checkpoints(), LightningEnvironment()]}
    if several > 1:
        folder = distributed.broadcast(folder)
        nodes = distributed.nodes()
        where = {"strategy": "ddp", "devices": several // nodes, "num_nodes": nodes}
        where["plugins"] = [_Checkpoints(), TorchElasticEnvironment()]
    folder = Path(folder)
    precision = _right_precision(network, train, recipe)
    precision = distributed.broadcast(precision) if several > 1 else precision
    where["precision"] = PRECISIONS[precision]
    module = Classifier(network, recipe, train, validation)
    kept = ModelCheckpoint(dirpath=folder, filename="last", enable_version_counter=False)
    trainer = L.Trainer(
        max_epochs=recipe.epochs,
        **where,
        logger=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the loaders give each process its share
        sync_batchnorm=several > 1 and torch.cuda.is_available(),
        reload_dataloaders_every_n_epochs=1,
        default_root_dir=folder,
        enable_progress_bar=sys.stderr.isatty(),  # a log gets the line per epoch alone
        callbacks=[kept],
    )
    last = folder / "last.ckpt"
    resumes = distributed.broadcast(last.exists()) if several > 1 else last.exists()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*LeafSpec.*")
        warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
        begin = str(last) if resumes else None
        trainer.fit(module, ckpt_path=begin, weights_only=True)
    if recipe.checkpoint != "last":
        network.load_state_dict(module.best)
    return module.history

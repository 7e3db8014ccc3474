"""The processes of one run, as torchrun or Slurm's srun start them: which one of how many."""

import atexit
import datetime
import functools
import os

import torch
import torch.distributed as dist

FOREVER = datetime.timedelta(days=30)  # others wait while the first prepares; launchers end them


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def world_size() -> int:
    """Return how many processes share this run; 1 for one that was started by itself."""
    return int(os.environ.get("WORLD_SIZE" if _by_torchrun() else "SLURM_STEP_NUM_TASKS", 1))


def rank() -> int:
    """Return the number of this process among them, the first being 0."""
    return int(os.environ.get("RANK" if _by_torchrun() else "SLURM_PROCID", 0)) * (world_size() > 1)


def nodes() -> int:
    """Return over how many machines they are spread, evenly."""
    if _by_torchrun():
        return world_size() // int(os.environ["LOCAL_WORLD_SIZE"])
    return int(os.environ.get("SLURM_STEP_NUM_NODES", 1))


def broadcast(value):
    """Return the first process's value in every process; all have to call it, in the same order.

    They wait here for the first, as long as it takes. Raises RuntimeError where that one stops.
    """
    if world_size() == 1:
        return value
    values = [value]
    try:
        if not dist.is_initialized():
            _join()
        dist.broadcast_object_list(values, group=_waiting())
    except RuntimeError as error:
        raise RuntimeError(
            f"process {rank()} waited for another that stopped; what that one says tells why"
        ) from error
    return values[0]


def _join() -> None:
    """Connect the processes of this run, by the variables that torchrun sets."""
    if not _by_torchrun():
        _name_as_torchrun_does()
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    atexit.register(dist.destroy_process_group)


@functools.cache
def _waiting() -> dist.ProcessGroup:
    """Return all processes as a group of its own: in training none is waited for so long."""
    return dist.new_group(backend="gloo", timeout=FOREVER)


def _name_as_torchrun_does() -> None:
    from lightning.pytorch.plugins.environments import SLURMEnvironment

    slurm = os.environ
    first = SLURMEnvironment.resolve_root_node_address(
        slurm.get("SLURM_STEP_NODELIST", "127.0.0.1")
    )
    port = (
        15000 + int(slurm.get("SLURM_JOB_ID", 0)) % 10000
    )  # known to all, others' jobs have others
    os.environ.setdefault("MASTER_ADDR", first)
    os.environ.setdefault("MASTER_PORT", str(port))
    os.environ.update(
        WORLD_SIZE=str(world_size()),
        RANK=str(rank()),
        LOCAL_RANK=slurm["SLURM_LOCALID"],
        GROUP_RANK=slurm.get("SLURM_NODEID", "0"),
    )

"""The processes of one run, as torchrun or Slurm's srun start them: how many, and which is this."""

import atexit
import datetime
import functools
import os

import torch
import torch.distributed as dist

FOREVER = datetime.timedelta(days=30)  # the others wait while the first prepares


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def world_size() -> int:
    """Return how many processes share this run; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE" if _by_torchrun() else "SLURM_STEP_NUM_TASKS", 1))


def rank() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ.get("RANK" if _by_torchrun() else "SLURM_PROCID", 0)) * (world_size() > 1)


def nodes() -> int:
    """Return on how many machines they run, equally many on each."""
    if _by_torchrun():
        return world_size() // int(os.environ["LOCAL_WORLD_SIZE"])
    return int(os.environ.get("SLURM_STEP_NUM_NODES", 1))


def broadcast(value):
    """Return the first process's value in every process; all must call this, in the same order.

    They wait for the first as long as it takes. Raises RuntimeError if it stops.
    """
    return gather(value)[0]


def gather(value) -> list:
    """Return every process's value in every process; all must call this, in the same order.

    They wait for each other as long as it takes. Raises RuntimeError if one stops.

    >>> gather("made")
    ['made']
    """
    values = [value] * world_size()
    if len(values) > 1:
        try:
            dist.all_gather_object(values, value, group=_all_processes())
        except RuntimeError as error:
            raise RuntimeError(
                f"process {rank()} waited for another one, which stopped: see its own error"
            ) from error
    return values


@functools.cache
def _all_processes() -> dist.ProcessGroup:
    """Connect the processes of this run; return a group with a longer timeout than training has."""
    if not dist.is_initialized():
        if not _by_torchrun():
            _name_as_torchrun_does()
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(dist.destroy_process_group)
    return dist.new_group(backend="gloo", timeout=FOREVER)


def _name_as_torchrun_does() -> None:
    from lightning.pytorch.plugins.environments import SLURMEnvironment

    slurm = os.environ
    named = slurm.get("SLURM_STEP_NODELIST", "127.0.0.1")
    first = SLURMEnvironment.resolve_root_node_address(named)
    port = 15000 + int(slurm.get("SLURM_JOB_ID", 0)) % 10000  # the same for all, by job
    os.environ.setdefault("MASTER_ADDR", first)
    os.environ.setdefault("MASTER_PORT", str(port))
    os.environ.update(
        WORLD_SIZE=str(world_size()),
        RANK=str(rank()),
        LOCAL_RANK=slurm["SLURM_LOCALID"],
        GROUP_RANK=slurm.get("SLURM_NODEID", "0"),
    )

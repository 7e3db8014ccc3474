"""Temporal masks: the authors' procedure, written plainly, against ours on the same networks.

Beside its time, each way's loss by Eq. 1 is printed: ours must not be higher. The networks and
clips are those of the `quick` study, which is run as far as needed.
"""

import multiprocessing
import resource
import time

import torch
from _published import published_mask
from _timing import compare

from vidlib.explain import (
    find_masks,
    freeze,
    learn_masks,
    penalty,
    perturb,
    score_all_masks,
    search_masks,
)
from vidlib.explain.scores import held_fixed, score_clips
from vidlib.show import TITLES
from vidlib.study import open_study

STEPS = 300  # of the published procedure
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def loss_of(network, clips, targets, masks) -> float:
    """Return the mean loss of masks by Eq. 1."""
    scores = score_clips(network, perturb(clips, freeze(masks)))
    return (penalty(masks) + scores.gather(1, targets[:, None])[:, 0]).mean().item()


def against_published(network, clips) -> None:
    """Print times and losses of every way to find a mask."""
    targets = score_clips(network, clips).argmax(1)
    found = {}

    def plainly():
        masks = [
            published_mask(network, clip, int(target), iterations=STEPS)
            for clip, target in zip(clips, targets, strict=True)
        ]
        found["published, plainly"] = torch.stack(masks)

    def ours(name, how, **options):
        def run():
            found[name] = how(network, clips, targets, **options).mask

        return run

    compare(
        {
            "published, plainly": plainly,
            "the same": ours("the same", learn_masks, procedure="paper", iterations=STEPS),
            "corrected": ours("corrected", learn_masks, iterations=STEPS),
            "every window": ours("every window", search_masks),
            "find_masks": ours("find_masks", find_masks),
        },
        rounds=1,
    )
    for name, masks in found.items():
        print(f"  {name:32} mean loss {loss_of(network, clips, targets, masks):.4f}")


def share_of_throughput(network, clips, steps: int = 10) -> None:
    """Print steps of masks beside the network's own forward and backward passes."""
    moving = clips.clone().requires_grad_()

    def passes():
        with held_fixed(network, gradients=True):
            for _ in range(steps):
                torch.autograd.grad(network(moving).sum(), moving)

    start = torch.full((len(clips), clips.shape[2]), 0.5, device=clips.device)
    compare(
        {
            f"{steps} passes forward and back": passes,
            f"{steps} steps of masks": lambda: learn_masks(
                network, clips, start=start, iterations=steps - 1, micro_batch=len(clips)
            ),
        },
        rounds=3,
    )


def shared_work(network, clips) -> None:
    """Print what computing once what perturbations share saves, and the cost of every mask."""

    def windows(shares: bool):
        def run():
            network.shares_work = shares
            search_masks(network, clips)

        return run

    compare({"every window, plainly": windows(False), "shared": windows(True)}, rounds=3)
    begin = time.perf_counter()
    score_all_masks(network, clips[:1])
    print(f"  every mask of a clip {time.perf_counter() - begin:.0f} s")


def peak(name: str, count: int) -> tuple[float, float]:
    """Return seconds and peak memory (MiB) of finding masks for `count` clips."""
    study = open_study("something-mini", "quick")
    clips, _ = study.explained_clips().subset(range(count)).batch()
    network = study.network(name)
    begin = time.perf_counter()
    find_masks(network, clips, micro_batch=8)
    return time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    study = open_study("something-mini", "quick")
    few = torch.linspace(0, len(study.explained_clips()) - 1, 8).long().numpy()
    clips, _ = study.explained_clips().subset(few).batch()
    clips = clips.to(DEVICE)
    for name, title in TITLES.items():
        network = study.network(name).to(DEVICE)
        print(f"{title}: masks of {len(clips)} clips, {STEPS} steps, {DEVICE}")
        against_published(network, clips)
        share_of_throughput(network, clips)
        shared_work(network, clips)
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            for count in (8, 16, 32):
                seconds, memory = pool.apply(peak, (name, count))
                print(f"  {count} clips: {seconds / count:.2f} s a clip, {memory:.0f} MiB at most")

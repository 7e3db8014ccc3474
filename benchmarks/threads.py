"""Many trainings on one machine: one after another on all cores, or one on each core at a time?

Trains the `quick` networks for an epoch on few clips, as often as there are cores, both ways
in one run. A ratio above 1 means that side by side is faster; `SIDE_BY_SIDE` in
`vidlib.workflow.jobs` names those networks.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vidlib.variants import STUDIED

CORES = os.cpu_count() or 1
SETTINGS = {"train_clips": 40, "i3d_epochs": 1, "clstm_epochs": 1}
MALLOC = {  # as the Snakefile sets them
    "MALLOC_MMAP_THRESHOLD_": "8000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_TOP_PAD_": "1000000000",
}


def started(stage: str, seed: int, threads: int, runs: Path) -> subprocess.Popen:
    """Start to make a stage from a training seed with so many threads."""
    settings = [f"--set={k}={v}" for k, v in {**SETTINGS, "train_seed": seed}.items()]
    environment = {**os.environ, **MALLOC, "OMP_NUM_THREADS": str(threads)}
    environment["VIDLIB_RUNS"] = str(runs)
    command = [sys.executable, "-m", "vidlib", stage, *settings]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def seconds(stage: str, seeds: range, threads: int, at_once: int, runs: Path) -> float:
    """Return how long it takes to make a stage from all seeds, so many at once."""
    begin = time.perf_counter()
    for first in range(0, len(seeds), at_once):
        jobs = [started(stage, seed, threads, runs) for seed in seeds[first : first + at_once]]
        if any([job.wait() for job in jobs]):
            sys.exit(f"{stage} failed: see above")
    return time.perf_counter() - begin


def main() -> None:
    """Print both times and their ratio for each network."""
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        seconds("prepare", range(1), CORES, 1, runs)
        for network in STUDIED:
            stage = f"train-{network}"
            one = seconds(stage, range(CORES), CORES, 1, runs)
            many = seconds(stage, range(CORES, 2 * CORES), 1, CORES, runs)
            print(
                f"{stage}: {CORES} jobs one by one {one:.1f} s, side by side {many:.1f} s, "
                f"ratio {one / many:.2f}"
            )


if __name__ == "__main__":
    main()

"""Training on one machine: in which precision, and one after another or side by side?

Trains the `quick` networks on few clips, as often as there are cores, in each of four ways: in
float32 and in bfloat16, one after another on all cores and at once on one core each. Prints clips a
second of all trainings together, and the ratio to float32 one after another.
`vidlib.profiles.best_precision` and `vidlib.workflow.jobs` follow what comes out.

On one core PyTorch takes batches of fewer than 16 clips in float32 through a slow convolution, so
that side by side in float32 is slow for I3D.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from vidlib.variants import STUDIED

CORES = os.cpu_count() or 1
SETTINGS = {"train_clips": 30, "validation_clips": 5, "i3d_epochs": 1, "clstm_epochs": 1}
MALLOC = {  # as the Snakefile sets them
    "MALLOC_MMAP_THRESHOLD_": "8000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_TOP_PAD_": "1000000000",
}


def started(stage: str, precision: str, seed: int, threads: int, runs: Path) -> subprocess.Popen:
    """Start to make a stage from a training seed with so many threads."""
    settings = {**SETTINGS, "train_seed": seed, "precision": precision}
    environment = {**os.environ, **MALLOC, "OMP_NUM_THREADS": str(threads)}
    environment["VIDLIB_RUNS"] = str(runs)
    words = [f"--set={k}={v}" for k, v in settings.items()]
    command = [sys.executable, "-m", "vidlib", stage, *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def speed(stage: str, precision: str, seeds: range, at_once: int, runs: Path) -> float:
    """Return clips a second in the last epoch, of all trainings together, so many at once."""
    speeds = []
    for first in range(0, len(seeds), at_once):
        threads = CORES // at_once
        some = seeds[first : first + at_once]
        jobs = [started(stage, precision, seed, threads, runs) for seed in some]
        told = [job.communicate()[0] for job in jobs]
        if any(job.returncode for job in jobs):
            sys.exit(f"{stage} failed: see above")
        speeds += [float(re.findall(r"([\d.]+) clips/s", text)[-1]) for text in told]
    return sum(speeds) * at_once / len(speeds)


def main() -> None:
    """Print the speed of each network in each way."""
    with tempfile.TemporaryDirectory() as folder:
        runs, seed = Path(folder), 0
        if started("prepare", "float32", seed, CORES, runs).wait():
            sys.exit("prepare failed: see above")
        for network in STUDIED:
            base = 0.0
            for at_once in (1, CORES):
                for precision in ("float32", "bfloat16"):
                    seeds = range(seed, seed + CORES)
                    found = speed(f"train-{network}", precision, seeds, at_once, runs)
                    base, seed = base or found, seed + CORES
                    how = f"{precision}, {at_once} at once"
                    print(f"train-{network}, {how:22} {found:6.1f} clips/s {found / base:5.2f}")


if __name__ == "__main__":
    main()

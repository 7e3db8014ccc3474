"""The machine that a result was made on, and what it took there."""

import os
import platform
import resource
import sys
import time
from pathlib import Path


def machine() -> str:
    """Return what kind of machine this is: "Linux x86_64, 2 cores"."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def peak_memory() -> int:
    """Return the most bytes that this process, or any child of it that has ended, has held."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(resource.getrusage(one).ru_maxrss for one in whose)


def measured(made: Path) -> dict[str, object]:
    """Return what a record tells of a result that was just made: where, when, memory and disk.

    made: the file, or the folder, that it is.
    """
    files = [made] if made.is_file() else [p for p in made.rglob("*") if p.is_file()]
    return {
        "machine": machine(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "peak_bytes": peak_memory(),
        "disk_bytes": sum(file.stat().st_size for file in files),
    }

"""Time several ways of doing one thing in turn, so that what disturbs one disturbs all."""

import statistics
import time
from collections.abc import Callable


def compare(ways: dict[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    """Return and print the median seconds of each way, and its ratio to the first one."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):  # the first round warms up
        for name, run in ways.items():
            begin = time.perf_counter()
            run()
            if turn:
                times[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(values) for name, values in times.items()}
    first = next(iter(medians.values()))
    for name, seconds in medians.items():
        print(
            f"  {name:32} {1000 * seconds:9.1f} ms   {first / seconds:5.2f} times the first's speed"
        )
    return medians

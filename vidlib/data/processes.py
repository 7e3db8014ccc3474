"""Work done by other processes: whatever becomes of one of them is an error here, never a wait.

What they return comes through pipes, not through shared memory, of which containers have little.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable

from pebble import ProcessFuture, ProcessPool


def in_turn(
    processes: int, work: Callable, jobs: Iterable, *, ahead: int, timeout=None, **options
) -> Generator[tuple, None, None]:
    """Yield each job with its future, whose work is on its way or done, in the order of the jobs.

    ahead: how many later jobs are given to the processes meanwhile. timeout: of a job, in seconds.
    options: those of `pebble.ProcessPool`. The result of a future raises `pebble.ProcessExpired` if
    its process is killed. The processes end with the generator: who may stop before its end, or
    raise, closes it. Raises RuntimeError where no processes can be had.

    >>> [future.result() for _, future in in_turn(2, len, ["a", "film"], ahead=4)]
    [1, 4]
    """
    try:
        pool = ProcessPool(processes, **options)
    except OSError as error:  # of a lock, which lies there
        few = f"cannot start {processes} processes ({error})"
        raise RuntimeError(f"{few}: see that /dev/shm can be written and has room") from error
    given: deque[tuple[object, ProcessFuture]] = deque()
    try:
        for job in jobs:
            given.append((job, pool.schedule(work, [job], timeout=timeout)))
            if len(given) > ahead:
                yield given.popleft()
        while given:
            yield given.popleft()
    finally:
        pool.stop()
        pool.join()

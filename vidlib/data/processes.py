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
    pool = ProcessPool(processes, **options)
    given: deque[tuple[object, ProcessFuture]] = deque()
    try:
        for job in jobs:
            try:
                given.append((job, pool.schedule(work, [job], timeout=timeout)))
            except OSError as error:  # of a lock, which lies there
                remedy = "see that /dev/shm has room and can be written"
                raise RuntimeError(f"cannot start processes ({error}): {remedy}") from error
            if len(given) > ahead:
                yield given.popleft()
        while given:
            yield given.popleft()
    finally:
        pool.stop()
        pool.join()

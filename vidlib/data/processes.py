"""Processes that work for this one: whatever becomes of one of them is an error here, never a wait.

What they return comes through pipes, not through shared memory, of which containers have little.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pebble import ProcessPool


@contextmanager
def process_pool(count: int, **options) -> Iterator[ProcessPool]:
    """Give a pool of processes, which end with the block; options: those of `pebble.ProcessPool`.

    A task whose process is killed raises `pebble.ProcessExpired`. Raises RuntimeError where no
    processes can be had.

    >>> with process_pool(1) as pool:
    ...     pool.schedule(len, ["film"]).result()
    4
    """
    try:
        pool = ProcessPool(count, **options)
    except OSError as error:  # of a lock, which lies there
        few = f"cannot start {count} processes ({error})"
        raise RuntimeError(f"{few}: see that /dev/shm can be written and has room") from error
    try:
        yield pool
    finally:
        pool.stop()
        pool.join()

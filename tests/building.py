"""Run a command that ends when whoever started this does, in whatever way.

Run as `python tests/building.py LOCK COMMAND...`, with standard input a pipe of which the starter
holds the other end: when it is closed, the command and its children are ended. Of two that share a
LOCK the second waits for the first.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

from filelock import FileLock


def main(lock: str, *command: str) -> int:
    """Return what the command returns."""
    with FileLock(lock):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

        def follow() -> None:
            sys.stdin.read()
            os.killpg(process.pid, signal.SIGTERM)
            time.sleep(10)
            os.killpg(process.pid, signal.SIGKILL)

        threading.Thread(target=follow, daemon=True).start()
        returned = process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it left behind
        return returned


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

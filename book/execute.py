"""Execute one page: ``python book/execute.py SOURCE.md BUILD PAGE -p profile quick ...``.

The MyST source becomes a notebook, papermill runs it with the parameters that follow, and what
comes out appears as ``BUILD/notebooks/PAGE.ipynb`` once all of it has run; a run that failed
stays, with its error, in ``BUILD/running/``. Pages that are executed at the same time wait for each
other: kernels that start together fight for cores and, at times, for ports.
"""

import os
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

source, build, page, parameters = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
plain, running, done = (
    build / folder / f"{page}.ipynb" for folder in ("sources", "running", "notebooks")
)
for path in (plain, running, done):
    path.parent.mkdir(parents=True, exist_ok=True)
module = [sys.executable, "-m"]
convert = [*module, "jupytext", "--quiet", "--to", "ipynb", "-o", plain, source]
execute = [*module, "papermill", "--no-progress-bar", "--cwd", "notebooks", *parameters]
with FileLock(build / "running.lock"):
    for command in (convert, [*execute, plain, running]):
        result = subprocess.run(command)
        if result.returncode:
            sys.exit(f"{source} did not run through: see above, and {running}")
    os.replace(running, done)

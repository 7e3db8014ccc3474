"""Execute one page: ``python book/execute.py SOURCE.md BUILD PAGE '{"profile": "quick"}'``.

The MyST source becomes a notebook, papermill runs it with those parameters, and what comes out
appears as ``BUILD/notebooks/PAGE.ipynb`` once all of it has run; a run that failed stays, with its
error, in ``BUILD/running/``.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import jupytext
from papermill import execute_notebook
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

source, build, page, parameters = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
plain, running, done = (
    build / folder / f"{page}.ipynb" for folder in ("sources", "running", "notebooks")
)
for path in (plain, running, done):
    path.parent.mkdir(parents=True, exist_ok=True)
jupytext.write(jupytext.read(source), plain)
with tempfile.TemporaryDirectory() as folder:
    # Kernels that start at the same time must not choose the same network ports: each has a folder.
    kernel = Config(KernelManager={"transport": "ipc", "ip": f"{folder}/kernel"})
    try:
        execute_notebook(
            plain,
            running,
            json.loads(parameters),
            cwd="notebooks",
            progress_bar=False,
            start_timeout=300,
            config=kernel,
        )
    except PapermillExecutionError as error:
        sys.exit(f"{error}\n{source} did not run through: see above, and {running}")
os.replace(running, done)

"""Execute one page: ``python book/execute.py SOURCE BUILD PAGE PARAMETERS KEY STAGES``.

PARAMETERS are JSON; STAGES are those that the page may read, as "dataset/stage dataset/stage". The
MyST source becomes a notebook, papermill runs it with those parameters, and what comes out appears
as ``BUILD/notebooks/PAGE.ipynb`` once all of it has run, beside a record with KEY, by which it is
current (`vidlib.workflow.jobs`); a run that failed stays, with its error, in ``BUILD/running/``.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import jupytext
from papermill import execute_notebook
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from vidlib.files import publish, write_text
from vidlib.workflow.machine import measured

source, build, page, parameters, key, stages = sys.argv[1:]
build = Path(build)
plain, running, done = (
    build / folder / f"{page}.ipynb" for folder in ("sources", "running", "notebooks")
)
for path in (plain, running, done):
    path.parent.mkdir(parents=True, exist_ok=True)
record = done.with_suffix(".json")
record.unlink(missing_ok=True)
jupytext.write(jupytext.read(source), plain)
os.environ["VIDLIB_PAGE_STAGES"] = stages
begin = time.time()
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
publish(running, done)
told = {"key": key, "seconds": round(time.time() - begin, 1), **measured(done)}
write_text(record, json.dumps(told))

"""A home folder for all programs, also where the user's own cannot be written or there is none.

Kernels, Snakemake, Matplotlib, PyTorch, pip and others keep files in the home folder, and some end
where they cannot. Then they get .home in this project. `make` writes a line into .venv, by which
its Python runs this first, whatever program starts it.
"""

import getpass
import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
# Folders of a home that programs write to. One that is there may be of another user.
USED = ("", ".cache", ".config", ".local", ".local/share", ".ipython", ".jupyter")


def _can_write(folder: Path) -> bool:
    """Tell whether files can be made in a folder, which is made first if it is not there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def settle() -> None:
    """Let HOME be a folder that can be written, and the user have a name.

    Where the user's home will do, nothing changes. Folders named by XDG_... that cannot be written
    are forgotten. Where the project cannot be written either, it is a folder for temporary files.
    """
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as containers have
        name = os.environ["USER"] = "user"
    home = Path(os.environ.get("HOME") or os.path.expanduser("~"))
    if not home.is_dir() or not all(_can_write(home / used) for used in USED):
        home = PROJECT / ".home"
        if not _can_write(home):
            from tempfile import gettempdir  # here, as it would slow every start of Python

            home = Path(gettempdir(), f"vidlib-home-{name}")
        home.mkdir(mode=0o700, exist_ok=True)
    os.environ["HOME"] = str(home)
    for name, value in list(os.environ.items()):
        named = name.startswith("XDG_") and name.endswith(("_HOME", "_DIR"))
        if named and not _can_write(Path(value)):
            del os.environ[name]

"""The one way to write a file: aside, synced to the disk, then renamed into place.

If an error, a full disk, a kill or a power cut stops a writer, the path holds its old content or
the new, complete. Once a call has returned, the new content survives a power cut. Files written one
after another reach the disk in that order. Killed writers leave hidden files,
.part-<8 hex digits>-<name>, which `sweep` removes.
"""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

# What a folder answers that cannot be synced: on Windows, read-only or on some network's disk.
UNSYNCABLE = (errno.EACCES, errno.EBADF, errno.EINVAL, errno.EROFS)


def _hidden(path: Path) -> Path:
    # A random number and not that of the process: machines that share a disk may have the same.
    return path.with_name(f".part-{secrets.token_hex(4)}-{path.name}")


def sync(path: str | os.PathLike) -> None:
    """Force what a file holds, or the names in a folder, to the disk.

    Raises OSError where the disk fails. A folder that has no such operation is left as it is.

    >>> sync(".")
    """
    is_folder = os.path.isdir(path)
    try:
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            with contextlib.suppress(OSError):  # it would hide what the sync said
                os.close(descriptor)
    except OSError as error:
        if not is_folder or error.errno not in UNSYNCABLE:
            raise


def publish(made: str | os.PathLike, target: str | os.PathLike) -> None:
    """Rename a finished file or folder to `target`, beside it, in place of what is there.

    made: a file however written, or a folder whose files this module wrote. OSError where a step
    fails: the old target is still there, unless only forcing the new name to the disk failed. A
    power cut may leave no folder at `target` where there was one before, never half of one.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "made").mkdir()
    >>> write_text(folder / "made/note.txt", "all of it")
    >>> publish(folder / "made", folder / "done")
    >>> [str(path.relative_to(folder)) for path in folder.rglob("*")]
    ['done', 'done/note.txt']
    """
    made, target = Path(made), Path(target)
    if not made.is_dir():
        sync(made)
        os.replace(made, target)
        sync(target.parent)
        return
    for place, _, _ in os.walk(made):
        sync(place)
    old = _hidden(target)
    try:
        if target.exists():  # no system replaces a folder that is not empty
            os.rename(target, old)
        os.rename(made, target)
    except BaseException:
        if not target.exists():
            with contextlib.suppress(OSError):
                os.rename(old, target)
        raise
    for folder in target.absolute().parents:  # they may be as new
        sync(folder)
    with contextlib.suppress(OSError):
        shutil.rmtree(old)


@contextlib.contextmanager
def aside(path: str | os.PathLike) -> Iterator[Path]:
    """Give a path to write to, in the same folder; what is there in the end becomes `path`.

    The path ends with the whole name of `path`, as writers look at suffixes. Where the body raises,
    the error goes on, the part is removed and `path` is as it was. Raises OSError as `publish`
    does, FileNotFoundError where the folder is missing or the body wrote nothing.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "numbers.npy")
    >>> with aside(path) as part:
    ...     np.save(part, [1, 2])
    >>> np.load(path)
    array([1, 2])
    """
    path = Path(path)
    part = _hidden(path)
    try:
        yield part
        publish(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def write_text(path: str | os.PathLike, text: str) -> None:
    r"""Write a text as UTF-8, its line ends as they are; errors as of `aside`.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "note.txt")
    >>> write_text(path, "a film\n")
    >>> path.read_text()
    'a film\n'
    """
    with aside(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def write_table(path: str | os.PathLike, table) -> None:
    """Write a pandas DataFrame as Parquet, its `attrs` too; errors as of `aside`.

    >>> import pandas as pd, tempfile
    >>> path = Path(tempfile.mkdtemp(), "clips.parquet")
    >>> write_table(path, pd.DataFrame({"label": [5, 6]}))
    >>> pd.read_parquet(path)["label"].tolist()
    [5, 6]
    """
    with aside(path) as part:
        table.to_parquet(part)


def write_arrays(path: str | os.PathLike, /, **arrays: np.ndarray) -> None:
    """Write arrays of any shapes, by name, as compressed .npz; errors as of `aside`.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "masks.npz")
    >>> write_arrays(path, mask=np.ones((2, 16)))
    >>> np.load(path)["mask"].shape
    (2, 16)
    """
    with aside(path) as part:
        np.savez_compressed(part, **arrays)  # type: ignore[arg-type]  # NumPy takes any names


def sweep(folder: str | os.PathLike) -> None:
    """Remove what killed writers left in a folder, not in those below it.

    To be called where no other process is writing into it.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / ".part-0123abcd-masks.npz").touch()
    >>> sweep(folder)
    >>> list(folder.iterdir())
    []
    """
    for part in Path(folder).glob(".part-????????-*"):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink()

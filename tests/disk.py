"""A model of a disk over a real folder: it fails where it is told to, and forgets in a power cut.

What it forgets is the worst that file systems do. Of a file only what it held when it was last
synced is sure, if no one has shortened it since: what was written later may be there, in part,
as zeros or not at all. Each name in a folder may stand for what it stood for at any moment since
the folder was last synced, whatever other names do. A sync that failed has lost what it was to
write, and later ones do not mend that.
"""

import errno
import itertools
import os
from pathlib import Path

OPERATIONS = ("open", "fsync", "close", "replace", "rename", "unlink", "rmdir", "mkdir")
REAL = {name: getattr(os, name) for name in OPERATIONS}


def tree(folder):
    """The files under a folder as nested dicts: name to bytes, or to the dict of a folder."""
    return {
        path.name: tree(path) if path.is_dir() else path.read_bytes()
        for path in Path(folder).iterdir()
    }


def lay_out(folder, content):
    """Make a folder of nested dicts."""
    Path(folder).mkdir(exist_ok=True)
    for name, inside in content.items():
        path = Path(folder, name)
        lay_out(path, inside) if isinstance(inside, dict) else path.write_bytes(inside)


class Disk:
    """The disk under `root`, while it is entered; all that is there at first is synced.

    fail_at: the number of the operation that fails with `code`, and for_good all after it. watch:
    called with the disk before each operation, as for the power to be cut there. Operations are
    those of `os` on this folder, by this process, and what a test announces by `step`.
    """

    def __init__(self, root, monkeypatch, *, fail_at=None, for_good=False, code=0, watch=None):
        self.root, self.monkeypatch, self.process = Path(root), monkeypatch, os.getpid()
        self.fail_at, self.for_good, self.code = fail_at, for_good, code or errno.EIO
        self.watch = watch or (lambda disk: None)
        self.done = []  # operations that did not fail: name, names of files
        self.count, self.errors = 0, []  # errors: (name of the operation, what it raised)
        self.held = {}  # a descriptor of each file, so that no other gets its number
        self.names = {}  # of a folder: what may come back
        self.saved, self.lost = (
            {},
            {},
        )  # of a file: what is sure, what is not any more
        self.shortened = set()
        self.open = {}  # descriptors that are being used: the number of the file

    def __enter__(self):
        self.patches = self.monkeypatch.context()
        patch = self.patches.__enter__()
        self._look()
        self.names = {number: listings[-1:] for number, listings in self.names.items()}
        self.saved = {n: self._read(n) for n in self.held if n not in self.names}
        for name in OPERATIONS:
            patch.setattr(os, name, self._operation(name))
        return self

    def __exit__(self, *_):
        self.patches.__exit__(None, None, None)
        for descriptor in self.held.values():
            os.close(descriptor)

    def step(self, name="step"):
        """Count what the test itself does as an operation, which may fail."""
        self._do(name, lambda: None, (), {})

    def after_power_cut(self):
        """All that may be on the disk if the power is cut now, each a `tree`."""
        self._look()
        return self._folders(self.root.stat().st_ino)

    def _folders(self, number):
        listings, inside = self.names[number], {}
        for name in sorted(set().union(*listings)):
            children = {listing.get(name) for listing in listings}
            inside[name] = [s for c in children for s in ([None] if c is None else self._states(c))]
        return [
            {name: state for name, state in zip(inside, one, strict=True) if state is not None}
            for one in itertools.product(*inside.values())
        ]

    def _states(self, number):
        if number in self.names:
            return self._folders(number)
        now, sure = self._read(number), self.saved.get(number, b"")
        grown, half = sure.ljust(len(now), b"\0"), len(now) // 2
        found = {sure, grown, now, now[:half] + grown[half:], now[: (len(sure) + len(now)) // 2]}
        if number in self.shortened:
            found |= {b"", now[:half]}
        return sorted(found)

    def _read(self, number):
        descriptor = self.held[number]
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)

    def _look(self):
        """Take note of what the real folder holds now."""
        todo = [self.root]
        while todo:
            folder = todo.pop()
            here = {}
            for entry in os.scandir(folder):
                here[entry.name] = number = entry.inode()
                if entry.is_dir():
                    todo.append(entry.path)
                if number not in self.held:
                    self.held[number] = REAL["open"](entry.path, os.O_RDONLY)
                if entry.stat().st_size < len(self.saved.get(number, b"")):
                    self.shortened.add(number)
            listings = self.names.setdefault(os.stat(folder).st_ino, [{}])
            if listings[-1] != here:
                listings.append(here)

    def _operation(self, name):
        def operation(*arguments, **options):
            mine = os.getpid() == self.process and self._concerns(name, arguments, options)
            return (self._do if mine else self._pass)(name, REAL[name], arguments, options)

        return operation

    def _pass(self, name, real, arguments, options):
        return real(*arguments, **options)

    def _concerns(self, name, arguments, options):
        if name in ("fsync", "close"):
            return arguments[0] in self.open
        if options.get("dir_fd") is not None:
            return options["dir_fd"] in self.open
        return any(
            self.root in (path := Path(os.path.abspath(one))).parents or path == self.root
            for one in arguments
            if isinstance(one, str | os.PathLike)
        )

    def _do(self, name, real, arguments, options):
        self._look()
        self.watch(self)
        self.count += 1
        number = self.open.pop(arguments[0]) if name == "close" else None
        number = self.open[arguments[0]] if name == "fsync" else number
        fails = self.fail_at is not None and (
            self.count > self.fail_at if self.for_good else self.count == self.fail_at + 1
        )
        if fails:
            if name == "close":  # it is closed all the same
                real(*arguments)
            if name == "fsync" and number not in self.names:
                self.lost[number] = self._read(number)
            self.errors.append((name, OSError(self.code, os.strerror(self.code))))
            raise self.errors[-1][1]
        result = real(*arguments, **options)
        names = [Path(a).name for a in arguments if isinstance(a, str | os.PathLike)]
        self.done.append((name, *names))
        if name == "open":
            self.open[result] = os.fstat(result).st_ino
        if name == "fsync" and number in self.names:
            self.names[number] = self.names[number][-1:]
        elif name == "fsync":
            self.saved[number] = self._synced(number)
            self.shortened.discard(number)
        self._look()
        return result

    def _synced(self, number):
        """What is sure of a file now: all, but for bytes that an earlier sync failed to write."""
        now, lost = self._read(number), self.lost.get(number)
        if lost is None:
            return now
        sure = self.saved.get(number, b"").ljust(len(now), b"\0")
        lost = lost.ljust(len(now), b"\0")
        return bytes(s if n == was else n for n, was, s in zip(now, lost, sure, strict=False))

"""One way to write: whatever fails, and whenever the power is cut, a path holds the old or the new.

The disk that fails and forgets is `disk.Disk`. Every check that holds for `vidlib.files` is shown
to fail for a writer that leaves something out.
"""

import ast
import contextlib
import doctest
import errno
import itertools
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from disk import Disk, lay_out, tree

from vidlib import files
from vidlib.files import aside, publish, sweep, sync, write_arrays, write_table, write_text
from vidlib.rendered.files import make_folders, write_clip
from vidlib.rendered.truth import InstanceMasks

OLD, NEW = b"old content", b"new content, which is longer"
ABSENT = None
AROUND = {"beside": b"x", "below": {"deep": b"y"}}  # what nothing may change


def hidden(name):
    return name.startswith(".part-")


def seen(content):
    """What others see of a folder: all but the parts of writers."""
    return {name: inside for name, inside in content.items() if not hidden(name)}


def failures():
    """How a disk fails: not, then at operation 0, 1, ..., once or for good."""
    yield {}
    for k in itertools.count():
        yield {"fail_at": k, "for_good": False, "code": errno.EIO}
        yield {"fail_at": k, "for_good": True, "code": errno.ENOSPC}


def check(tmp_path, monkeypatch, write, old, new, *, name="target", between=()):
    """Write in folders whose `name` holds `old`, on disks that fail at each operation in turn.

    write: of a folder and its disk, what makes `new` of `old`. between: what else may be there
    after a power cut, or where all operations fail. Returns how many disks failed.
    """

    def fits(content, *allowed):
        content = {n: c for n, c in seen(content).items() if n != "made"}
        target = content.pop(name, ABSENT)
        assert content == AROUND, "something else changed"
        assert target in allowed, f"the target holds {target}"

    def powerless(disk):
        for content in disk.after_power_cut():
            fits(content, old, new, *between)

    for number, failure in enumerate(failures()):
        root = tmp_path / str(number)
        lay_out(root, AROUND if old is ABSENT else {**AROUND, name: old})
        with Disk(root, monkeypatch, watch=powerless, **failure) as disk:
            try:
                write(root, disk)
                caught = None
            except OSError as error:
                caught = error
            powerless(disk)
            told = [error for name, error in disk.errors if name != "close"]  # which tells nothing
            now = tree(root)
            parts = set(now) - set(seen(now))
            if caught is None:
                for content in [now, *disk.after_power_cut()]:
                    fits(content, new)
                # What is not told: that all is done, but for what was there being removed.
                assert not parts or disk.errors, f"{parts} remain"
                if failure and not disk.errors:
                    return number
                continue
            assert caught is told[0], "the caller sees another error than the first"
            # The last step, that of forcing the new name to the disk, can fail with it there.
            moves = [tuple(names) for what, *names in disk.done if what in ("replace", "rename")]
            placed = any(is_now == name and (name, was) not in moves for was, is_now in moves)
            fits(now, new if placed else old, *(between if failure["for_good"] else ()))
            assert not parts or placed or failure["for_good"], f"{parts} remain"
    raise AssertionError


# --- a file

FILE = [pytest.param(OLD, id="replaced"), pytest.param(ABSENT, id="new")]


def in_pieces(path, disk):
    """Write the new content to a path, by pieces, each of which may fail."""
    with open(path, "wb") as file:
        for start in range(0, len(NEW), 10):
            disk.step("write")
            file.write(NEW[start : start + 10])
            file.flush()
    disk.step("finish")


def check_file(tmp_path, monkeypatch, write, old=OLD):
    return check(tmp_path, monkeypatch, write, old, NEW)


@pytest.mark.parametrize("old", FILE)
def test_a_file_is_the_old_or_the_new(tmp_path, monkeypatch, old):
    def write(root, disk):
        with aside(root / "target") as part:
            in_pieces(part, disk)

    runs = check_file(tmp_path, monkeypatch, write, old)
    assert runs > 2 * 10  # as many operations can fail


def no_file_sync(root, disk):
    in_pieces(root / ".part-", disk)
    os.replace(root / ".part-", root / "target")
    sync(root)


def no_folder_sync(root, disk):
    in_pieces(root / ".part-", disk)
    sync(root / ".part-")
    os.replace(root / ".part-", root / "target")


def in_place(root, disk):
    in_pieces(root / "target", disk)
    sync(root / "target")
    sync(root)


def left_behind(root, disk):
    in_pieces(root / ".part-", disk)
    publish(root / ".part-", root / "target")


def silent(root, disk):
    with contextlib.suppress(OSError), aside(root / "target") as part:
        in_pieces(part, disk)


def meddling(root, disk):
    with aside(root / "target") as part:
        in_pieces(part, disk)
        (root / "beside").unlink()
        (root / "beside").write_bytes(b"x")


def cleans_up_aloud(root, disk):
    part = root / ".part-"
    try:
        in_pieces(part, disk)
        publish(part, root / "target")
    except OSError:
        os.unlink(part)  # which may be another error
        raise


NAIVE = {
    no_file_sync: "the target holds b''",
    no_folder_sync: "the target holds b'old content'",
    in_place: "the target holds b''",
    left_behind: "remain",
    silent: "the target holds b'old content'",
    meddling: "something else changed",
    cleans_up_aloud: "another error",
}


@pytest.mark.parametrize("write", NAIVE, ids=lambda write: write.__name__)
def test_the_model_catches_who_leaves_out_a_step(tmp_path, monkeypatch, write):
    with pytest.raises((AssertionError, FileNotFoundError), match=NAIVE[write]):
        check_file(tmp_path, monkeypatch, write)


def test_files_reach_the_disk_in_the_order_of_writing(tmp_path, monkeypatch):
    lay_out(tmp_path, {"a": {}, "b": {}})

    def in_order(disk):
        for content in disk.after_power_cut():
            assert "1" in content["a"] or not seen(content["b"])
            assert content["b"].get("2", b"x") == b"x"

    with Disk(tmp_path, monkeypatch, watch=in_order) as disk:
        write_text(tmp_path / "a/1", "x")
        write_text(tmp_path / "b/2", "x")
        in_order(disk)


def test_an_interrupt_leaves_the_old(tmp_path):
    write_text(tmp_path / "target", "old")
    with pytest.raises(KeyboardInterrupt), aside(tmp_path / "target") as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert tree(tmp_path) == {"target": b"old"}


def test_who_writes_nothing_is_told(tmp_path):
    write_text(tmp_path / "target", "old")
    with pytest.raises(FileNotFoundError, match="target"), aside(tmp_path / "target"):
        pass
    with pytest.raises(FileNotFoundError, match="absent"):
        write_text(tmp_path / "absent/target", "new")
    assert tree(tmp_path) == {"target": b"old"}


def test_writers_of_one_path_do_not_meet(tmp_path):
    with aside(tmp_path / "a.tar.gz") as one, aside(tmp_path / "a.tar.gz") as other:
        assert one != other and one.name.endswith("-a.tar.gz") and one.parent == tmp_path
        one.write_text("one")
        other.write_text("other")
    assert tree(tmp_path) == {"a.tar.gz": b"one"}


def test_sweeping_takes_parts_alone(tmp_path):
    below = {".part-01234567-a": b""}
    lay_out(tmp_path, {"a": b"", ".part-me": b"", ".hidden": b"", "below": below})
    kept = tree(tmp_path)
    lay_out(tmp_path, {".part-89abcdef-a.b": b"half", ".part-76543210-old": {"a": {"b": b""}}})
    sweep(tmp_path)
    assert tree(tmp_path) == kept


@pytest.mark.parametrize("step", ["open", "fsync"])
def test_folders_that_cannot_be_synced_are_left_as_they_are(tmp_path, monkeypatch, step):
    """As on Windows, where they cannot be opened, and on some network's disk."""
    for code in files.UNSYNCABLE:
        real = getattr(os, step)

        def refused(what, *rest, real=real, code=code):
            if os.path.isdir(what) if step == "open" else os.path.isdir(f"/proc/self/fd/{what}"):
                raise OSError(code, os.strerror(code))
            return real(what, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(os, step, refused)
            write_text(tmp_path / "note", "new")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="Invalid argument"):
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(22, os.strerror(22))))
        write_text(tmp_path / "note", "newer")  # a file has to be synced
    assert tree(tmp_path) == {"note": b"new"}


# --- what is written: texts, tables, arrays

TABLE = pd.DataFrame({"clip_id": ["a", "b"] * 500, "score": np.random.default_rng(0).random(1000)})
ARRAYS = {"mask": np.random.default_rng(0).random((20, 16)), "start": np.arange(3)}
WRITERS = {
    "note.txt": lambda path: write_text(path, "ä\r\n" * 500),
    "scores.parquet": lambda path: write_table(path, TABLE),
    "masks.npz": lambda path: write_arrays(path, **ARRAYS),
}


def test_what_was_written_is_read(tmp_path):
    for name, write in WRITERS.items():
        write(tmp_path / name)
    assert (tmp_path / "note.txt").read_bytes() == "ä\r\n".encode() * 500
    assert pd.read_parquet(tmp_path / "scores.parquet").equals(TABLE)
    with np.load(tmp_path / "masks.npz") as arrays:
        assert {name: array.tolist() for name, array in arrays.items()} == {
            name: array.tolist() for name, array in ARRAYS.items()
        }


@pytest.mark.parametrize("name", WRITERS)
def test_each_writer_leaves_the_old_or_the_new(tmp_path, monkeypatch, name):
    WRITERS[name](tmp_path / name)
    new = (tmp_path / name).read_bytes()

    def write(root, disk):
        WRITERS[name](root / name)

    check(tmp_path, monkeypatch, write, OLD, new, name=name)


@contextlib.contextmanager
def longest_file(limit):
    """Let the system refuse to make files longer than so many bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_is_full_leaves_the_old(tmp_path, name):
    WRITERS[name](tmp_path / name)
    size = (tmp_path / name).stat().st_size
    for limit in (0, 1, size // 2, size - 1):
        lay_out(tmp_path / "full", {name: OLD})
        with longest_file(limit), pytest.raises(OSError, match="File too large"):
            WRITERS[name](tmp_path / "full" / name)
        assert tree(tmp_path / "full") == {name: OLD}


# --- a folder

RECORD = {"provenance.json": b"{}"}
FIRST = {**RECORD, "a": b"old", "more": {"b": b"old", "c": b"old"}}
SECOND = {**RECORD, "a": b"new", "sub": {"d": b"new", "e": {}}}
LEFT = {"a": b"half"}
FOLDER = [
    pytest.param(ABSENT, id="new"),
    pytest.param(FIRST, id="complete"),
    pytest.param(LEFT, id="without a record"),
]


def made(root):
    """Make a folder as a stage does: each of its files by the module."""
    (root / "made/sub/e").mkdir(parents=True)
    for path in ("log", "a", "sub/d"):
        write_text(root / "made" / path, "new")
    write_text(root / "made/provenance.json", "{}")
    (root / "made/log").unlink()


def check_folder(tmp_path, monkeypatch, write, old):
    return check(tmp_path, monkeypatch, write, old, SECOND, between=[ABSENT])


@pytest.mark.parametrize("old", FOLDER)
def test_a_folder_is_the_old_or_the_new_or_absent(tmp_path, monkeypatch, old):
    def write(root, disk):
        made(root)
        publish(root / "made", root / "target")

    assert check_folder(tmp_path, monkeypatch, write, old) > 2 * 40


def test_folders_above_the_new_one_may_be_as_new(tmp_path, monkeypatch):
    with Disk(tmp_path, monkeypatch) as disk:
        (tmp_path / "runs/quick").mkdir(parents=True)
        made(tmp_path / "runs/quick")
        publish(tmp_path / "runs/quick/made", tmp_path / "runs/quick/target")
        assert disk.after_power_cut() == [{"runs": {"quick": {"target": SECOND}}}]


def removes_first(root, disk):
    made(root)
    shutil.rmtree(root / "target")
    publish(root / "made", root / "target")


def syncs_no_names(root, disk):
    made(root)
    os.rename(root / "target", root / ".part-")
    os.rename(root / "made", root / "target")
    sync(root)
    shutil.rmtree(root / ".part-", ignore_errors=True)


def removes_too_early(root, disk):
    made(root)
    for folder, _, _ in os.walk(root / "made"):
        sync(folder)
    os.rename(root / "target", root / ".part-")
    os.rename(root / "made", root / "target")
    shutil.rmtree(root / ".part-", ignore_errors=True)
    sync(root)


def brings_nothing_back(root, disk):
    made(root)
    for folder, _, _ in os.walk(root / "made"):
        sync(folder)
    os.rename(root / "target", root / ".part-")
    os.rename(root / "made", root / "target")
    sync(root)
    shutil.rmtree(root / ".part-", ignore_errors=True)


def files_without_sync(root, disk):
    lay_out(root / "made", SECOND)
    publish(root / "made", root / "target")


@pytest.mark.parametrize(
    "write",
    [removes_first, syncs_no_names, removes_too_early, brings_nothing_back, files_without_sync],
    ids=lambda write: write.__name__,
)
def test_the_model_catches_who_publishes_carelessly(tmp_path, monkeypatch, write):
    with pytest.raises(AssertionError, match="the target holds"):
        check_folder(tmp_path, monkeypatch, write, FIRST)


def test_a_clip_that_is_there_is_whole_and_has_its_masks(tmp_path, monkeypatch):
    """Rendering goes on after a power cut by what videos are there."""
    chance = np.random.default_rng(0)
    frames = chance.integers(0, 255, (3, 32, 32, 3), dtype=np.uint8)
    masks = InstanceMasks(frames[..., 0] % 3, ["hand", "cup"], ["actor", "thing"])
    for root in (tmp_path / "whole", tmp_path / "cut"):
        make_folders(root, {"seed": 0})
        if root.name == "whole":
            write_clip(root, "1", lambda: (frames, masks))
    (video,), (arrays,) = ((tmp_path / "whole").rglob(f"1.{end}") for end in ("webm", "npz"))

    def whole(disk):
        for content in disk.after_power_cut():
            videos = seen(content[video.parent.name])
            if videos:
                assert videos == {"1.webm": video.read_bytes()}
                assert content["truth"]["masks"]["1.npz"] == arrays.read_bytes()

    with Disk(tmp_path / "cut", monkeypatch, watch=whole) as disk:
        write_clip(tmp_path / "cut", "1", lambda: (frames, masks))
        whole(disk)
        assert tree(tmp_path / "cut") == tree(tmp_path / "whole")
        assert all(content == tree(tmp_path / "whole") for content in disk.after_power_cut())


# --- the study writes through it alone

WRITES = {"rename", "write_text", "write_bytes", "to_parquet", "to_csv", "savez", "tofile"}
WRITES |= {"savez_compressed", "save_file", "open_memmap", "write_webm", "write_avi", "fsync"}
WRITES |= {"os.replace", "os.renames", "np.save", "torch.save", "shutil.move", "shutil.copy"}
WRITES |= {"shutil.copyfile", "shutil.copytree", "json.dump", "pickle.dump"}
ALLOWED = {
    ("data/encoding.py", "_encode"): "is given the path of a part",
    ("rendered/cues.py", "redraw"): "a clip to be read again, in a temporary folder",
    ("data/prepare.py", "_decode_file"): "fills the array by rows; what counts, a table tells",
    ("models/kinetics.py", "download_kinetics_i3d"): "pip's list, in a temporary folder",
}


def writes(call):
    """Whether a call writes to a file by itself."""
    name = ast.unparse(call.func)
    if name == "open" or name.endswith(".open"):
        words = [w.value for w in ast.walk(call) if isinstance(w, ast.Constant)]
        modes = [w for w in words if isinstance(w, str) and set(w) <= set("rwaxbt+")]
        return any(set(mode) & set("wax+") for mode in modes)
    if name in ("write_text", "files.write_text"):
        return False
    return name in WRITES or name.rpartition(".")[2] in WRITES


def writers(code):
    """Where a module writes to files that are no parts of `aside`: functions and their calls."""

    def walk(node, function, parts):
        if isinstance(node, ast.FunctionDef):
            function = node.name
        if isinstance(node, ast.With):
            parts = parts | {
                item.optional_vars.id
                for item in node.items
                if isinstance(item.context_expr, ast.Call)
                and ast.unparse(item.context_expr.func) in ("aside", "files.aside")
                and item.optional_vars
            }
        if isinstance(node, ast.Call) and writes(node):
            names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            if not names & parts:
                yield function, ast.unparse(node)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, function, parts)

    return list(walk(ast.parse(code), "", frozenset()))


def test_vidlib_writes_through_one_module():
    found = [
        (str(path.relative_to(ROOT / "vidlib")), *one)
        for path in sorted(ROOT.glob("vidlib/**/*.py"))
        if path != Path(files.__file__)
        for one in writers(path.read_text(encoding="utf-8"))
    ]
    others = [f"{path}: {call}" for path, name, call in found if (path, name) not in ALLOWED]
    assert not others, "write these through vidlib.files:\n" + "\n".join(others)
    assert {(path, name) for path, name, _ in found} == set(ALLOWED), "no more is to be allowed"


@pytest.mark.parametrize(
    "code",
    [
        "os.replace(a, b)",
        "a.rename(b)",
        "(folder / 'x').write_text(y)",
        "np.savez_compressed(path, x=x)",
        "open(path, 'w').write(x)",
        "path.open('ab' if more else 'wb')",
        "av.open(path, mode='w')",
        "with aside(path) as part:\n    x.to_parquet(path)",
        "with aside(path) as part:\n    pass\npart.write_bytes(x)",
        "def f():\n    save_file(x, path)",
    ],
)
def test_other_ways_to_write_are_found(code):
    assert len(writers(code)) == 1


def test_reading_and_parts_are_no_other_ways():
    code = "open(path), path.open('rb'), a.replace('a', 'b'), archive.open(member), av.open(path)"
    assert not writers(code)
    assert not writers("with aside(path) as part, x:\n    if y:\n        save_file(x, part)")


def test_the_examples_run():
    result = doctest.testmod(files)
    assert result.attempted >= 15 and not result.failed


def test_nothing_heavy_is_imported():
    tree = ast.parse(Path(files.__file__).read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {"pandas", "torch"}.isdisjoint(
        {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
        | {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    )

"""Prepared and streamed clips: the same frames, whatever is killed, broken or mended in between."""

import contextlib
import errno
import faulthandler
import io
import itertools
import multiprocessing.synchronize
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT, files
from disk import Disk, lay_out, tree
from videos import encode, numbered

from vidlib.data import (
    Clips,
    DataWarning,
    Frames,
    VideoError,
    load_clips,
    prepare_clips,
    read_clip,
    read_something,
    stream_clips,
    to_network,
)
from vidlib.data import prepare as module
from vidlib.files import sync, write_table
from vidlib.rendered.something.scripts import CLASSES


def prepare(index, folder, *, frames=4, size=(16, 16), processes=2, **options):
    prepare_clips(index, folder, frames=frames, size=size, processes=processes, **options)
    return load_clips(folder)


@pytest.fixture
def index(mini):
    return read_something(mini)


# --- prepared


def test_prepared_clips_are_the_files(index, tmp_path):
    clips = prepare(index, tmp_path, frames=6, size=(24, 20))
    assert len(clips) == 48 and clips.classes == sorted(CLASSES)
    for row in range(48):
        expected = read_clip(index["path"][row], 6, (24, 20))
        assert np.array_equal(clips.frames[row], expected)
        clip, output = clips[row]
        assert clips.classes[output] == clips.index["label"][row]
        assert torch.equal(clip, to_network(expected))
    assert clips.frames.shape == (48, 6, 24, 20, 3)
    batch, outputs = clips.batch()
    assert torch.equal(batch[7], clips[7][0]) and outputs[7] == clips[7][1]


def test_lengths_are_those_of_the_truth(mini, index, tmp_path):
    clips = prepare(index, tmp_path)
    truth = pd.read_parquet(mini / "truth/clips.parquet").set_index("clip_id")["frames"]
    assert clips.index["length"].tolist() == truth[clips.index["clip_id"]].tolist()


def test_nothing_is_read_before_it_is_used(index, tmp_path):
    """A memory map: a subset of a subset is rows of the same array."""
    clips = prepare(index, tmp_path)
    some = clips.split("validation").subset(np.array([5, 2]))
    assert some.frames.shape == (2, 4, 16, 16, 3)
    assert isinstance(some.frames[0], np.memmap)
    expected = read_clip(index[index["split"] == "validation"]["path"].iloc[5], 4, (16, 16))
    assert np.array_equal(some.frames[0], expected)
    assert np.array_equal(np.asarray(some.frames)[0], expected)


def test_sequences_of_one_file_are_told_apart(tmp_path):
    path = encode(tmp_path / "a.avi", numbered(40))
    ranges = [(0, 10), (30, 41), (5, 40), (20, 30)]
    index = pd.DataFrame(ranges, columns=["start", "stop"]).astype("Int64")
    index = index.assign(clip_id=list("abcd"), path=str(path), split="train", label=0)
    index["label_name"] = "x"
    clips = prepare(index, tmp_path / "out")
    assert clips.index["clip_id"].tolist() == ["a", "c", "d"]
    assert clips.index["length"].tolist() == [10, 35, 10]
    for i, (start, stop) in enumerate([(0, 10), (5, 40), (20, 30)]):
        assert np.array_equal(clips.frames[i], read_clip(path, 4, (16, 16), start, stop))
    bad = pd.read_parquet(tmp_path / "out/quarantine.parquet")
    assert bad["clip_id"].tolist() == ["b"]
    assert "holds 40 frames, too few for frames 30 to 41" in bad["reason"].item()


def test_broken_files_are_left_out_and_listed(index, tmp_path, capsys):
    bad = tmp_path / "bad.webm"
    bad.write_bytes(b"nothing")
    index.loc[[3, 9], "path"] = str(bad)
    clips = prepare(index, tmp_path / "out")
    quarantined = pd.read_parquet(tmp_path / "out/quarantine.parquet")
    assert quarantined["clip_id"].tolist() == index["clip_id"][[3, 9]].tolist()
    assert quarantined["reason"].str.contains(r"bad\.webm: cannot be decoded").all()
    said = capsys.readouterr().out
    assert f"2 of 48 clips are left out, first: {bad}: cannot be decoded" in said
    assert len(clips) == 46 and not set(quarantined["clip_id"]) & set(clips.index["clip_id"])
    assert np.array_equal(clips.frames[3], read_clip(index["path"][4], 4, (16, 16)))


def test_a_split_without_any_clip_stops_and_a_mended_file_is_tried_again(index, tmp_path):
    moved = index.copy()
    moved.loc[index["split"] == "validation", "path"] = str(tmp_path / "gone.webm")
    with pytest.raises(
        ValueError, match=r"no clip of the validation split can be decoded, first: .*gone"
    ):
        prepare(moved, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="run the prepare stage first"):
        load_clips(tmp_path / "out")
    assert len(prepare(index, tmp_path / "out")) == 48


def test_other_clips_in_the_same_folder_start_anew(index, tmp_path):
    prepare(index, tmp_path / "whole", frames=5)
    with pytest.raises(ValueError, match="no clip of the train split"):
        prepare(index.assign(path="gone.webm"), tmp_path / "out", frames=4)
    prepare(index, tmp_path / "out", frames=5)
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_full_disk_is_told_before_any_work(index, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10, 10, 100_000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(ValueError, match=r"need 0\.1 GB, and .* has room for 0\.0 GB: make"):
        prepare(index, tmp_path, size=(500, 500))
    assert not files(tmp_path)


# --- files that take their decoder down


def fate(path):
    """What the decoder of a file does, by the file's name."""
    name = os.path.basename(path)
    if name == "crash.webm":
        faulthandler.disable()  # whose words would be taken for a fault of the tests
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "kill.webm":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "hang.webm":
        time.sleep(600)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_file_that_kills_or_hangs_its_decoder_costs_itself_alone(
    index, tmp_path, monkeypatch, processes
):
    decode = module.decode_sequences

    def treacherous(path, *arguments):
        fate(path)
        return decode(path, *arguments)

    monkeypatch.setattr(module, "decode_sequences", treacherous)
    monkeypatch.setattr(module, "MOST_SECONDS", 1)
    names = {4: "crash.webm", 11: "hang.webm", 30: "kill.webm"}
    for row, name in names.items():
        index.loc[row, "path"] = str(tmp_path / name)
    clips = prepare(index, tmp_path / "out", processes=processes)
    bad = pd.read_parquet(tmp_path / "out/quarantine.parquet").set_index("clip_id")["reason"]
    assert bad.index.tolist() == index["clip_id"][[4, 11, 30]].tolist()
    assert "crash.webm: ends its decoder (-11)" in bad.iloc[0]
    assert "hang.webm: hangs its decoder" in bad.iloc[1]
    assert "kill.webm: ends its decoder (-9)" in bad.iloc[2]
    good = index.drop(index=list(names))
    assert clips.index["clip_id"].tolist() == good["clip_id"].tolist()
    for i, path in enumerate(good["path"]):
        assert np.array_equal(clips.frames[i], read_clip(path, 4, (16, 16)))


# --- killed


SCRIPT = """
import sys, time
import pandas as pd
from vidlib.data import prepare, prepare_clips
decode = prepare.decode_sequences
def slowly(*arguments):
    time.sleep(0.01)
    return decode(*arguments)
prepare.decode_sequences = slowly
prepare.EVERY = 0
index = pd.read_pickle(sys.argv[1])
print("ready", flush=True)
prepare_clips(index, sys.argv[2], frames=4, size=(16, 16), processes=2, cache=sys.argv[3] == "1")
"""


def noted(folder):
    """The rows that are noted as done."""
    try:
        notes = io.BytesIO((Path(folder) / "decoding.parquet").read_bytes())
    except FileNotFoundError:
        return []
    return sorted(pd.read_parquet(notes)["row"])


@pytest.mark.parametrize("cache", [True, pytest.param(False, marks=pytest.mark.soak)])
def test_killed_at_any_moment_it_ends_with_the_same_bytes(index, tmp_path, cache):
    bad = tmp_path / "bad.webm"
    bad.write_bytes(b"nothing")
    index = pd.concat([index.assign(clip_id=index["clip_id"] + c) for c in "abcd"])
    index = index.reset_index(drop=True)
    index.loc[[3, 100], "path"] = str(bad)
    index.to_pickle(tmp_path / "index.pickle")
    prepare(index, tmp_path / "whole", cache=cache)
    folder = tmp_path / "killed"
    arguments = [str(tmp_path / "index.pickle"), str(folder), str(int(cache))]
    chance = random.Random(0)
    killed = []  # clips told of when each process was killed
    ended = False
    while not ended:
        goal = max(killed, default=0) + chance.randrange(len(index) // 9, len(index) // 3)
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        assert process.stdout.readline() == b"ready\n"
        while process.poll() is None and len(noted(folder)) < goal:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.02))
        ended = process.poll() == 0
        if not ended:
            killed.append(len(noted(folder)))
            process.kill()
            process.wait()
    assert len(set(killed)) > 1
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def killed_after(decode_files, count):
    def killed(*arguments):
        yield from itertools.islice(decode_files(*arguments), count)
        raise KeyboardInterrupt

    return killed


def test_killed_twice_and_with_a_file_mended_between_it_goes_on(index, tmp_path, monkeypatch):
    """What was bad is tried again, what was good is not; no note takes the place of another."""
    prepare(index, tmp_path / "whole")
    monkeypatch.setattr(module, "EVERY", 0)
    path, away = Path(index["path"][2]), tmp_path / "away.webm"
    shutil.copy(path, tmp_path / "copy.webm")
    index.loc[2, "path"] = str(tmp_path / "copy.webm")
    (tmp_path / "copy.webm").rename(away)
    for count, good in ((6, [0, 1, 3, 4, 5]), (9, [0, 1, *range(3, 13)])):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, "_decode_files", killed_after(module._decode_files, count))
            prepare(index, tmp_path / "killed", processes=1)
        assert len(noted(tmp_path / "killed")) >= len(good) - 1
        assert 2 not in noted(tmp_path / "killed")
    away.rename(tmp_path / "copy.webm")
    prepare(index, tmp_path / "killed")
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


# --- the power is cut, the disk fails


def frames_of(content):
    """The rows of frames.npy in the file's bytes; none where it was cut off."""
    try:
        return np.lib.format.read_array(io.BytesIO(content))
    except ValueError:
        return []


def honest(whole, others):
    """What every disk has to fulfil: notes tell only of frames that are there.

    whole: the frames. others: what tells notes of other clips, and their frames.
    """

    def check(disk):
        for content in disk.after_power_cut():
            if "decoding.parquet" in content:
                notes = pd.read_parquet(io.BytesIO(content["decoding.parquet"]))
                rows = notes["row"].tolist()
                if rows:
                    frames = frames_of(content.get("frames.npy", b""))
                    assert len(frames), "rows are told of, and there is no array"
                    expected = others[1] if others[0] == notes.attrs["task"] else whole
                    assert np.array_equal(frames[rows], expected[rows]), "rows are told of and lost"
            if "index.parquet" in content:
                assert np.array_equal(frames_of(content["frames.npy"]), whole)

    return check


@pytest.fixture
def few(index, tmp_path):
    """Some clips, a check of disks, and all files in the end; tmp_path/"cut" has half of others."""
    few = index.iloc[::4].reset_index(drop=True)
    prepare(few, tmp_path / "whole", frames=5)
    others = few.assign(path=few["path"][::-1].tolist(), clip_id=few["clip_id"][::-1].tolist())
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "_decode_files", killed_after(module._decode_files, 9))
        patch.setattr(module, "EVERY", 0)
        prepare(others, tmp_path / "cut", frames=5)
    task = pd.read_parquet(tmp_path / "cut/decoding.parquet").attrs["task"]
    assert len(noted(tmp_path / "cut")) == 9
    whole, half = (np.load(tmp_path / name / "frames.npy") for name in ("whole", "cut"))
    return few, honest(whole, (task, half)), files(tmp_path / "whole")


@pytest.mark.parametrize("every", [0, 0.01])
def test_after_a_power_cut_it_goes_on_and_ends_with_the_same_bytes(
    few, tmp_path, monkeypatch, every
):
    index, check, whole = few
    monkeypatch.setattr(module, "EVERY", every)
    chance, found = random.Random(0), []

    def note(disk):
        check(disk)
        found.append(chance.choice(disk.after_power_cut()))

    with Disk(tmp_path / "cut", monkeypatch, watch=note) as disk:
        prepare_clips(index, tmp_path / "cut", frames=5, size=(16, 16), processes=2)
        for content in disk.after_power_cut():
            # Notes may come back: the next call ends at once.
            content.pop("decoding.parquet", None)
            assert content == tree(tmp_path / "whole")
    assert files(tmp_path / "cut") == whole
    for number, content in enumerate(chance.sample(found, 6)):
        lay_out(tmp_path / str(number), content)
        prepare(index, tmp_path / str(number), frames=5)
        assert files(tmp_path / str(number)) == whole


def test_where_the_disk_fails_no_frames_are_told_of_that_are_lost(few, tmp_path, monkeypatch):
    index, check, whole = few
    monkeypatch.setattr(module, "EVERY", 0)
    shutil.copytree(tmp_path / "cut", tmp_path / "well")
    with Disk(tmp_path / "well", monkeypatch) as disk:
        prepare_clips(index, tmp_path / "well", frames=5, size=(16, 16), processes=1)
    first = disk.done.index(("open", "frames.npy")) + 1  # the first time that frames are synced
    assert disk.done[first] == ("fsync",)
    for number in [first, *range(0, 60, 7)]:
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "cut", folder)
        with Disk(folder, monkeypatch, fail_at=number, watch=check) as disk:
            with contextlib.suppress(OSError):
                prepare_clips(index, folder, frames=5, size=(16, 16), processes=1)
            check(disk)
            assert disk.errors
        prepare(index, folder, frames=5)
        assert files(folder) == whole


def test_what_is_told_survives_a_power_cut(few, tmp_path, monkeypatch):
    index, _, _ = few
    shutil.rmtree(tmp_path / "cut")
    (tmp_path / "cut").mkdir()
    monkeypatch.setattr(module, "_decode_files", killed_after(module._decode_files, 5))
    monkeypatch.setattr(module, "EVERY", 0)
    with Disk(tmp_path / "cut", monkeypatch) as disk:
        with pytest.raises(KeyboardInterrupt):
            prepare_clips(index, tmp_path / "cut", frames=5, size=(16, 16), processes=2)
        for content in disk.after_power_cut():
            assert len(pd.read_parquet(io.BytesIO(content["decoding.parquet"]))) == 5


def syncs_nothing(patch):
    patch.setattr(module, "sync", lambda path: None)


def tells_first(patch):
    calls = []
    patch.setattr(module, "sync", calls.append)

    def write(path, table):
        write_table(path, table)
        sync(path.parent / "frames.npy")

    patch.setattr(module, "write_table", write)


@pytest.mark.parametrize("careless", [syncs_nothing, tells_first], ids=lambda f: f.__name__)
def test_the_model_catches_who_tells_too_early(few, tmp_path, monkeypatch, careless):
    index, check, _ = few
    monkeypatch.setattr(module, "EVERY", 0)
    careless(monkeypatch)
    with (
        pytest.raises(AssertionError, match="rows are told of"),
        Disk(tmp_path / "cut", monkeypatch, watch=check),
    ):
        prepare_clips(index, tmp_path / "cut", frames=5, size=(16, 16), processes=2)


# --- streamed


def test_streamed_clips_are_the_prepared_ones(index, tmp_path):
    stored = prepare(index, tmp_path / "stored")
    streamed = prepare(index, tmp_path / "streamed", cache=False)
    assert not (tmp_path / "streamed/frames.npy").exists()
    assert len(streamed) == 48 and streamed.frames.shape == stored.frames.shape
    assert np.array_equal(np.asarray(streamed.frames), np.asarray(stored.frames))
    one, other = streamed.split("validation"), stored.split("validation")
    assert torch.equal(one[3][0], other[3][0]) and one[3][1] == other[3][1]


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("cache", [True, False])
def test_batches_come_in_the_order_asked_for(index, tmp_path, workers, cache):
    clips = prepare(index, tmp_path, cache=cache)
    order = np.random.default_rng(0).permutation(48).tolist()
    batches = list(stream_clips(clips, 10, workers=workers, order=order))
    assert [len(batch.frames) for batch in batches] == [10, 10, 10, 10, 8]
    assert torch.cat([batch.positions for batch in batches]).tolist() == order
    for batch in batches:
        assert batch.lost == [] and batch.frames.dtype == torch.uint8
        for clip, output, position in zip(
            to_network(batch.frames), batch.outputs, batch.positions.tolist(), strict=True
        ):
            assert torch.equal(clip, clips[position][0]) and output == clips[position][1]
    plain = next(iter(stream_clips(clips, 3, workers=workers)))
    assert plain.positions.tolist() == [0, 1, 2]


@pytest.mark.parametrize("workers", [0, 2])
def test_clips_that_break_while_streaming_are_lost_not_fatal(mini, tmp_path, workers):
    index = read_something(shutil.copytree(mini, tmp_path / "set"))
    clips = prepare(index, tmp_path / "out", cache=False)
    for row in (4, 5, 6, 7, 20):
        os.rename(clips.index["path"][row], f"{clips.index['path'][row]}.gone")
    with pytest.raises(VideoError, match=r"\.webm: no such video"):
        clips[4]
    with pytest.warns(DataWarning, match=r"5 clips could not be read, first: .*webm: no such"):
        batches = list(stream_clips(clips, 4, workers=workers))
    assert len(batches) == 11, "the batch of 4 to 7 has nothing left"
    seen = torch.cat([batch.positions for batch in batches]).tolist()
    assert seen == [i for i in range(48) if i not in (4, 5, 6, 7, 20)]
    (short,) = [batch for batch in batches if len(batch.frames) < 4]
    assert short.positions.tolist() == [21, 22, 23] and "no such video" in short.lost[0]


class Odd(Exception):
    """Cannot be made again from its message alone, as pipes do."""

    def __init__(self, first, second):
        super().__init__(first)


def misbehave(how):
    """What a process that reads a clip does wrong."""
    if how == "raises":
        raise OSError("the disk fails")
    if how == "raises what cannot travel":
        raise type("Local", (Exception,), {})("of its own kind")
    if how == "raises what cannot come back":
        raise Odd("once", "twice")
    if how == "is out of memory":
        raise MemoryError
    if how == "ends":
        os._exit(1)
    if how == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "crashes":
        faulthandler.disable()
        os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(600)


WORDS = {
    "raises": r"clip 5 cannot be read \(OSError: the disk fails\)",
    "raises what cannot travel": r"clip 5 cannot be read \(Local: of its own kind\)",
    "raises what cannot come back": r"clip 5 cannot be read \(Odd: once\)",
    "is out of memory": r"clip 5 cannot be read \(MemoryError",
    "ends": r"a process that reads ended .*memory",
    "is killed": r"a process that reads ended .*memory",
    "crashes": r"a process that reads ended .*memory",
    "hangs": r"a process that reads ended .*memory",
}


@pytest.mark.parametrize("how", WORDS)
def test_what_becomes_of_a_process_that_reads_is_one_error(index, tmp_path, monkeypatch, how):
    clips = prepare(index, tmp_path)
    read = clips.frames.read
    clips.frames.read = lambda row: misbehave(how) if row == 5 else read(row)
    monkeypatch.setattr("vidlib.data.clips.MOST_SECONDS", 0.2 if how == "hangs" else 60)
    begun = time.monotonic()
    with pytest.raises(RuntimeError, match=WORDS[how]) as error:
        for batch in stream_clips(clips, 2, workers=2):
            assert batch.positions.tolist() in ([0, 1], [2, 3])
    assert time.monotonic() - begun < 10
    assert not multiprocessing.active_children() and error.traceback


SMALL = """
import sys
import numpy as np, pandas as pd
from vidlib.data import Clips, Frames, stream_clips
frames = np.random.default_rng(0).integers(0, 256, (24, 16, 112, 112, 3), np.uint8)
index = pd.DataFrame({"label": [1] * 24, "label_name": ["x"] * 24})
clips = Clips(index, Frames(frames.__getitem__, np.arange(24), frames.shape[1:]), [1])
found = [batch.frames.numpy() for batch in stream_clips(clips, 8, workers=2)]
assert np.array_equal(np.concatenate(found), frames)
print("all", len(found))
"""


@pytest.mark.parametrize("size", ["64m", "1m", "8k"])
def test_little_shared_memory_is_enough(size):
    """As containers have it; a batch of these has 4.8 MB."""
    own = ["unshare", "-m", "bash", "-c"]
    mount = f"mount -t tmpfs -o size={size} none /dev/shm"
    if not shutil.which("unshare") or subprocess.run([*own, mount], capture_output=True).returncode:
        pytest.skip("this user may not mount a small /dev/shm")
    command = [*own, f'{mount} && exec "$0" -c "$1"', sys.executable, SMALL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout == "all 3\n", done.stderr


def test_no_shared_memory_at_all_is_one_error(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(multiprocessing.synchronize.SemLock, "__init__", refuse)
    index = pd.DataFrame({"label": [1], "label_name": ["x"]})
    frames = Frames(np.zeros((1, 2, 8, 8, 3), np.uint8).__getitem__, np.arange(1), (2, 8, 8, 3))
    with pytest.raises(RuntimeError, match=r"cannot start processes .*space.*see that /dev/shm"):
        list(stream_clips(Clips(index, frames, [1]), 1, workers=2))


def test_who_stops_reading_leaves_no_process_behind(index, tmp_path):
    clips = prepare(index, tmp_path)
    for _ in stream_clips(clips, 2, workers=2):
        break
    assert not multiprocessing.active_children()


def test_streaming_takes_nothing_from_the_random_numbers(index, tmp_path):
    clips = prepare(index, tmp_path)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    for _ in stream_clips(clips, 16, workers=2):
        pass
    assert torch.equal(torch.rand(3), expected)

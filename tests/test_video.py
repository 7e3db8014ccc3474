"""Video files: the right frames come back, and nothing that is wrong with a file goes unseen."""

import os
import struct

import av
import numpy as np
import pytest
from conftest import SHARED, real_data
from hypothesis import given, settings
from hypothesis import strategies as st
from videos import avi_chunks, encode, encode_sound, numbered, patch_avi

from vidlib.data import (
    VideoError,
    decode_sequences,
    promised_frames,
    read_clip,
    sample_frames,
    write_webm,
)
from vidlib.data import video as module

COUNT = 68
SIZE = (24, 32)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of good files, by name."""
    folder = tmp_path_factory.mktemp("whole")
    frames = numbered(COUNT)
    write_webm(folder / "a.webm", frames)
    encode(folder / "a.avi", frames)
    encode(folder / "keys.avi", frames, gop=1)
    encode(folder / "raw.avi", frames, codec="rawvideo")
    encode(folder / "h264.avi", frames, codec="libx264")
    encode(folder / "a.mp4", frames, codec="libx264")
    encode(folder / "vp8.webm", frames, codec="libvpx")
    encode(folder / "av1.webm", frames[:12], codec="libsvtav1")
    encode(folder / "deep.avi", frames, codec="ffv1", pixels="yuv420p10le")
    encode(folder / "grey.avi", frames, codec="ffv1", pixels="gray")
    encode(folder / "still.png", frames[:1], codec="png", pixels="rgb24", form="image2")
    write_webm(folder / "black.webm", np.zeros_like(frames))
    write_webm(folder / "one.webm", frames[:1])
    write_webm(folder / "tiny.webm", frames[:, :2, :2])
    encode_sound(folder / "sound.webm")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def decode(path, ranges=((0, None),), frames=8):
    return decode_sequences(path, list(ranges), frames, SIZE)


def told_number(frame, count=COUNT):
    """Read the number of a frame of `numbered` off its bar."""
    row = frame[int(frame.shape[0] / 3)].astype(float).mean(axis=-1)
    ground = frame[-4:].mean()
    bar = ((row - ground) / (230 - ground)).clip(0, 1).sum() / frame.shape[1]
    return bar * (count - 1)


# --- good files


@pytest.mark.parametrize("name", ["a.webm", "a.avi", "raw.avi", "h264.avi", "vp8.webm"])
def test_the_right_frames_come_back(whole, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(whole[name])
    (clip,) = decode(path)
    assert clip.reason == "" and clip.length == COUNT and clip.frames.shape == (8, *SIZE, 3)
    numbers = np.array([told_number(frame) for frame in clip.frames])
    assert np.abs(numbers - sample_frames(COUNT, 8)).max() < 3
    assert promised_frames(path) == COUNT


def test_every_frame_is_itself(whole, tmp_path):
    """Against frames decoded the plain way, number by number."""
    path = tmp_path / "a.avi"
    path.write_bytes(whole["a.avi"])
    with av.open(str(path)) as container:
        plain = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    got = decode_sequences(path, [(0, None)], COUNT, (48, 64))[0].frames
    assert np.array_equal(got, np.stack(plain))


def test_colours_and_the_squash_come_back(tmp_path):
    frames = np.zeros((6, 32, 64, 3), np.uint8)
    frames[:, :, :32] = (200, 40, 40)
    frames[:, :, 32:] = (40, 40, 200)
    write_webm(tmp_path / "clip.webm", frames)
    clip = read_clip(tmp_path / "clip.webm", 3, (16, 16)).astype(int)
    assert np.abs(clip[:, 4:12, 2:6] - (200, 40, 40)).max() < 25
    assert np.abs(clip[:, 4:12, 10:14] - (40, 40, 200)).max() < 25


def test_the_same_frames_give_the_same_bytes(tmp_path):
    write_webm(tmp_path / "a.webm", numbered(10))
    write_webm(tmp_path / "b.webm", numbered(10))
    assert (tmp_path / "a.webm").read_bytes() == (tmp_path / "b.webm").read_bytes()


def test_sequences_of_one_file_are_those_read_apart(whole, tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(whole["a.avi"])
    ranges = [(40, 60), (0, 20), (10, 30), (67, 68), (0, 68)]  # out of order and overlapping
    together = decode(path, ranges)
    assert [clip.length for clip in together] == [20, 20, 20, 1, 68]
    for (start, stop), clip in zip(ranges, together, strict=True):
        assert np.array_equal(clip.frames, read_clip(path, 8, SIZE, start, stop))
        numbers = np.array([told_number(frame) for frame in clip.frames])
        assert np.abs(numbers - start - sample_frames(stop - start, 8)).max() < 3


def test_a_range_beyond_the_end_is_bad_and_the_others_are_not(whole, tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(whole["a.avi"])
    good, bad = decode(path, [(0, 68), (60, 69)])
    assert good.reason == "" and bad.frames is None
    assert bad.reason.endswith(
        "a.avi: holds 68 frames, too few for frames 60 to 69; ask for fewer or fetch the file again"
    )


def test_a_range_to_the_end(whole, tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(whole["a.avi"])
    to_end, beyond = decode(path, [(50, None), (COUNT, None)])
    assert to_end.length == COUNT - 50
    assert np.array_equal(to_end.frames, read_clip(path, 8, SIZE, 50, COUNT))
    assert beyond.frames is None and f"holds {COUNT} frames, too few" in beyond.reason


def test_damage_is_told_of_the_sequences_in_which_it_shows(whole, tmp_path):
    """Key frames at 0, 12, 24, ...: what is broken at 30 shows until 35."""
    data = bytearray(whole["a.avi"])
    start, stop = avi_chunks(bytes(data))[30]
    data[start + 12 : stop] = bytes([0x5A]) * (stop - start - 12)
    path = tmp_path / "a.avi"
    path.write_bytes(data)
    ranges = [(0, 30), (31, 34), (36, 60), (20, 40)]
    before, in_its_wake, after, over = decode(path, ranges)
    (whole_file,) = decode(path)
    assert before.reason == after.reason == ""
    assert in_its_wake.reason.endswith("frame 31 is damaged; fetch the file again")
    for clip in (over, whole_file):
        assert clip.frames is None and clip.reason.endswith(
            "frame 30 is damaged; fetch the file again"
        )
    for clip, (start, stop) in ((before, ranges[0]), (after, ranges[2])):
        numbers = np.array([told_number(frame) for frame in clip.frames])
        assert np.abs(numbers - start - sample_frames(stop - start, 8)).max() < 3


def test_read_clip_raises_the_reason(tmp_path):
    with pytest.raises(VideoError, match=r"none\.webm: no such video; check the path"):
        read_clip(tmp_path / "none.webm", 4, (8, 8))


def test_a_slow_file_is_given_up(whole, tmp_path, monkeypatch):
    path = tmp_path / "a.webm"
    path.write_bytes(whole["a.webm"])
    monkeypatch.setattr(module, "MOST_SECONDS", -1)
    assert decode(path)[0].reason.endswith("a.webm: takes over -1 s to decode; replace the file")


# --- broken and odd files: how each is made, and what becomes of it ("" where it is read)


def middle(data, new):
    at = len(data) // 2
    return data[:at] + new + data[at + len(new) :]


def webm_duration(data, seconds):
    """Patch the duration of a webm file, a big-endian double after its element's id and size."""
    at = data.index(b"\x44\x89\x88") + 3
    return data[:at] + struct.pack(">d", 1000 * seconds) + data[at + 8 :]


def without_first_key_frame(data):
    start, stop = avi_chunks(data)[0]
    return data[:start] + bytes(stop - start) + data[stop:]


def without_index(data):
    return data[: data.rindex(b"idx1")]


FETCH = "fetch the file again"
KINDS = {
    "nothing in it": ("x.webm", lambda f: b"", "x.webm: is empty; " + FETCH),
    "one byte": ("x.webm", lambda f: b"\x1a", "cannot be decoded"),
    "text": ("x.webm", lambda f: b"not a video" * 50, "cannot be decoded"),
    "a web page": ("x.avi", lambda f: b"<!DOCTYPE html><html>404</html>", "cannot be decoded"),
    "random bytes": (
        "x.webm", lambda f: np.random.default_rng(0).bytes(9000), "cannot be decoded"),
    "a picture": ("x.webm", lambda f: f["still.png"], "cannot be decoded"),
    "a playlist": (
        "x.webm", lambda f: b"#EXTM3U\n#EXTINF:9,\na.webm\n#EXT-X-ENDLIST\n", "cannot be decoded"),
    "a list of files": ("x.avi", lambda f: b"ffconcat version 1.0\nfile a.avi\n", "cannot be dec"),
    "sound alone": ("x.webm", lambda f: f["sound.webm"], "holds no video stream; replace"),
    "AVI called webm": ("x.webm", lambda f: f["a.avi"], "cannot be decoded"),
    "webm called AVI": ("x.avi", lambda f: f["a.webm"], "cannot be decoded"),
    "webm: a header alone": ("x.webm", lambda f: f["a.webm"][:300], "is cut off|cannot be decoded"),
    "webm: half of it": (
        "x.webm", lambda f: f["a.webm"][: len(f["a.webm"]) // 2], "promises 68 frames"),
    "webm: nine tenths": (
        "x.webm", lambda f: f["a.webm"][: len(f["a.webm"]) * 9 // 10], "promises 68 frames"),
    "webm: zeros in the middle": (
        "x.webm", lambda f: middle(f["a.webm"], bytes(2000)), "is damaged ("),
    "webm: a hole": (
        "x.webm", lambda f: f["a.webm"][:2000] + f["a.webm"][9000:], "is damaged ("),
    "webm: unknown codec": (
        "x.webm", lambda f: f["a.webm"].replace(b"V_VP9", b"V_XYZ"), "no decoder knows its codec"),
    "webm: another codec's name": (
        "x.webm", lambda f: f["a.webm"].replace(b"V_VP9", b"V_VP8"), "cannot be decoded|cut off"),
    "webm: says ten times its length": (
        "x.webm", lambda f: webm_duration(f["a.webm"], 10 * COUNT / 12), "promises 680 frames"),
    "webm: endless by its word": (
        "x.webm", lambda f: webm_duration(f["a.webm"], 1e300), ""),
    "webm: length not a number": ("x.webm", lambda f: webm_duration(f["a.webm"], np.nan), ""),
    "webm: negative length": ("x.webm", lambda f: webm_duration(f["a.webm"], -5.0), ""),
    "AVI: 444 frames promised, 68 there": (
        "x.avi", lambda f: patch_avi(f["a.avi"], frames=444), "promises 444 frames, has 68"),
    "AVI: 10 frames promised, 68 there": (
        "x.avi", lambda f: patch_avi(f["a.avi"], frames=10), ""),
    "AVI: half of it": (
        "x.avi", lambda f: f["a.avi"][: len(f["a.avi"]) // 2], "promises 68|is damaged|cannot be"),
    "AVI: no index": ("x.avi", lambda f: without_index(f["a.avi"]), ""),
    "AVI: first key frame gone": (
        "x.avi", lambda f: without_first_key_frame(f["a.avi"]), "is damaged|cut off|cannot be"),
    "AVI: zeros in the middle": (
        "x.avi", lambda f: middle(f["a.avi"], bytes(2000)), "is damaged|cannot be dec|cut off"),
    "AVI: width of 2 to the 31": (
        "x.avi", lambda f: patch_avi(f["raw.avi"], width=2**31 - 1), "claims pictures|cannot be"),
    "AVI: width of 600,000": (
        "x.avi", lambda f: patch_avi(f["raw.avi"], width=600_000), "claims pictures of 600000"),
    "AVI: width of 0": ("x.avi", lambda f: patch_avi(f["raw.avi"], width=0), "claims pictures|can"),
    "AVI: rate of 0": ("x.avi", lambda f: patch_avi(f["a.avi"], rate=0), ""),
    "AVI: raw pictures, half": (
        "x.avi", lambda f: f["raw.avi"][: len(f["raw.avi"]) // 2], "promises 68|damaged|cannot"),
    "AVI: H.264, zeros in the middle": (
        "x.avi", lambda f: middle(f["h264.avi"], bytes(900)), "is damaged|cannot be dec|cut off"),
    "mp4: its index cut off": (
        "x.mp4", lambda f: f["a.mp4"][: len(f["a.mp4"]) // 2], "cannot be decoded|no video stream"),
    "another codec: VP8": ("x.webm", lambda f: f["vp8.webm"], ""),
    "another codec: AV1": ("x.webm", lambda f: f["av1.webm"], ""),
    "ten bits deep": ("x.avi", lambda f: f["deep.avi"], ""),
    "grey": ("x.avi", lambda f: f["grey.avi"], ""),
    "really black": ("x.webm", lambda f: f["black.webm"], ""),
    "one frame": ("x.webm", lambda f: f["one.webm"], ""),
    "two pixels wide": ("x.webm", lambda f: f["tiny.webm"], ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_becomes_of_a_file(whole, tmp_path, kind):
    name, make, expected = KINDS[kind]
    path = tmp_path / name
    path.write_bytes(make(whole))
    (clip,) = decode(path)
    (in_range,) = decode(path, [(0, 1)])  # never raises either
    assert in_range.frames is None or in_range.frames.shape == (8, *SIZE, 3)
    if expected:
        assert clip.frames is None and clip.reason.startswith(str(path))
        assert any(words in clip.reason for words in expected.split("|")), clip.reason
    else:
        assert clip.reason == "" and clip.frames.shape == (8, *SIZE, 3)
        assert kind == "really black" or clip.frames.mean() > 50


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: None, "no such video"),
        (lambda path: path.mkdir(), "no such video"),
        (lambda path: path.symlink_to("nowhere.webm"), "no such video"),
        (lambda path: path.symlink_to(path), "no such video"),
        (lambda path: os.mkfifo(path), "no such video"),
    ],
    ids=["absent", "a folder", "a link to nowhere", "a link to itself", "a pipe"],
)
def test_what_is_no_file_is_no_video(tmp_path, make, expected):
    path = tmp_path / "x.webm"
    make(path)
    assert expected in decode(path)[0].reason
    with pytest.raises(VideoError, match=expected):
        promised_frames(path)


def test_a_name_that_no_disk_takes_is_a_reason_too(tmp_path):
    (clip,) = decode(tmp_path / ("x" * 300 + ".webm"))
    assert clip.frames is None and clip.reason.startswith(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_named(whole, tmp_path):
    path = tmp_path / "x.webm"
    path.write_bytes(whole["a.webm"])
    path.chmod(0)
    assert "x.webm: cannot be decoded" in decode(path)[0].reason


@st.composite
def mutations(draw):
    """A list of edits, each by shares of the file, so that all formats get the same."""
    kinds = st.sampled_from(["cut", "flip", "zero", "delete", "insert", "repeat"])
    share = st.floats(0, 1)
    return draw(
        st.lists(st.tuples(kinds, share, share, st.integers(0, 255)), min_size=1, max_size=4)
    )


def mutated(data, edits):
    data = bytearray(data)
    for kind, where, how_much, value in edits:
        at = int(where * len(data))
        length = 1 + int(how_much**4 * len(data) / 2)  # most often little
        block = data[at : at + length]
        if kind == "cut":
            del data[at:]
        elif kind == "flip" and block:
            data[at] ^= value or 1
        elif kind == "zero":
            data[at : at + length] = bytes(len(block))
        elif kind == "delete":
            del data[at : at + length]
        elif kind == "insert":
            data[at:at] = bytes([value]) * length
        else:
            data[at:at] = block
    return bytes(data)


FUZZED = st.sampled_from(["a.webm", "a.avi", "h264.avi", "raw.avi", "grey.avi"])


def stands(path):
    """A file is good, its frames as bright as they must be, or it is bad, with a reason."""
    for clip in (*decode(path), *decode(path, [(0, 10), (10, 68)])):
        if clip.reason:
            assert clip.frames is None and clip.reason.startswith(str(path))
        else:
            assert clip.frames.shape == (8, *SIZE, 3)
            # The darkest frame of `numbered` has a mean above 60: none turned black unseen. (In raw
            # and lossless pictures zeros are black pixels, and nothing tells that they are wrong.)
            plain = "raw" in path.name or "grey" in path.name
            assert plain or clip.frames.mean(axis=(1, 2, 3)).min() > 16


@settings(max_examples=400, deadline=10_000, derandomize=True)
@given(FUZZED, mutations())
def test_no_file_gets_the_better_of_the_decoder(whole, tmp_path_factory, name, edits):
    path = tmp_path_factory.getbasetemp() / f"fuzz-{name}"
    path.write_bytes(mutated(whole[name], edits))
    stands(path)


@pytest.mark.soak
@settings(max_examples=20_000, deadline=60_000)
@given(FUZZED, mutations())
def test_nor_do_many_more(whole, tmp_path_factory, name, edits):
    path = tmp_path_factory.getbasetemp() / f"fuzz-{name}"
    path.write_bytes(mutated(whole[name], edits))
    stands(path)


# --- real footage


@real_data
def test_real_files_decode():
    juggling = SHARED / "clips/v_SoccerJuggling_g23_c01.avi"
    (clip,) = decode_sequences(juggling, [(0, None)], 64, (112, 112))
    assert clip.length == promised_frames(juggling) == 240 and clip.frames.std() > 30
    # A file with errors of its stream (packed B-frames, too long): all its frames are there.
    (clip,) = decode_sequences(SHARED / "clips/Megamind_bugy.avi", [(0, None)], 16, (112, 112))
    assert (clip.reason, clip.length) == ("", 270)
    assert (clip.frames[1:].mean(axis=(1, 2, 3)) > 20).all()  # it fades in from black


@real_data
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_real_files_cut_off_are_told(tmp_path, share):
    for source in SHARED.glob("*/*.avi"):
        data = source.read_bytes()
        (tmp_path / source.name).write_bytes(data[: int(share * len(data))])
        (clip,) = decode(tmp_path / source.name)
        assert clip.frames is None and ("promises" in clip.reason or "damaged" in clip.reason)

"""Video files as a player shows them, whatever the container says: kinds of files, several each."""

import struct
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vidlib.data.picture import Geometry
from vidlib.data.sampling import sample_frames, sample_times
from vidlib.data.video import VideoError, decode_sequences, promised_frames, video_geometry
from vidlib.video_network import VideoNetwork, read_frames

SIZE = (24, 32)


def level(frame):
    """The number that a frame of `film` shows: its left half is 40 + 2 of it in grey."""
    return (float(frame[:, : frame.shape[1] // 2 - 2].mean()) - 38) / 2


def film(path, codec="libx264", pts=range(60), sar=None, rate=30, options=None, pictures=None):
    """Write a film whose frame i is grey 40 + 2 i, shown at pts[i] / rate seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        if sar:
            stream.codec_context.sample_aspect_ratio = sar
        for i, stamp in enumerate(pts):
            picture = np.full((96, 128, 3), 40 + 2 * i) if pictures is None else pictures[i]
            picture = picture.astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def trimmed(source, path, seconds):
    """Hide the beginning by an edit list, as telephones do when a film is trimmed."""
    with av.open(str(source)) as whole, av.open(str(path), "w") as out:
        stream = whole.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for packet in whole.demux(stream):
            if packet.dts is not None:
                packet.pts -= int(seconds / stream.time_base)
                packet.dts -= int(seconds / stream.time_base)
                packet.stream = copy
                out.mux(packet)
    return path


def shown(path, frames=8, **options):
    (clip,) = decode_sequences(path, [(0, None)], frames, SIZE, **options)
    assert clip.reason == "", clip.reason
    return [level(frame) for frame in clip.frames], clip.length


# A. Frames that are there, and those that the header claims


def test_an_edit_list_hides_the_frames_before_it(tmp_path):
    whole = film(tmp_path / "whole.mp4")
    for seconds, first in ((1, 30), (Fraction(1, 2), 15), (Fraction(3, 2), 45)):
        numbers, length = shown(trimmed(whole, tmp_path / "cut.mp4", seconds))
        assert length == 60 - first
        assert numbers == pytest.approx(list(first + sample_frames(60 - first, 8)), abs=1)
        assert promised_frames(tmp_path / "cut.mp4") == 60 - first


@pytest.mark.parametrize(
    "pts",
    [
        [*range(30), *range(30, 120, 3)],  # a recorder that falls behind
        [*range(0, 90, 3), *range(90, 120)],
        [*range(20), 80, *range(81, 120)],  # one long pause
        [0, 1, 2, 100, 101, 102],
    ],
)
def test_skipped_frames_of_an_avi_are_those_shown_before(tmp_path, pts):
    path = film(tmp_path / "skipped.avi", "mpeg4", pts)
    numbers, length = shown(path, 12)
    assert length == len(pts)
    moments = np.linspace(0, pts[-1], 12) + 1e-6
    assert numbers == pytest.approx(list(np.searchsorted(pts, moments, "right") - 1), abs=2.5)


def test_a_file_that_really_ends_early_is_cut_off(tmp_path):
    for name, codec, share in (("a.avi", "mpeg4", 0.5), ("a.webm", "libvpx-vp9", 0.6)):
        noise = np.random.default_rng(0).integers(0, 256, (60, 96, 128, 3), dtype=np.uint8)
        path = film(tmp_path / name, codec, pictures=noise)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        (clip,) = decode_sequences(path, [(0, None)], 8, SIZE)
        assert any(word in clip.reason for word in ("cut off", "cannot be decoded", "damaged"))


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"),
    ("a.ts", "libx264"), ("a.avi", "libx264"), ("a.flv", "flv1"), ("a.mpg", "mpeg2video"),
    ("b.webm", "libvpx"), ("c.avi", "mpeg4")])  # fmt: skip
def test_every_container_gives_its_frames_by_number(tmp_path, name, codec):
    options = {"bf": "2"} if codec == "mpeg4" else {}
    numbers, length = shown(film(tmp_path / name, codec, options=options))
    assert length == 60 and numbers == pytest.approx(list(sample_frames(60, 8)), abs=1.5)


@pytest.mark.parametrize("cut", [0.1, 0.33, 0.5, 0.77])
def test_a_transport_stream_may_be_cut_anywhere(tmp_path, cut):
    noise = np.random.default_rng(0).integers(0, 256, (60, 96, 128, 3), dtype=np.uint8)
    path = film(tmp_path / "a.ts", options={"g": "10"}, pictures=noise)
    data = path.read_bytes()
    path.write_bytes(data[int(cut * len(data)) : int((cut + 0.2) * len(data))])
    (clip,) = decode_sequences(path, [(0, None)], 4, SIZE)
    assert clip.reason == "" and 0 < clip.length < 20


# B. Pictures upright, unmirrored, in their shape, by time and in colour


def test_uneven_rates_are_sampled_by_time(tmp_path):
    rng = np.random.default_rng(1)
    for name in ("a.mp4", "a.mkv", "a.webm"):
        pts = np.cumsum(rng.choice([1, 1, 1, 9], 40)).tolist()
        pts = [p - pts[0] for p in pts]
        codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
        numbers, _ = shown(film(tmp_path / name, codec, pts), 10)
        moments = np.linspace(0, pts[-1], 10) + 1e-3
        assert numbers == pytest.approx(list(np.searchsorted(pts, moments, "right") - 1), abs=1)


def test_times_by_hand():
    assert sample_times(np.arange(10) / 25, 4).tolist() == [0, 3, 6, 9]  # steady: by number
    assert sample_times(np.array([0.0, 1, 2, 3, 7, 8]), 3).tolist() == [0, 3, 5]
    assert sample_times(np.array([0.0, 1, 2, 30]), 4).tolist() == [0, 2, 2, 3]
    assert sample_times(np.array([5.0]), 3).tolist() == [0, 0, 0]
    jitter = np.arange(100) / 30 + np.random.default_rng(0).uniform(0, 0.01, 100)
    assert sample_times(jitter, 16).tolist() == sample_frames(100, 16).tolist()


def corner(frames):
    """Where the bright quarter of the pictures is, and how wide the bright bar: (row, column)."""
    quarters = frames.mean((0, 3))
    h, w = quarters.shape[0] // 2, quarters.shape[1] // 2
    grid = [[quarters[:h, :w].mean(), quarters[:h, w:].mean()],
            [quarters[h:, :w].mean(), quarters[h:, w:].mean()]]  # fmt: skip
    return np.array(grid)


EIGHT = [  # a, b, c, d of the display matrix
    (1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0),
    (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0),
]  # fmt: skip


@pytest.mark.parametrize("matrix", EIGHT)
def test_all_eight_orientations(tmp_path, matrix):
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[:48, :64], picture[:48, 64:], picture[48:, :64] = 220, 140, 70
    path = film(tmp_path / "a.mp4", pictures=[picture] * 10, pts=range(10))
    data, a, b, c, d = bytearray(path.read_bytes()), *matrix
    at = data.index(b"tkhd") + 44
    one = 1 << 16
    x = 128 * one * (a < 0) + 96 * one * (c < 0)
    y = 128 * one * (b < 0) + 96 * one * (d < 0)
    values = (a * one, b * one, 0, c * one, d * one, 0, x, y, 1 << 30)
    data[at : at + 36] = struct.pack(">9i", *values)
    path.write_bytes(data)
    # By hand: the pixel at (x, y) of the stored picture is shown at (a x + c y, b x + d y).
    stored, wanted = corner(picture[None].astype(float)), np.zeros((2, 2))
    for row in (0, 1):
        for column in (0, 1):
            u, v = 2 * column - 1, 2 * row - 1
            wanted[(b * u + d * v + 1) // 2, (a * u + c * v + 1) // 2] = stored[row, column]
    height, width = (128, 96) if a == 0 else (96, 128)
    assert video_geometry(path)[:2] == (height, width)
    seen = read_frames(path, VideoNetwork(Plain(), 4, (height, width)))
    np.testing.assert_allclose(corner(seen.astype(float)), wanted, atol=4)
    (clip,) = decode_sequences(path, [(0, None)], 4, SIZE)  # data sets, too
    np.testing.assert_allclose(corner(clip.frames.astype(float)), wanted, atol=8)


class Plain(__import__("torch").nn.Module):
    def forward(self, clips):
        return clips.mean((2, 3, 4))


@pytest.mark.parametrize(
    ("aspect", "size"),
    [((2, 1), (96, 256)), ((1, 2), (96, 64)), ((4, 3), (96, 171)), ((1, 1), (96, 128))],
)
def test_the_aspect_of_pixels_is_applied(tmp_path, aspect, size):
    path = film(tmp_path / "a.mp4", sar=Fraction(*aspect))
    assert video_geometry(path)[:2] == size


def test_a_circle_stays_a_circle(tmp_path):
    y, x = np.mgrid[:96, :128]
    ellipse = ((x - 64) / 20) ** 2 + ((y - 48) / 40) ** 2 < 1  # stored half as wide as shown
    picture = np.repeat(255 * ellipse[..., None], 3, 2).astype(np.uint8)
    path = film(tmp_path / "a.mp4", pictures=[picture] * 10, pts=range(10), sar=Fraction(2, 1))
    (frame,) = read_frames(path, VideoNetwork(Plain(), 2, (48, 48), resize=48))[:1]
    on = frame.mean(2) > 128
    assert on.any(0).sum() == pytest.approx(on.any(1).sum(), abs=2)


def test_untagged_pictures_are_bt_709_where_players_think_so(tmp_path):
    colour = np.broadcast_to(np.array([30, 180, 60], np.uint8), (720, 1280, 3))
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(colour), format="rgb24")
    for name, space in (("hd.mp4", "ITU709"), ("sd.mp4", "ITU601")):
        path, small = tmp_path / name, space == "ITU601"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height = (320, 240) if small else (1280, 720)
            stream.pix_fmt = "yuv420p"
            for _ in range(3):
                made = frame.reformat(stream.width, stream.height, "yuv420p", dst_colorspace=space)
                made.colorspace = 2
                container.mux(stream.encode(made))
            container.mux(stream.encode())
        (clip,) = decode_sequences(path, [(0, None)], 2, SIZE)
        np.testing.assert_allclose(clip.frames.mean((0, 1, 2)), [30, 180, 60], atol=4)


def test_a_slanted_matrix_is_left_aside():
    assert Geometry(3, 4, np.eye(2, dtype=int)).stored((5, 6)) == (5, 6)
    turned = Geometry(3, 4, np.array([[0, -1], [1, 0]]))
    assert turned.stored((5, 6)) == (6, 5)
    assert turned.upright(np.zeros((6, 5, 3))).shape == (5, 6, 3)


# C. The stream that people mean


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.ts"])
def test_the_best_stream_is_taken(tmp_path, name):
    """A thumbnail of one frame comes first."""
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        thumbnail = container.add_stream("libx264", rate=30)
        thumbnail.width, thumbnail.height, thumbnail.pix_fmt = 32, 24, "yuv420p"
        real = container.add_stream("libx264", rate=30)
        real.width, real.height, real.pix_fmt = 128, 96, "yuv420p"
        for i in range(40):
            picture = np.full((96, 128, 3), 40 + 2 * i, np.uint8)
            container.mux(real.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            if i == 0:
                tiny = np.zeros((24, 32, 3), np.uint8)
                container.mux(thumbnail.encode(av.VideoFrame.from_ndarray(tiny, format="rgb24")))
        container.mux(thumbnail.encode())
        container.mux(real.encode())
    numbers, length = shown(path)
    assert length == 40 and numbers == pytest.approx(list(sample_frames(40, 8)), abs=1)


# D. Names that look like something else


@pytest.mark.parametrize(
    "name",
    [
        "10:20.mp4",
        "http:x.mp4",
        "file:a.mp4",
        "%03d.mp4",
        "a*?.mp4",
        "-i.mp4",
        "日本 語.mp4",
        "concat:a|b.mp4",
        "pipe:0.mp4",
    ],
)
def test_a_path_is_a_path(tmp_path, name, monkeypatch):
    film(tmp_path / "a.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (Path(name), tmp_path / name):
        assert shown(path)[1] == 60


# E. A person's own long film


@pytest.fixture(scope="module")
def long_film(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    pictures = (np.full((96, 128, 3), 40 + i // 50, np.uint8) for i in range(9000))
    options = {"g": "60", "preset": "ultrafast"}

    class Lazily:
        def __getitem__(self, i):
            return next(pictures)

    return film(path, pts=range(9000), options=options, pictures=Lazily())


def test_frames_far_apart_are_sought(long_film):
    sought = shown(long_film, 16, seek=True)[0]
    assert sought == pytest.approx(shown(long_film, 16)[0], abs=0.5)
    assert sought == pytest.approx([number / 100 for number in sample_frames(9000, 16)], abs=1)


def test_the_end_of_a_long_film_takes_no_longer_than_its_beginning(long_film, monkeypatch):
    decoded = []
    taken = av.VideoFrame
    import vidlib.data.video as module

    frames = module._frames

    def counted(*arguments):
        for one in frames(*arguments):
            decoded.append(one)
            yield one

    monkeypatch.setattr(module, "_frames", counted)
    seen = read_frames(long_film, VideoNetwork(Plain(), 8, SIZE), 8900, 8960)
    assert len(decoded) < 250 and isinstance(decoded[0][0], taken)
    assert level(seen[0]) == pytest.approx(89, abs=1)


def test_a_films_own_limits_are_not_those_of_a_data_set(long_film, monkeypatch):
    monkeypatch.setattr("vidlib.data.video.MOST_SECONDS", -1)
    assert read_frames(long_film, VideoNetwork(Plain(), 8, SIZE)).shape == (8, *SIZE, 3)


def test_memory_does_not_grow_with_the_film(long_film):
    import tracemalloc

    tracemalloc.start()
    shown(long_film, 8)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6  # 9000 frames of this size would take 20 MB, and 330 as they are stored


@pytest.mark.parametrize(("start", "stop"), [(8000, 9001), (9000, None), (10, 11), (20, 10)])
def test_ranges_that_are_not_there(long_film, start, stop):
    begin = time.monotonic()
    with pytest.raises(ValueError, match=r"stop is|holds 9000 frames"):
        read_frames(long_film, VideoNetwork(Plain(), 8, SIZE), start, stop)
    assert time.monotonic() - begin < 5


def test_a_range_to_the_end(long_film):
    seen = read_frames(long_film, VideoNetwork(Plain(), 4, SIZE), 8000)
    assert [level(frame) for frame in seen] == pytest.approx([80, 83.3, 86.6, 90], abs=1)


def test_a_still_picture_is_no_video(tmp_path):
    path = film(tmp_path / "one.mp4", pts=range(1))
    with pytest.raises(VideoError, match="no video"):
        video_geometry(path)

"""The download of KTH Actions, against servers and archives that fail in every known way."""

import hashlib
import io
import itertools
import random
import re
import runpy
import socket
import stat
import struct
import subprocess
import sys
import threading
import time as real_time
import zipfile
from collections import defaultdict
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from conftest import ROOT, SHARED, real_data
from hypothesis import given, settings
from hypothesis import strategies as st

from vidlib.data import download
from vidlib.data.download import DownloadError, download_kth, extract_avi, fetch

CONTENT = random.Random(0).randbytes(200_000)
MISSING = "person13_handclapping_d3"


# --- a server whose next answers a test decides


class Server(ThreadingHTTPServer):
    """Serves `files`; `script` lists, per file, how the first requests are answered instead."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.serve({})

    def serve(self, files, **script):
        self.files = files
        self.script = defaultdict(list, {name: list(answers) for name, answers in script.items()})
        self.requests = []  # file names


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        name = self.path.strip("/")
        self.server.requests.append(name)
        script = self.server.script[name.partition(".")[0]]
        answer = script.pop(0) if script else whole
        self.close_connection = True
        try:
            if name in self.server.files:
                answer(self, self.server.files[name])
            else:
                answer_with(404)(self, b"")
        except ConnectionError:
            pass  # the client has heard enough

    def head(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()

    def body(self, data):
        self.wfile.write(data)


def whole(handler, content, length=None, stop=None):
    """Send the first `stop` bytes and promise `length`; by default, all of them."""
    handler.head(200, Content_Length=len(content) if length is None else length)
    handler.body(content[:stop])


def breaks(stop):
    return partial(whole, stop=stop)


def resets(handler, content):
    """Send half, then make the kernel reset the connection."""
    whole(handler, content, stop=len(content) // 2)
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def stalls(stop):
    def answer(handler, content):
        if stop is not None:
            whole(handler, content, stop=stop)
            handler.wfile.flush()
        handler.connection.settimeout(5)
        handler.connection.recv(1)  # until the client closes

    return answer


def without_length(handler, content):
    handler.head(200)
    handler.body(content)


def chunked(sizes, ends=True):
    """Send chunks of these sizes, over and over; ends=False: break off half-way."""

    def answer(handler, content):
        handler.head(200, Transfer_Encoding="chunked")
        stream = io.BytesIO(content if ends else content[: len(content) // 2])
        for size in itertools.cycle(sizes):
            chunk = stream.read(size)
            if not chunk:
                break
            handler.wfile.write(b"%x\r\n" % len(chunk))
            handler.body(chunk)
            handler.wfile.write(b"\r\n")
        if ends:
            handler.wfile.write(b"0\r\n\r\n")

    return answer


def answer_with(status, body=b"", **headers):
    def answer(handler, content):
        handler.head(status, Content_Length=len(body), **headers)
        handler.wfile.write(body)

    return answer


def corrupted(handler, content):
    whole(handler, content[:-1] + bytes([content[-1] ^ 1]))


PAGE = b"<html><body>Please log in to this network first</body></html>"
page = answer_with(200, PAGE, Content_Type="text/html; charset=utf-8")
page_called_zip = answer_with(200, PAGE, Content_Type="application/zip")


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def waited(monkeypatch):
    """The waits between tries, none of which is waited."""
    waits = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=waits.append))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return waits


# --- one file


def content_problem(path):
    return "" if path.read_bytes() == CONTENT else "the content is another"


def get(server, folder, *script):
    """Fetch CONTENT from a server that answers so; return the file's content, if it is right."""
    server.serve({"walking.zip": CONTENT}, walking=script)
    fetch(f"{server.url}/walking.zip", folder / "walking.zip", content_problem)
    assert left(folder) == {"walking.zip"}
    return (folder / "walking.zip").read_bytes()


def failure(server, folder, answer):
    """What is said where the server always answers so; nothing may be left of the file."""
    with pytest.raises(DownloadError) as error:
        get(server, folder, *[answer] * 200)
    assert left(folder) == set()
    assert len(server.requests) >= len(download.WAITS)
    start, remedy = f"cannot download {server.url}/walking.zip (", f"as {folder / 'walking.zip'}"
    assert str(error.value).startswith(start) and str(error.value).endswith(remedy)
    return str(error.value).removeprefix(start)


def left(folder):
    return {path.name for path in folder.iterdir()}


def test_a_file_arrives_by_one_request(server, tmp_path, waited):
    assert get(server, tmp_path) == CONTENT
    assert server.requests == ["walking.zip"]
    assert not any(waited)


PASSING = {
    "broken": breaks(100_000),
    "reset": resets,
    "broken chunks": chunked([10_000], ends=False),
    "promises too much": partial(whole, length=len(CONTENT) + 10),
    "promises too little": partial(whole, length=len(CONTENT) - 10),
    "status 500": answer_with(500),
    "status 503": answer_with(503),
    "status 429": answer_with(429),
    "corrupted": corrupted,
    "a page": page,
    "a page called an archive": page_called_zip,
    "no number of bytes": partial(whole, length="x"),
    "only claims to be compressed": answer_with(200, CONTENT, Content_Encoding="gzip"),
    "no HTTP": lambda handler, content: handler.wfile.write(b"220 mail.example.org ESMTP\r\n"),
}


@pytest.mark.parametrize("kind", PASSING)
def test_a_failure_that_passes_is_tried_again_from_the_start(server, tmp_path, waited, kind):
    assert get(server, tmp_path, PASSING[kind], PASSING[kind]) == CONTENT
    assert server.requests == ["walking.zip"] * 3
    assert waited == list(download.WAITS[:3])


@pytest.mark.parametrize("kind", PASSING)
def test_a_failure_that_lasts_is_one_error_and_leaves_nothing(server, tmp_path, waited, kind):
    assert failure(server, tmp_path, PASSING[kind])
    assert len(server.requests) == len(waited) == len(download.WAITS)
    assert waited == sorted(set(waited)) and waited[0] == 0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answer_with(404), "404 Client Error: Not Found"),
        (answer_with(500), "500 Server Error"),
        (corrupted, r"wrong file, the content is another\): try again later, or save "),
        (page, "wrong file, the content is another"),
        (breaks(100_000), r"100000 bytes read, 100000 more expected"),
        (answer_with(302, Location="/walking.zip"), "Exceeded 30 redirects"),
        (answer_with(302, Location="ftp://127.0.0.1/x"), "No connection adapters"),
        (answer_with(302, Location="http://["), r"\w+"),
        (answer_with(302, Location="http://127.0.0.1:x"), r"\w+"),
    ],
)
def test_the_reason_is_named(server, tmp_path, answer, reason):
    assert re.search(reason, failure(server, tmp_path, answer))


@pytest.mark.parametrize(
    "answer", [without_length, chunked([1000, 1, 70_000])], ids=["closed", "chunked"]
)
def test_a_file_of_unknown_length_arrives(server, tmp_path, answer):
    assert get(server, tmp_path, answer) == CONTENT
    assert len(server.requests) == 1


def test_a_redirect_is_followed(server, tmp_path):
    server.serve(
        {"walking.zip": b"", "moved.zip": CONTENT},
        walking=[answer_with(301, Location="/moved.zip")],
    )
    fetch(f"{server.url}/walking.zip", tmp_path / "walking.zip", content_problem)
    assert (tmp_path / "walking.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("stop", [None, 0, 100_000])
def test_a_silent_server_is_tried_again(server, tmp_path, monkeypatch, stop):
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    assert get(server, tmp_path, stalls(stop)) == CONTENT
    assert len(server.requests) > 1


def test_silence_that_lasts_is_named(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.05)
    assert "timed out" in failure(server, tmp_path, stalls(None))


def test_a_refused_connection_is_named(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound but not listening
        url = f"http://127.0.0.1:{free.getsockname()[1]}/walking.zip"
        with pytest.raises(DownloadError, match=rf"^cannot download {url} .*Connection refused"):
            fetch(url, tmp_path / "walking.zip", content_problem)


def test_a_file_that_is_there_stays_until_the_new_one_is_right(server, tmp_path):
    (tmp_path / "walking.zip").write_bytes(b"old")
    server.serve({"walking.zip": CONTENT}, walking=[corrupted] * 9)
    with pytest.raises(DownloadError):
        fetch(f"{server.url}/walking.zip", tmp_path / "walking.zip", content_problem)
    assert (tmp_path / "walking.zip").read_bytes() == b"old"


KILLED = """
import sys
from pathlib import Path
from vidlib.data.download import fetch
fetch(sys.argv[1], Path(sys.argv[2]), lambda path: "")
"""


def test_a_killed_download_leaves_nothing_under_the_final_name(server, tmp_path):
    server.serve({"walking.zip": CONTENT}, walking=[stalls(150_000)])
    path = tmp_path / "walking.zip"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, f"{server.url}/walking.zip", str(path)],
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    while not any(part.stat().st_size for part in tmp_path.iterdir()):
        assert process.poll() is None
        real_time.sleep(0.01)
    process.kill()
    process.wait()
    assert len(left(tmp_path)) == 1 and not path.exists()
    download.sweep(tmp_path)  # as `download_kth` does
    assert left(tmp_path) == set()


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(500, 80_000), min_size=1, max_size=5), ends=st.booleans())
def test_however_it_is_chunked_the_file_is_right(server, tmp_path_factory, sizes, ends):
    assert get(server, tmp_path_factory.mktemp("chunked"), chunked(sizes, ends)) == CONTENT


def with_free(monkeypatch, count):
    usage = SimpleNamespace(free=count)
    monkeypatch.setattr(download, "shutil", SimpleNamespace(disk_usage=lambda _: usage))


# --- archives


def video(action, name="person01", scenario=1):
    return f"{name}_{action}_d{scenario}_uncomp.avi"


def videos_of(action):
    """The videos of an action as {file name: content}, as many as the original's."""
    names = [f"person{i:02}_{action}_d{d}" for i in range(1, 26) for d in range(1, 5)]
    return {f"{name}_uncomp.avi": f"RIFF {name}".encode() for name in names if name != MISSING}


def archive_of(members, folder=""):
    """The bytes of an archive; members: {name or ZipInfo: content}."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member if not folder else f"{folder}/{member}", content)
    return target.getvalue()


def patched(archive, offset, form, value, name=None):
    """Overwrite a field in the central directory, of one member or of all."""
    data = bytearray(archive)
    for match in re.finditer(b"PK\x01\x02", archive):
        if name is None or archive[match.start() + 46 :].startswith(name.encode()):
            struct.pack_into(form, data, match.start() + offset, value)
    return bytes(data)


def extract(folder, archive, action="walking"):
    (folder / "walking.zip").write_bytes(archive)
    extract_avi(folder / "walking.zip", folder / "out", action)
    return {path.name: path.read_bytes() for path in (folder / "out").iterdir()}


def refusal(folder, archive):
    """What is said of a refused archive, nothing of which may have been written."""
    with pytest.raises(DownloadError) as error:
        extract(folder, archive)
    assert left(folder) == {"walking.zip"}, "something was written"
    message = re.fullmatch(
        r".*walking\.zip is refused: (.*); delete it and call again", str(error.value)
    )
    return message[1]


@pytest.mark.parametrize("folder", ["", "walking", "kth/walking"])
def test_videos_are_written_by_their_base_name(tmp_path, folder):
    assert extract(tmp_path, archive_of(videos_of("walking"), folder)) == videos_of("walking")


def test_directories_are_skipped(tmp_path):
    members = {"walking/": b"", f"walking/{video('walking')}": b"RIFF"}
    assert extract(tmp_path, archive_of(members)) == {video("walking"): b"RIFF"}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../evil",
            f"../{video('walking')}",
            f"/etc/{video('walking')}",
            f"C:/{video('walking')}",
        ),
        *(f"a/../../{video('walking')}", f"..\\{video('walking')}", f"C:\\{video('walking')}"),
        *("../", "/", "C:/", video("walking") + "\n", f"//{video('walking')}"),
    ],
)
def test_whatever_a_member_is_called_nothing_is_written_elsewhere(tmp_path, name):
    archive = archive_of({video("walking", "person02"): b"RIFF", name: b"evil"})
    written = extract(tmp_path, archive)
    assert written.pop(video("walking", "person02")) == b"RIFF"
    assert written in ({}, {video("walking"): b"evil"})
    assert left(tmp_path) == {"walking.zip", "out"}


@pytest.mark.parametrize(
    "name",
    [
        *("Thumbs.db", "notes.txt", "evil", "__MACOSX/._x", "a b/", video("boxing")),
        *(video("walking", scenario=5), video("walking") + ".exe", "x" + video("walking")),
        *(video("walking").upper(), video("walking").replace("01", "0١")),
    ],
)
def test_a_file_that_is_no_video_is_not_written(tmp_path, name):
    archive = archive_of({video("walking", "person02"): b"RIFF", name: b"evil"})
    assert extract(tmp_path, archive) == {video("walking", "person02"): b"RIFF"}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_a_link_or_a_device_is_not_written(tmp_path, kind):
    link = zipfile.ZipInfo(video("walking", "person02"))
    link.external_attr = (kind | 0o777) << 16
    archive = archive_of({video("walking"): b"RIFF", link: b"/etc/passwd"})
    assert extract(tmp_path, archive) == {video("walking"): b"RIFF"}


def test_an_encrypted_member_is_not_written(tmp_path):
    name = video("walking", "person02")
    archive = patched(archive_of(videos_of("walking")), 8, "<H", 1, name)
    assert extract(tmp_path, archive).keys() == videos_of("walking").keys() - {name}


def test_a_bomb_that_lies_about_its_size_writes_no_more_than_it_declares(tmp_path):
    bomb = patched(archive_of({video("walking"): bytes(20_000_000)}), 24, "<L", 1000)
    with pytest.raises(DownloadError, match=r"is refused: Bad CRC-32 for file .*walking"):
        extract(tmp_path, bomb)
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) <= 1000
    assert not list(tmp_path.rglob("*.avi"))


def test_a_member_shorter_than_it_declares_is_refused(tmp_path):
    short = patched(archive_of({video("walking"): b"RIFF"}), 24, "<L", 1000)
    with pytest.raises(DownloadError, match=r"is refused: '.*_uncomp\.avi' is cut off; delete it"):
        extract(tmp_path, short)
    assert not list(tmp_path.rglob("*.avi"))


def test_a_bad_checksum_is_refused_and_what_was_written_is_right(tmp_path):
    bad = video("walking", "person05")
    archive = patched(archive_of(videos_of("walking")), 16, "<L", 0, bad)
    with pytest.raises(DownloadError, match=f"is refused: Bad CRC-32 for file '{bad}'; delete it"):
        extract(tmp_path, archive)
    found = {path.name: path.read_bytes() for path in tmp_path.rglob("*.avi")}
    assert bad not in found and found.items() <= videos_of("walking").items()


@pytest.mark.parametrize("kept", [0, 10, 3000, -10])
def test_a_truncated_archive_is_refused(tmp_path, kept):
    assert "not a zip file" in refusal(tmp_path, archive_of(videos_of("walking"))[:kept])


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 97])
def test_an_unusual_compression_is_not_unpacked(tmp_path, method):
    archive = patched(archive_of({video("walking"): b"RIFF"}), 10, "<H", method)
    assert extract(tmp_path, archive) == {}


def test_an_unknown_feature_is_refused(tmp_path):
    patch_data = patched(archive_of({video("walking"): b"RIFF"}), 8, "<H", 0x20)
    with pytest.raises(DownloadError, match="is refused: compressed patched data"):
        extract(tmp_path, patch_data)


def test_a_name_in_no_known_letters_refuses_the_archive(tmp_path):
    archive = patched(archive_of({video("walking"): b"RIFF"}), 8, "<H", 0x800)
    assert "can't decode byte 0xff" in refusal(tmp_path, patched(archive, 46, "<B", 0xFF))


def test_a_member_before_the_start_of_the_file_is_not_written(tmp_path):
    archive = bytearray(archive_of({video("walking"): b"RIFF"}))
    (size,) = struct.unpack_from("<L", archive, len(archive) - 10)
    struct.pack_into("<L", archive, len(archive) - 6, len(archive) - 22 - size + 50)
    assert extract(tmp_path, bytes(archive)) == {}


def test_videos_must_fit_the_disk(tmp_path, monkeypatch):
    with_free(monkeypatch, 9)
    with pytest.raises(DownloadError, match=r"walking\.zip needs 10 bytes, .* has 9: make room"):
        extract(tmp_path, archive_of({video("walking"): b"0123456789"}))


def test_a_killed_extraction_goes_on(tmp_path, monkeypatch):
    content, copies = videos_of("walking"), itertools.count()
    copy = download.shutil.copyfileobj

    def killed(source, target):
        if next(copies) == 40:
            target.write(source.read(3))
            raise KeyboardInterrupt
        copy(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(download.shutil, "copyfileobj", killed)
        with pytest.raises(KeyboardInterrupt):
            extract(tmp_path, archive_of(content))
    found = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.avi")}
    assert len(found) == 40
    assert {path.name: data for path, data in found.items()}.items() <= content.items()
    times = {path: path.stat().st_mtime_ns for path in found}
    cut = sorted(content)[50]
    (tmp_path / "out" / cut).write_bytes(b"of another size")
    assert extract(tmp_path, archive_of(content)) == content
    assert times == {path: path.stat().st_mtime_ns for path in found}


SMALL = {video("walking", f"person0{i}"): f"RIFF {i}".encode() * 9 for i in (1, 2)}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(archive_of(SMALL)) - 1), st.integers(0, 255)),
        min_size=1,
        max_size=4,
    )
)
def test_a_damaged_archive_gives_right_videos_or_one_error(tmp_path_factory, damage):
    folder, archive = tmp_path_factory.mktemp("damaged"), bytearray(archive_of(SMALL))
    for position, value in damage:
        archive[position] = value
    try:
        found = extract(folder, archive)
    except DownloadError as error:
        assert "walking.zip" in str(error)
        found = {path.name: path.read_bytes() for path in folder.rglob("*.avi")}
    assert found.items() <= SMALL.items()


# --- the whole set


def sequences(changes=()):
    """The text of a synthetic list of the 600 sequences, in the manner of the original."""
    chance = random.Random(1)
    lines = {}
    for i, action, d in itertools.product(range(1, 26), sorted(download.SHA1), range(1, 5)):
        cuts = sorted(chance.sample(range(2, 500), 4))
        spans = ", ".join(f"{a}-{b}" for a, b in zip([1, *cuts], cuts, strict=False))
        lines[f"person{i:02}_{action}_d{d}"] = f"\tframes\t{spans}"
    lines[MISSING] = "*missing*"
    lines |= dict(changes)
    return "\r\n".join(f"{name}\t{what}" if what else "" for name, what in lines.items()).encode()


def expected():
    return {
        f"{action}/{name}": content
        for action in download.SHA1
        for name, content in videos_of(action).items()
    } | {"00sequences.txt": sequences()}


def found(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture
def kth(server, monkeypatch):
    """The server with the whole set, its archives' checksums in place of the original's."""
    files = {f"{action}.zip": archive_of(videos_of(action)) for action in download.SHA1}
    for action in download.SHA1:
        monkeypatch.setitem(download.SHA1, action, hashlib.sha1(files[f"{action}.zip"]).hexdigest())
    server.serve(files | {"00sequences.txt": sequences()})
    return server


ALL = ["00sequences.txt", *(f"{action}.zip" for action in download.SHA1)]


def test_the_whole_set_arrives_and_is_not_asked_for_again(kth, tmp_path):
    root = tmp_path / "data" / "kth"
    download_kth(root, base_url=kth.url)
    assert found(root) == expected() and len(expected()) == 600
    assert kth.requests == ALL
    download_kth(root, base_url=kth.url)
    assert kth.requests == ALL


def test_what_is_there_is_not_asked_for(kth, tmp_path):
    (tmp_path / "handclapping").mkdir()
    (tmp_path / "walking").mkdir()
    for name, content in videos_of("handclapping").items():
        (tmp_path / "handclapping" / name).write_bytes(content)
    for i, (name, content) in enumerate(videos_of("walking").items()):
        (tmp_path / ("walking" if i % 2 else ".") / name).write_bytes(content)
    download_kth(tmp_path, base_url=kth.url)
    assert set(ALL) - set(kth.requests) == {"handclapping.zip", "walking.zip"}


@pytest.mark.parametrize("place", ["KTH/videos/{action}", "{person}", "all"])
def test_what_is_there_in_another_layout_is_not_asked_for(kth, tmp_path, place):
    for action in download.SHA1:
        for name, content in videos_of(action).items():
            folder = tmp_path / place.format(action=action, person=name.partition("_")[0])
            folder.mkdir(parents=True, exist_ok=True)
            short = name.replace("_uncomp", "") if action == "boxing" else name
            (folder / short).write_bytes(content)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/00sequences.txt").write_bytes(sequences())
    before = found(tmp_path)
    download_kth(tmp_path, base_url=kth.url)
    assert kth.requests == [] and found(tmp_path) == before


def test_no_video_comes_to_lie_in_two_places(kth, tmp_path):
    absent = video("boxing", "person25", scenario=4)
    for name, content in videos_of("boxing").items():
        if name != absent:
            (tmp_path / name).write_bytes(content)
    download_kth(tmp_path, base_url=kth.url)
    assert {path.name for path in (tmp_path / "boxing").iterdir()} == {absent}
    assert len(found(tmp_path)) == 600


def test_an_archive_that_is_there_is_not_asked_for(kth, tmp_path):
    (tmp_path / "boxing.zip").write_bytes(kth.files["boxing.zip"])
    (tmp_path / "running.zip").write_bytes(b"another archive")
    download_kth(tmp_path, base_url=kth.url)
    assert found(tmp_path) == expected()
    assert set(ALL) - set(kth.requests) == {"boxing.zip"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({MISSING: ""}, f"it lacks 1 of the set's 600 videos, first {MISSING}"),
        ({"person25_walking_d4": "\tframes\t1-100, 178-"}, "lacks 1 .*, first person25_walking_d4"),
        ({"person01_running_d2": "\tframes\t"}, "lacks 1 .*, first person01_running_d2"),
    ],
    ids=["absent", "cut off", "without frames"],
)
def test_a_wrong_list_is_refused(kth, tmp_path, change, problem):
    kth.files["00sequences.txt"] = sequences(change)
    with pytest.raises(
        DownloadError, match=rf"cannot download .*00sequences\.txt .* wrong file, .*{problem}\)"
    ):
        download_kth(tmp_path, base_url=kth.url)
    assert found(tmp_path) == {}
    assert kth.requests == ["00sequences.txt"] * len(download.WAITS)


def test_what_a_killed_call_left_is_removed(kth, tmp_path):
    (tmp_path / ".part-0123abcd-walking.zip").write_bytes(b"half")
    download_kth(tmp_path, base_url=kth.url)
    assert found(tmp_path) == expected()


def test_an_unreadable_list_on_disk_is_fetched_again(kth, tmp_path):
    (tmp_path / "00sequences.txt").write_bytes(b"\xff\xfe\x00 no list")
    download_kth(tmp_path, base_url=kth.url)
    assert found(tmp_path) == expected()


def test_a_wrong_archive_is_named_with_both_checksums(kth, tmp_path):
    right = download.SHA1["walking"]
    kth.files["walking.zip"] = archive_of({video("walking"): b"another"})
    wrong = hashlib.sha1(kth.files["walking.zip"]).hexdigest()
    message = rf"walking\.zip .* wrong file, its SHA-1 is {wrong}, not {right}\): try again"
    with pytest.raises(DownloadError, match=message):
        download_kth(tmp_path, base_url=kth.url)
    assert found(tmp_path).keys() == {"00sequences.txt"}
    assert kth.requests == ["00sequences.txt", *["walking.zip"] * len(download.WAITS)]


def test_an_archive_that_lacks_videos_is_named(kth, tmp_path, monkeypatch):
    content = videos_of("walking")
    del content[video("walking", "person07")], content[video("walking", "person20")]
    kth.files["walking.zip"] = archive_of(content)
    monkeypatch.setitem(
        download.SHA1, "walking", hashlib.sha1(kth.files["walking.zip"]).hexdigest()
    )
    message = r"walking\.zip lacks 2 videos, first person07_walking_d1: delete it"
    with pytest.raises(DownloadError, match=message):
        download_kth(tmp_path, base_url=kth.url)


def test_a_killed_call_goes_on(kth, tmp_path, monkeypatch):
    calls = itertools.count()

    def killed(*arguments):
        if next(calls) == 2:
            raise KeyboardInterrupt
        extract_avi(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(download, "extract_avi", killed)
        with pytest.raises(KeyboardInterrupt):
            download_kth(tmp_path, base_url=kth.url)
    assert kth.requests == ALL[:4]
    download_kth(tmp_path, base_url=kth.url)
    assert found(tmp_path) == expected()
    assert kth.requests == ALL


def test_two_calls_at_once_download_once(kth, tmp_path):
    calls = [
        threading.Thread(target=download_kth, args=(tmp_path,), kwargs={"base_url": kth.url})
        for _ in range(2)
    ]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert found(tmp_path) == expected()
    assert kth.requests == ALL


@real_data
def test_the_real_list_is_taken():
    listed = download.listed_videos(SHARED / "kth" / "00sequences.txt")
    names = {f"{name}_uncomp.avi" for name, ranges in listed.items() if ranges}
    assert names == {name for action in download.SHA1 for name in videos_of(action)}
    assert download._list_problem(SHARED / "kth" / "00sequences.txt") == ""


# --- the command line


def test_the_command_line_downloads(kth, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "download_kth", partial(download_kth, base_url=kth.url))
    assert download.main([str(tmp_path)]) == 0
    assert found(tmp_path) == expected()


def test_the_command_line_prints_errors(kth, tmp_path, monkeypatch, capsys):
    del kth.files["jogging.zip"]
    monkeypatch.setattr(download, "download_kth", partial(download_kth, base_url=kth.url))
    assert download.main([str(tmp_path)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.match(
        r"download: cannot download http://.*/jogging\.zip \(404 Client Error: Not Found", last
    )
    (tmp_path / "file").touch()
    assert download.main([str(tmp_path / "file")]) == 2
    assert re.match(r"download: .*file", capsys.readouterr().err.splitlines()[-1])


def test_the_command_line_says_what_a_stopped_call_needs(tmp_path, monkeypatch, capsys):
    def stopped(root):
        assert root == "data/kth"
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "download_kth", stopped)
    assert download.main([]) == 130
    assert capsys.readouterr().err == "download: stopped; the next call fetches what is missing\n"


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_the_module_runs(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["download", "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("vidlib.data.download", run_name="__main__")
    assert "python -m vidlib.data.download [-h] [FOLDER]" in capsys.readouterr().out

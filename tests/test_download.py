"""The download of KTH Actions, against servers and archives that fail in every known way."""

import gzip
import hashlib
import io
import itertools
import random
import re
import runpy
import socket
import stat
import struct
import threading
import zipfile
from collections import defaultdict
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from conftest import SHARED, real_data
from hypothesis import given, settings
from hypothesis import strategies as st

from vidlib.data import download
from vidlib.data.download import DownloadError, download_kth, extract_avi, fetch

CONTENT = random.Random(0).randbytes(200_000)
SOME, MORE = 15 * download.CHUNK, 20 * download.CHUNK  # bytes of it
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
        self.requests = []  # (file name, Range)
        self.sent = 0  # bytes of bodies


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        name = self.path.strip("/")
        self.server.requests.append((name, self.headers.get("Range")))
        script = self.server.script[name.partition(".")[0]]
        answer = script.pop(0) if script else ranged
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
        self.server.sent += len(data)
        self.wfile.write(data)


def whole(handler, content, length=None):
    """Send everything, whatever range is asked for."""
    handler.head(200, Content_Length=len(content) if length is None else length)
    handler.body(content)


def ranged(handler, content, stop=None, extra=0):
    """Do as the standard says, but send no byte after the first `stop` of the file."""
    asked = handler.headers.get("Range")
    start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
    if asked and start >= len(content):
        handler.head(416, Content_Range=f"bytes */{len(content)}", Content_Length=0)
        return
    length = len(content) - start + extra
    if asked:
        span = f"bytes {start}-{len(content) + extra - 1}/{len(content) + extra}"
        handler.head(206, Content_Length=length, Content_Range=span)
    else:
        handler.head(200, Content_Length=length)
    handler.body(content[start:stop])


def breaks(stop):
    return partial(ranged, stop=stop)


def whole_breaks(stop):
    return lambda handler, content: whole(handler, content[:stop], len(content))


def resets(handler, content):
    """Send half, then make the kernel reset the connection."""
    ranged(handler, content, stop=len(content) // 2)
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def stalls(stop):
    def answer(handler, content):
        if stop is not None:
            ranged(handler, content, stop)
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


def endless(handler, content):
    handler.head(200)
    while True:
        handler.body(bytes(50_000))


def answer_with(status, body=b"", **headers):
    def answer(handler, content):
        handler.head(status, Content_Length=len(body), **headers)
        handler.wfile.write(body)

    return answer


def corrupted(handler, content):
    ranged(handler, content[:-1] + bytes([content[-1] ^ 1]))


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
    return again(server, folder)


def again(server, folder):
    fetch(f"{server.url}/walking.zip", folder / "walking.zip", content_problem)
    assert left(folder) == {"walking.zip"}
    return (folder / "walking.zip").read_bytes()


def left(folder):
    return {path.name for path in folder.iterdir()}


def ranges(server):
    return [asked for _, asked in server.requests]


def test_a_file_arrives_by_one_request(server, tmp_path, waited):
    assert get(server, tmp_path) == CONTENT
    assert server.requests == [("walking.zip", None)]
    assert not any(waited)


def test_a_broken_transfer_goes_on_where_it_broke(server, tmp_path, waited):
    assert get(server, tmp_path, breaks(SOME), breaks(MORE)) == CONTENT
    assert ranges(server) == [None, f"bytes={SOME}-", f"bytes={MORE}-"]
    assert server.sent == len(CONTENT)
    assert waited == list(download.WAITS[:3])


def test_a_break_loses_less_than_a_chunk(server, tmp_path):
    assert get(server, tmp_path, breaks(SOME - 1)) == CONTENT
    assert ranges(server) == [None, f"bytes={SOME - download.CHUNK}-"]


def test_a_reset_connection_is_tried_again(server, tmp_path):
    assert get(server, tmp_path, resets) == CONTENT
    assert len(server.requests) == 2


def test_a_server_without_ranges_starts_over(server, tmp_path):
    assert get(server, tmp_path, whole_breaks(SOME), whole) == CONTENT
    assert ranges(server) == [None, f"bytes={SOME}-"]


def test_the_part_of_an_earlier_call_is_gone_on_with(server, tmp_path):
    (tmp_path / "walking.zip.part").write_bytes(CONTENT[:120_000])
    assert get(server, tmp_path) == CONTENT
    assert ranges(server) == ["bytes=120000-"]
    assert server.sent == len(CONTENT) - 120_000


def test_a_wrong_part_is_thrown_away(server, tmp_path):
    (tmp_path / "walking.zip.part").write_bytes(b"?" * 120_000)
    assert get(server, tmp_path) == CONTENT
    assert ranges(server) == ["bytes=120000-", None]


def test_a_complete_part_needs_no_byte(server, tmp_path):
    (tmp_path / "walking.zip.part").write_bytes(CONTENT)
    assert get(server, tmp_path) == CONTENT
    assert ranges(server) == [f"bytes={len(CONTENT)}-"] and server.sent == 0


def test_a_part_that_is_too_long_is_thrown_away(server, tmp_path):
    (tmp_path / "walking.zip.part").write_bytes(CONTENT + b"more")
    assert get(server, tmp_path) == CONTENT
    assert ranges(server) == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_status_416_without_a_part_is_an_error(server, tmp_path):
    with pytest.raises(DownloadError, match="answers with status 416"):
        get(server, tmp_path, answer_with(416))


@pytest.mark.parametrize("span", [None, "bytes 0-199999/200000", "bytes 7-199999/200000", "?"])
def test_another_range_than_asked_for_is_not_appended(server, tmp_path, span):
    wrong = answer_with(206, CONTENT, **({"Content_Range": span} if span else {}))
    assert get(server, tmp_path, breaks(SOME), wrong) == CONTENT
    assert ranges(server) == [None, f"bytes={SOME}-", None]


def test_a_range_that_ends_early_is_gone_on_with(server, tmp_path):
    def short(handler, content):
        span = f"bytes {SOME}-{MORE - 1}/{len(content)}"
        handler.head(206, Content_Length=MORE - SOME, Content_Range=span)
        handler.body(content[SOME:MORE])

    assert get(server, tmp_path, breaks(SOME), short) == CONTENT
    assert ranges(server) == [None, f"bytes={SOME}-", f"bytes={MORE}-"]
    assert server.sent == len(CONTENT)


def test_a_length_that_promises_too_much_is_seen_through(server, tmp_path):
    assert get(server, tmp_path, partial(ranged, extra=10)) == CONTENT


def test_a_length_that_always_promises_too_much_is_an_error(server, tmp_path):
    lies = partial(whole, length=len(CONTENT) + 10)
    with pytest.raises(DownloadError, match=r"7 times, lastly: .*200000 bytes read, 10 more"):
        get(server, tmp_path, *[lies] * 9)
    assert left(tmp_path) == {"walking.zip.part"}
    assert again(server, tmp_path) == CONTENT


def test_a_length_that_promises_too_little_is_an_error(server, tmp_path):
    with pytest.raises(DownloadError, match="sends a wrong file: the content is another"):
        get(server, tmp_path, *[partial(whole, length=len(CONTENT) - 10)] * 2)
    assert left(tmp_path) == set() and len(server.requests) == 2


def test_more_than_the_range_promises_is_an_error(server, tmp_path):
    def lies(handler, content):
        handler.head(206, Content_Range=f"bytes {SOME}-199999/200000")
        handler.body(content[SOME:] + b"more")

    with pytest.raises(DownloadError, match="sends more than 200,000 bytes: fetch the file anoth"):
        get(server, tmp_path, breaks(SOME), lies)
    assert again(server, tmp_path) == CONTENT


@pytest.mark.parametrize("length", ["x", "-5", "², 3", ""])
def test_a_length_that_is_no_number_never_gives_a_wrong_file(server, tmp_path, length):
    try:
        assert get(server, tmp_path, *[partial(whole, length=length)] * 9) == CONTENT
    except DownloadError as error:
        assert server.url in str(error)
    assert "walking.zip" not in left(tmp_path) or content_problem(tmp_path / "walking.zip") == ""


@pytest.mark.parametrize(
    "answer", [without_length, chunked([1000, 1, 70_000])], ids=["closed", "chunked"]
)
def test_a_file_of_unknown_length_arrives(server, tmp_path, answer):
    assert get(server, tmp_path, answer) == CONTENT
    assert len(server.requests) == 1


def test_broken_chunks_are_gone_on_with(server, tmp_path):
    assert get(server, tmp_path, chunked([10_000], ends=False)) == CONTENT
    assert len(server.requests) == 2 and ranges(server)[1]
    assert server.sent < 1.5 * len(CONTENT)


def test_an_endless_body_ends(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_BYTES", 300_000)
    with pytest.raises(DownloadError, match=r"walking\.zip sends more than 300,000 bytes: fetch"):
        get(server, tmp_path, endless)
    assert left(tmp_path) == set()


def test_a_promise_of_too_much_is_refused_at_once(server, tmp_path):
    too_much = partial(whole, length=download.MAX_BYTES + 1)
    with pytest.raises(DownloadError, match=r"has 1,073,741,825 bytes, too many for a file of"):
        get(server, tmp_path, too_much)
    assert left(tmp_path) == set()


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_refusal_is_an_error_at_once(server, tmp_path, status):
    (tmp_path / "walking.zip.part").write_bytes(CONTENT[:99])
    message = rf"127\.0\.0\.1:\d+/walking\.zip answers with status {status} \w.*: fetch the file an"
    with pytest.raises(DownloadError, match=message):
        get(server, tmp_path, answer_with(status, PAGE, Content_Type="text/html"))
    assert len(server.requests) == 1
    assert (tmp_path / "walking.zip.part").read_bytes() == CONTENT[:99]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_passing_failure_is_tried_again(server, tmp_path, status):
    assert get(server, tmp_path, breaks(SOME), answer_with(status), answer_with(status)) == CONTENT
    assert ranges(server) == [None, *[f"bytes={SOME}-"] * 3]


def test_a_lasting_failure_ends_and_keeps_the_part(server, tmp_path, waited):
    with pytest.raises(DownloadError) as error:
        get(server, tmp_path, breaks(SOME), *[answer_with(500)] * 9)
    assert re.search(
        r"/walking\.zip broke off 7 times, lastly: status 500 Internal Server Error; "
        r".*walking\.zip\.part keeps the 122,880 bytes that came: call again to go on from there$",
        str(error.value),
    )
    assert len(server.requests) == len(download.WAITS) == 7
    assert waited == sorted(set(waited)) and waited[0] == 0
    server.serve({"walking.zip": CONTENT})
    assert again(server, tmp_path) == CONTENT
    assert ranges(server) == [f"bytes={SOME}-"]


def test_a_redirect_loop_ends(server, tmp_path):
    loop = answer_with(302, Location="/walking.zip")
    with pytest.raises(DownloadError, match=r"walking\.zip cannot be downloaded: Exceeded 30 redi"):
        get(server, tmp_path, *[loop] * 40)


def test_a_redirect_is_followed_with_the_range(server, tmp_path):
    server.serve(
        {"walking.zip": b"", "moved.zip": CONTENT},
        walking=[answer_with(301, Location="/moved.zip")] * 2,
        moved=[breaks(SOME)],
    )
    assert again(server, tmp_path) == CONTENT
    assert server.requests[2:] == [
        ("walking.zip", f"bytes={SOME}-"),
        ("moved.zip", f"bytes={SOME}-"),
    ]


@pytest.mark.parametrize("place", ["ftp://127.0.0.1/x", "http://[", "http://127.0.0.1:x"])
def test_a_redirect_to_nowhere_is_an_error(server, tmp_path, place):
    with pytest.raises(DownloadError, match=r"walking\.zip cannot be downloaded: \w"):
        get(server, tmp_path, answer_with(302, Location=place))


def test_corrupted_once_is_fetched_again_from_the_start(server, tmp_path):
    assert get(server, tmp_path, corrupted) == CONTENT
    assert ranges(server) == [None, None]


def test_corrupted_always_is_an_error(server, tmp_path):
    with pytest.raises(DownloadError, match=r"sends a wrong file: .*put it at .*walking\.zip$"):
        get(server, tmp_path, *[corrupted] * 9)
    assert left(tmp_path) == set() and len(server.requests) == 2


def test_a_page_in_place_of_the_file_is_an_error_and_spares_the_part(server, tmp_path):
    (tmp_path / "walking.zip.part").write_bytes(CONTENT[:99])
    with pytest.raises(DownloadError, match="answers with a web page in place of the file: fetch"):
        get(server, tmp_path, page)
    assert (tmp_path / "walking.zip.part").read_bytes() == CONTENT[:99]


def test_a_page_that_is_called_an_archive_is_an_error(server, tmp_path):
    with pytest.raises(DownloadError, match="sends a wrong file: the content is another"):
        get(server, tmp_path, *[page_called_zip] * 9)
    assert left(tmp_path) == set()


@pytest.mark.parametrize("stop", [None, 0, 100_000])
def test_a_silent_server_is_tried_again(server, tmp_path, monkeypatch, stop):
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    assert get(server, tmp_path, stalls(stop)) == CONTENT
    assert len(server.requests) > 1


def test_silence_that_lasts_is_named(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.05)
    with pytest.raises(
        DownloadError, match=r"broke off 7 times, lastly: .*timed out; .*keeps the 0"
    ):
        get(server, tmp_path, *[stalls(None)] * 9)


def test_a_server_that_does_not_speak_http_is_named(server, tmp_path):
    def babbles(handler, content):
        handler.wfile.write(b"220 mail.example.org ESMTP\r\n")

    with pytest.raises(
        DownloadError, match=r"broke off 7 times, lastly: 220 mail\.example\.org ESMTP;"
    ):
        get(server, tmp_path, *[babbles] * 9)


def test_a_refused_connection_is_named(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound but not listening
        url = f"http://127.0.0.1:{free.getsockname()[1]}/walking.zip"
        with pytest.raises(DownloadError) as error:
            fetch(url, tmp_path / "walking.zip", content_problem)
    pattern = rf"^{url} broke off 7 times, lastly: \[Errno \d+\] Connection refused; .* the 0 bytes"
    assert re.search(pattern, str(error.value))


def test_an_answer_that_only_claims_to_be_compressed_is_an_error(server, tmp_path):
    wrong = answer_with(200, CONTENT, Content_Encoding="gzip")
    with pytest.raises(DownloadError, match=r"walking\.zip cannot be downloaded: .*check"):
        get(server, tmp_path, *[wrong] * 9)
    assert "walking.zip" not in left(tmp_path)


def test_the_server_is_asked_not_to_compress(server, tmp_path):
    def compresses(handler, content):
        if "gzip" in handler.headers.get("Accept-Encoding", "gzip"):
            data = gzip.compress(content)
            handler.head(200, Content_Encoding="gzip", Content_Length=len(data))
            handler.body(data)
        else:
            whole(handler, content)

    assert get(server, tmp_path, *[compresses] * 9) == CONTENT
    assert len(server.requests) == 1


def with_free(monkeypatch, count):
    usage = SimpleNamespace(free=count)
    monkeypatch.setattr(download, "shutil", SimpleNamespace(disk_usage=lambda _: usage))


def test_a_full_disk_is_named_before_anything_is_written(server, tmp_path, monkeypatch):
    with_free(monkeypatch, 199_999)
    message = r"walking\.zip needs 200,000 bytes more, but .* has only 199,999 free: make room"
    with pytest.raises(DownloadError, match=message):
        get(server, tmp_path)
    assert left(tmp_path) == set()


def test_only_the_rest_must_fit_the_disk(server, tmp_path, monkeypatch):
    (tmp_path / "walking.zip.part").write_bytes(CONTENT[:150_000])
    with_free(monkeypatch, 49_999)
    with pytest.raises(DownloadError, match="needs 50,000 bytes more"):
        get(server, tmp_path)
    with_free(monkeypatch, 50_000)
    assert get(server, tmp_path) == CONTENT


def test_the_bar_starts_where_the_part_ends(server, tmp_path, monkeypatch):
    bars = []

    class Bar(download.tqdm):
        def close(self):
            if not self.disable:
                bars.append((self.desc, self.initial, self.n, self.total))
            super().close()

    monkeypatch.setattr(download, "tqdm", Bar)
    get(server, tmp_path, breaks(SOME))
    assert bars == [
        ("walking.zip", 0, SOME, 200_000),
        ("walking.zip", SOME, 200_000, 200_000),
    ]


@settings(max_examples=60, deadline=None)
@given(
    stops=st.lists(st.integers(0, len(CONTENT)), max_size=6),
    kinds=st.lists(st.sampled_from([breaks, whole_breaks]), min_size=6, max_size=6),
    chunk=st.integers(1000, 300_000),
    part=st.integers(0, len(CONTENT)),
)
def test_wherever_it_breaks_the_file_is_right(server, tmp_path_factory, stops, kinds, chunk, part):
    folder = tmp_path_factory.mktemp("broken")
    (folder / "walking.zip.part").write_bytes(CONTENT[:part])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "CHUNK", chunk)
        script = [kind(stop) for kind, stop in zip(kinds, stops, strict=False)]
        assert get(server, folder, *script) == CONTENT


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(500, 80_000), min_size=1, max_size=5), ends=st.booleans())
def test_however_it_is_chunked_the_file_is_right(server, tmp_path_factory, sizes, ends):
    assert get(server, tmp_path_factory.mktemp("chunked"), chunked(sizes, ends)) == CONTENT


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
def test_a_name_that_has_no_place_refuses_the_archive(tmp_path, name):
    archive = archive_of({video("walking", "person02"): b"RIFF", name: b"evil"})
    assert refusal(tmp_path, archive) == f"{name!r} has no place in it"


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


def test_a_video_that_is_there_twice_refuses_the_archive(tmp_path):
    archive = archive_of({video("walking"): b"a", f"x/{video('walking')}": b"b"})
    assert refusal(tmp_path, archive) == f"'x/{video('walking')}' has no place in it"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_a_link_or_a_device_refuses_the_archive(tmp_path, kind):
    link = zipfile.ZipInfo(video("walking", "person02"))
    link.external_attr = (kind | 0o777) << 16
    archive = archive_of({video("walking"): b"RIFF", link: b"/etc/passwd"})
    assert refusal(tmp_path, archive) == f"{link.filename!r} is a link or a device"


def test_an_encrypted_member_refuses_the_archive(tmp_path):
    name = video("walking", "person02")
    archive = patched(archive_of(videos_of("walking")), 8, "<H", 1, name)
    assert refusal(tmp_path, archive) == f"{name!r} is encrypted"


def test_too_many_members_refuse_the_archive(tmp_path):
    archive = archive_of({f"{'x' * i}/": b"" for i in range(1, 202)})
    assert refusal(tmp_path, archive) == "it has more than 200 members"


def test_a_bomb_refuses_the_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_BYTES", 99_999)
    members = {video("walking", f"person0{i}"): bytes(50_000) for i in (1, 2)}
    archive = archive_of(members)
    assert len(archive) < 1000
    assert refusal(tmp_path, archive) == "its videos have more than 99,999 bytes"
    monkeypatch.setattr(download, "MAX_BYTES", 100_000)
    assert extract(tmp_path, archive) == members


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
def test_an_unusual_compression_refuses_the_archive(tmp_path, method):
    archive = patched(archive_of({video("walking"): b"RIFF"}), 10, "<H", method)
    assert refusal(tmp_path, archive) == f"'{video('walking')}' cannot be unpacked"


def test_an_unknown_feature_is_refused(tmp_path):
    patch_data = patched(archive_of({video("walking"): b"RIFF"}), 8, "<H", 0x20)
    with pytest.raises(DownloadError, match="is refused: compressed patched data"):
        extract(tmp_path, patch_data)


def test_a_name_in_no_known_letters_refuses_the_archive(tmp_path):
    archive = patched(archive_of({video("walking"): b"RIFF"}), 8, "<H", 0x800)
    assert "can't decode byte 0xff" in refusal(tmp_path, patched(archive, 46, "<B", 0xFF))


def test_a_member_before_the_start_of_the_file_refuses_the_archive(tmp_path):
    archive = bytearray(archive_of({video("walking"): b"RIFF"}))
    (size,) = struct.unpack_from("<L", archive, len(archive) - 10)
    struct.pack_into("<L", archive, len(archive) - 6, len(archive) - 22 - size + 50)
    assert refusal(tmp_path, bytes(archive)) == f"'{video('walking')}' cannot be unpacked"


def test_videos_must_fit_the_disk(tmp_path, monkeypatch):
    with_free(monkeypatch, 9)
    with pytest.raises(
        DownloadError, match=r"walking\.zip needs 10 bytes more, but .* only 9 free"
    ):
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


def asked(server):
    return [name for name, _ in server.requests]


ALL = ["00sequences.txt", *(f"{action}.zip" for action in download.SHA1)]


def test_the_whole_set_arrives_and_is_not_asked_for_again(kth, tmp_path):
    root = tmp_path / "data" / "kth"
    download_kth(root, base_url=kth.url)
    assert found(root) == expected() and len(expected()) == 600
    assert asked(kth) == ALL
    download_kth(root, base_url=kth.url)
    assert asked(kth) == ALL


def test_what_is_there_is_not_asked_for(kth, tmp_path):
    (tmp_path / "handclapping").mkdir()
    (tmp_path / "walking").mkdir()
    for name, content in videos_of("handclapping").items():
        (tmp_path / "handclapping" / name).write_bytes(content)
    for i, (name, content) in enumerate(videos_of("walking").items()):
        (tmp_path / ("walking" if i % 2 else ".") / name).write_bytes(content)
    download_kth(tmp_path, base_url=kth.url)
    assert set(ALL) - set(asked(kth)) == {"handclapping.zip", "walking.zip"}


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
    assert set(ALL) - set(asked(kth)) == {"boxing.zip"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({MISSING: ""}, f"it lacks 1 of the set's 600 sequences, first {MISSING}"),
        ({"person25_walking_d4": "\tframes\t1-100, 178-"}, "lacks 1 .*, first person25_walking_d4"),
        ({"person01_running_d2": "\tframes\t"}, "lacks 1 .*, first person01_running_d2"),
    ],
    ids=["absent", "cut off", "without frames"],
)
def test_a_wrong_list_is_refused(kth, tmp_path, change, problem):
    kth.files["00sequences.txt"] = sequences(change)
    with pytest.raises(
        DownloadError, match=rf"00sequences\.txt sends a wrong file: .*{problem}; c"
    ):
        download_kth(tmp_path, base_url=kth.url)
    assert found(tmp_path) == {}
    assert asked(kth) == ["00sequences.txt"] * 2


def test_an_unreadable_list_on_disk_is_fetched_again(kth, tmp_path):
    (tmp_path / "00sequences.txt").write_bytes(b"\xff\xfe\x00 no list")
    download_kth(tmp_path, base_url=kth.url)
    assert found(tmp_path) == expected()


def test_a_wrong_archive_is_named_with_both_checksums(kth, tmp_path):
    right = download.SHA1["walking"]
    kth.files["walking.zip"] = archive_of({video("walking"): b"another"})
    wrong = hashlib.sha1(kth.files["walking.zip"]).hexdigest()
    message = rf"walking\.zip sends a wrong file: its SHA-1 is {wrong}, not {right}; call again la"
    with pytest.raises(DownloadError, match=message):
        download_kth(tmp_path, base_url=kth.url)
    assert found(tmp_path).keys() == {"00sequences.txt"}
    assert asked(kth) == ["00sequences.txt", "walking.zip", "walking.zip"]


def test_an_archive_that_lacks_videos_is_named(kth, tmp_path, monkeypatch):
    content = videos_of("walking")
    del content[video("walking", "person07")], content[video("walking", "person20")]
    kth.files["walking.zip"] = archive_of(content)
    monkeypatch.setitem(
        download.SHA1, "walking", hashlib.sha1(kth.files["walking.zip"]).hexdigest()
    )
    message = rf"walking\.zip lacks 2 videos that .* lists, first {video('walking', 'person07')}: "
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
    assert asked(kth) == ALL[:4]
    download_kth(tmp_path, base_url=kth.url)
    assert found(tmp_path) == expected()
    assert asked(kth) == ALL


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
    assert asked(kth) == ALL


@real_data
def test_the_real_list_is_taken():
    names = download.listed_videos(SHARED / "kth" / "00sequences.txt")
    assert set(names) == {name for action in download.SHA1 for name in videos_of(action)}
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
    assert re.match(r"download: http://.*/jogging\.zip answers with status 404 Not Found: ", last)
    (tmp_path / "file").touch()
    assert download.main([str(tmp_path / "file")]) == 2
    assert re.match(r"download: .*file", capsys.readouterr().err.splitlines()[-1])


def test_the_command_line_says_that_a_stopped_call_goes_on(tmp_path, monkeypatch, capsys):
    def stopped(root):
        assert root == "data/kth"
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "download_kth", stopped)
    assert download.main([]) == 130
    assert capsys.readouterr().err == "download: stopped; the next call goes on from here\n"


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_the_module_runs(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["download", "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("vidlib.data.download", run_name="__main__")
    assert "python -m vidlib.data.download [-h] [FOLDER]" in capsys.readouterr().out

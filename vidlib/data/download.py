"""Download KTH Actions from its publisher's server: python -m vidlib.data.download FOLDER.

C. Schuldt, I. Laptev and B. Caputo, Recognizing human actions: a local SVM approach, ICPR 2004.
"""

import argparse
import hashlib
import re
import shutil
import stat
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import filelock
import requests
from tqdm import tqdm

from vidlib.data.kth import LINE, LIST, SCENARIOS
from vidlib.files import aside, publish, sweep

BASE_URL = "http://www.csc.kth.se/cvap/actions"
SHA1 = {
    "walking": "a3e81537271a0ab4576591774baa38c2d97b7e3a",
    "jogging": "21943bdbcef9dad106db0d74661e49eaeaa15a25",
    "running": "da83bb313edfd4455fffdda6263696fa10d43c6f",
    "boxing": "adb36ed9c29c846d44d2ba15f348bd115c951bbd",
    "handwaving": "0792f7cd69f7f895a205c08ac212ddaa7177e370",
    "handclapping": "d3b81261aa822ef63d0d1523f945bfaff27814d2",
}
MAX_BYTES = 2**30  # of a file on the server, and of the videos in an archive
MAX_MEMBERS = 200
CHUNK = 2**13  # bytes; a break loses less than that
TIMEOUT = 30
WAITS = (0, 1, 2, 4, 8, 16, 32)  # seconds, one before each try
BREAKS = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


class DownloadError(RuntimeError):
    """A file that cannot be had; the message names the file, the reason and the remedy."""


def _reason(error: BaseException) -> str:
    """Return what the innermost of nested exceptions says: the others repeat it at length."""
    inner = error
    while isinstance(inner, BaseException):
        error, inner = inner, inner.__cause__ or (inner.args or [None])[-1]
    return " ".join(str(error).split())


def _require_space(folder: Path, needed: int, name: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(
            f"{name} needs {needed:,} bytes more, but {folder} has only {free:,} free: make room"
        )


def _receive(response: requests.Response, part: Path, start: int) -> str:
    """Store the answer to a request for all bytes from `start`; return what broke off, or ''."""
    url, status = response.url, response.status_code
    by_hand = f"fetch the file another way and put it into {part.parent}"
    if status == 416 and start:
        return ""  # nothing lies beyond the part: the caller's check says whether it is right
    if status >= 500 or status == 429:
        return f"status {status} {response.reason}"
    if status not in (200, 206):
        raise DownloadError(f"{url} answers with status {status} {response.reason}: {by_hand}")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise DownloadError(f"{url} answers with a web page in place of the file: {by_hand}")
    position, length = 0, response.headers.get("Content-Length", "")
    if status == 206:
        span = re.fullmatch(
            r"bytes ([0-9]+)-[0-9]+/([0-9]+)", response.headers.get("Content-Range", "")
        )
        if not span or int(span[1]) != start:
            part.unlink(missing_ok=True)  # without a part the next try asks for the whole file
            return "the server sends another range than the one asked for"
        position, length = start, span[2]
    total = int(length) if length.isdecimal() else None
    limit = MAX_BYTES if total is None else total
    if limit > MAX_BYTES:
        raise DownloadError(f"{url} has {limit:,} bytes, too many for a file of the set: {by_hand}")
    _require_space(part.parent, (total or 0) - start, part.stem)
    with (
        part.open("ab" if position else "wb") as file,
        tqdm(total=total, initial=position, desc=part.stem, unit="B", unit_scale=True) as bar,
    ):
        for chunk in response.iter_content(CHUNK):
            position += len(chunk)
            if position > limit:
                part.unlink()
                raise DownloadError(f"{url} sends more than {limit:,} bytes: {by_hand}")
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and position < total:
        return f"the connection ended after {position:,} of {total:,} bytes"
    return ""


def _complete(url: str, part: Path) -> None:
    """Bring part to all that the server sends; wait and go on from there where it breaks off."""
    for wait in WAITS:
        time.sleep(wait)
        start = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        try:
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
                problem = _receive(response, part, start)
        except BREAKS as error:
            problem = _reason(error)
        except (requests.RequestException, ValueError) as error:  # a redirect to no address
            raise DownloadError(f"{url} cannot be downloaded: {_reason(error)}") from error
        if not problem:
            return
    kept = part.stat().st_size if part.exists() else 0
    raise DownloadError(
        f"{url} broke off {len(WAITS)} times, lastly: {problem}; {part} keeps the {kept:,} bytes "
        "that came: call again to go on from there"
    )


def fetch(url: str, path: Path, problem_of: Callable[[Path], str]) -> None:
    """Download the file at url to path, by way of <path>.part, which a later call goes on with.

    problem_of: says what is wrong with a file's content, '' where it is right; nothing else gets
    to `path`. Raises DownloadError where the server fails for long, or sends wrong content twice.
    """
    part = path.with_name(f"{path.name}.part")
    for _ in range(2):
        _complete(url, part)
        problem = problem_of(part)
        if not problem:
            publish(part, path)
            return
        part.unlink()
    raise DownloadError(
        f"{url} sends a wrong file: {problem}; call again later, or fetch the file another way and "
        f"put it at {path}"
    )


def _archive_problem(expected: str, path: Path) -> str:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha1").hexdigest()
    return "" if found == expected else f"its SHA-1 is {found}, not {expected}"


def _ranges(path: Path) -> dict[str, str | None]:
    """Return the frames that 00sequences.txt gives each video, None for the one that is missing."""
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    entries = filter(None, (LINE.fullmatch(line.strip()) for line in lines))
    return {entry["video"]: entry["ranges"] for entry in entries}


def _list_problem(path: Path) -> str:
    found = _ranges(path)
    names = [f"person{i:02}_{a}_{d}" for a in SHA1 for i in range(1, 26) for d in SCENARIOS]
    absent = [name for name in names if name not in found]
    if not absent:
        return ""
    return f"it lacks {len(absent)} of the set's {len(names)} sequences, first {absent[0]}"


def listed_videos(path: Path) -> list[str]:
    """Return the file names of the videos that 00sequences.txt lists and does not call missing."""
    return [f"{name}_uncomp.avi" for name, ranges in _ranges(path).items() if ranges]


def _members(archive: zipfile.ZipFile, action: str) -> dict[str, zipfile.ZipInfo]:
    """Return the videos of an archive by file name; raise BadZipFile for all that is no video."""
    video = rf"(?:[\w-]+/)*(person[0-9]{{2}}_{action}_d[1-4]_uncomp\.avi)"
    stray = r"(?!.*\.\.)(?:[\w .-]+/)*[\w .-]*"  # a folder, a Thumbs.db: harmless, and not written
    members = {}
    if len(archive.infolist()) > MAX_MEMBERS:
        raise zipfile.BadZipFile(f"it has more than {MAX_MEMBERS} members")
    for member in archive.infolist():
        match = re.fullmatch(video, member.filename)
        if not match and re.fullmatch(stray, member.filename):
            continue
        if not match or match[1] in members:
            raise zipfile.BadZipFile(f"{member.filename!r} has no place in it")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise zipfile.BadZipFile(f"{member.filename!r} is a link or a device")
        if member.flag_bits & 1:
            raise zipfile.BadZipFile(f"{member.filename!r} is encrypted")
        # Others, and places before the file's start, would fail like a disk does, with OSError.
        if (
            member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            or member.header_offset < 0
        ):
            raise zipfile.BadZipFile(f"{member.filename!r} cannot be unpacked")
        members[match[1]] = member
    # A true limit: zipfile never reads on past the size that a member declares.
    if sum(member.file_size for member in members.values()) > MAX_BYTES:
        raise zipfile.BadZipFile(f"its videos have more than {MAX_BYTES:,} bytes")
    return members


def extract_avi(path: Path, folder: Path, action: str) -> None:
    """Write the videos of an action's archive into a folder.

    Skips those that lie there, or in the folder above, with the right size, and files that are no
    videos of the action. Raises DownloadError where a member is damaged, and before anything is
    written where one would leave the folder, is a link, encrypted or there twice, or where they are
    too many or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, action)
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
            there = {
                (video.name, video.stat().st_size)
                for place in (folder, folder.parent)
                for video in place.glob("*.avi")
            }
            todo = {
                folder / name: member
                for name, member in members.items()
                if (name, member.file_size) not in there
            }
            _require_space(folder, sum(member.file_size for member in todo.values()), path.name)
            for video, member in todo.items():
                with aside(video) as part:
                    with archive.open(member) as source, part.open("wb") as target:
                        shutil.copyfileobj(source, target)
                    if part.stat().st_size != member.file_size:
                        raise zipfile.BadZipFile(f"{member.filename!r} is cut off")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise DownloadError(
            f"{path} is refused: {error or 'it is cut off'}; delete it and call again"
        ) from error


def _absent(root: Path, videos: list[str]) -> list[str]:
    return [
        video
        for video in videos
        if not (root / video.split("_")[1] / video).is_file() and not (root / video).is_file()
    ]


def download_kth(root: Path, *, base_url: str = BASE_URL) -> None:
    """Download KTH Actions to root: 00sequences.txt and <action>/person01_<action>_d1_uncomp.avi.

    Skips an action whose videos are all there, or in root itself; takes an archive that lies in
    root already; goes on where a killed call was. Raises DownloadError, which says what to do.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(root / "download.lock"):
        sequences = root / LIST
        if not sequences.is_file() or _list_problem(sequences):
            fetch(f"{base_url}/{LIST}", sequences, _list_problem)
        listed = listed_videos(sequences)
        for action, sha1 in SHA1.items():
            videos = [video for video in listed if f"_{action}_" in video]
            if not _absent(root, videos):
                continue
            archive, problem_of = root / f"{action}.zip", partial(_archive_problem, sha1)
            if not archive.is_file() or problem_of(archive):
                fetch(f"{base_url}/{archive.name}", archive, problem_of)
            extract_avi(archive, root / action, action)
            if absent := _absent(root, videos):
                raise DownloadError(
                    f"{archive} lacks {len(absent)} videos that {sequences} lists, first "
                    f"{absent[0]}: delete both files and call again"
                )
            archive.unlink()


def main(arguments: list[str] | None = None) -> int:
    """Download KTH Actions to the folder that is named; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m vidlib.data.download", description=__doc__)
    parser.add_argument(
        "folder", metavar="FOLDER", nargs="?", default="data/kth", help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    try:
        download_kth(options.folder)
    except (DownloadError, OSError) as error:
        print(f"download: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("download: stopped; the next call goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

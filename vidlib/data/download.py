"""Download KTH Actions from its publisher's server: python -m vidlib.data.download FOLDER.

C. Schuldt, I. Laptev and B. Caputo, Recognizing human actions: a local SVM approach, ICPR 2004.
"""

import argparse
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
import pooch

from vidlib.data.kth import LINE, LIST, SCENARIOS
from vidlib.files import aside, sweep

BASE_URL = "http://www.csc.kth.se/cvap/actions"
SHA1 = {
    "walking": "a3e81537271a0ab4576591774baa38c2d97b7e3a",
    "jogging": "21943bdbcef9dad106db0d74661e49eaeaa15a25",
    "running": "da83bb313edfd4455fffdda6263696fa10d43c6f",
    "boxing": "adb36ed9c29c846d44d2ba15f348bd115c951bbd",
    "handwaving": "0792f7cd69f7f895a205c08ac212ddaa7177e370",
    "handclapping": "d3b81261aa822ef63d0d1523f945bfaff27814d2",
}
MAX_BYTES = 2**30  # of the videos in an archive
MAX_MEMBERS = 200
CHUNK = 2**16  # bytes
TIMEOUT = 30  # seconds of silence
WAITS = (0, 1, 4, 16)  # seconds before each try


class DownloadError(RuntimeError):
    """A download failed; the message names the file, the reason and the remedy."""


def fetch(url: str, path: Path, problem_of: Callable[[Path], str]) -> None:
    """Download the file at url to path; try again a few times if that fails.

    problem_of: returns what is wrong with a file's content, "" for nothing; a file with a problem
    never gets to `path`. Raises DownloadError with the reason of the last failure.
    """
    download = pooch.HTTPDownloader(progressbar=True, chunk_size=CHUNK, timeout=TIMEOUT)
    reason = ""
    for wait in WAITS:
        time.sleep(wait)
        try:
            with aside(path) as part:
                download(url, str(part), None)
                if problem := problem_of(part):
                    raise ValueError(f"the server sent a wrong file, {problem}")
            return
        except (OSError, ValueError) as error:  # all errors of the network are OSErrors
            reason = " ".join(str(error).split())
    raise DownloadError(
        f"cannot download {url} ({reason}): try again later, or save the file as {path}"
    )


def _archive_problem(expected: str, path: Path) -> str:
    found = pooch.file_hash(str(path), alg="sha1")
    return "" if found == expected else f"its SHA-1 is {found}, not {expected}"


def _ranges(path: Path) -> dict[str, str | None]:
    """Return the frame ranges of each video in 00sequences.txt, None for the missing video."""
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    entries = filter(None, (LINE.fullmatch(line.strip()) for line in lines))
    return {entry["video"]: entry["ranges"] for entry in entries}


def _list_problem(path: Path) -> str:
    names = [f"person{i:02}_{a}_{d}" for a in SHA1 for i in range(1, 26) for d in SCENARIOS]
    found = _ranges(path)
    absent = [name for name in names if name not in found]
    if not absent:
        return ""
    return f"it lacks {len(absent)} of the set's {len(names)} videos, first {absent[0]}"


def listed_videos(path: Path) -> list[str]:
    """Return the file names of the videos in 00sequences.txt, without the one listed as missing.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "00sequences.txt")
    >>> _ = path.write_text("person01_boxing_d1 frames 1-95\\nperson01_boxing_d2 *missing*")
    >>> listed_videos(path)
    ['person01_boxing_d1_uncomp.avi']
    """
    return [f"{name}_uncomp.avi" for name, ranges in _ranges(path).items() if ranges]


def _members(archive: zipfile.ZipFile, action: str) -> dict[str, zipfile.ZipInfo]:
    """Return the videos of an archive by file name; raise BadZipFile for anything unsafe."""
    video = rf"(?:[\w-]+/)*(person[0-9]{{2}}_{action}_d[1-4]_uncomp\.avi)"
    stray = r"(?!.*\.\.)(?:[\w .-]+/)*[\w .-]*"  # a folder, a Thumbs.db: harmless, and not written
    members: dict[str, zipfile.ZipInfo] = {}
    if len(archive.infolist()) > MAX_MEMBERS:
        raise zipfile.BadZipFile(f"it has more than {MAX_MEMBERS} members")
    for member in archive.infolist():
        match = re.fullmatch(video, member.filename)
        if not match and re.fullmatch(stray, member.filename):
            continue
        kind = stat.S_IFMT(member.external_attr >> 16)
        problem = ""
        if not match or match[1] in members:
            problem = "has no place in it"
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            problem = "is a link or a device"
        elif member.flag_bits & 1:
            problem = "is encrypted"
        elif member.header_offset < 0 or member.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):  # reading it would raise OSError, as a failing disk does
            problem = "cannot be unpacked"
        if not match or problem:
            raise zipfile.BadZipFile(f"{member.filename!r} {problem}")
        members[match[1]] = member
    # zipfile never reads beyond the size that a member declares, so this is a true limit.
    if sum(member.file_size for member in members.values()) > MAX_BYTES:
        raise zipfile.BadZipFile(f"its videos have more than {MAX_BYTES:,} bytes")
    return members


def extract_avi(path: Path, folder: Path, action: str) -> None:
    """Write the videos of an action's archive into a folder.

    Skips videos that are in the folder, or its parent, with the right size, and files that are not
    videos of the action. Raises DownloadError if a member is damaged; and, before anything is
    written, if one would leave the folder, is a link, encrypted or listed twice, or if there are
    too many members or bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, action)
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
            videos = [*folder.glob("*.avi"), *folder.parent.glob("*.avi")]
            there = {(video.name, video.stat().st_size) for video in videos}
            todo = {n: one for n, one in members.items() if (n, one.file_size) not in there}
            needed = sum(member.file_size for member in todo.values())
            if needed > (free := shutil.disk_usage(folder).free):
                raise DownloadError(
                    f"{path.name} needs {needed:,} bytes, {folder} has {free:,}: make room"
                )
            for name, member in todo.items():
                with aside(folder / name) as part:
                    with archive.open(member) as source, part.open("wb") as target:
                        shutil.copyfileobj(source, target)
                    if part.stat().st_size != member.file_size:
                        raise zipfile.BadZipFile(f"{member.filename!r} is cut off")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise DownloadError(
            f"{path} is refused: {error or 'it is cut off'}; delete it and call again"
        ) from error


def _absent(root: Path, videos: list[str]) -> list[str]:
    """Return the videos that are neither in their action's folder nor in root."""
    places = {video: (root / video.split("_")[1] / video, root / video) for video in videos}
    return [video for video, paths in places.items() if not any(p.is_file() for p in paths)]


def download_kth(root: Path, *, base_url: str = BASE_URL) -> None:
    """Download KTH Actions to root: 00sequences.txt and <action>/person01_<action>_d1_uncomp.avi.

    Does not fetch an action whose videos are all there (or in root itself), nor an archive that is
    in root already. After a kill, the next call fetches what is missing. Raises DownloadError,
    which says what to do.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(root / "download.lock"):
        sweep(root)
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
                    f"{archive} lacks {len(absent)} videos, first {absent[0]}: delete it, try again"
                )
            archive.unlink()


def main(arguments: list[str] | None = None) -> int:
    """Download KTH Actions to the given folder; return the exit status."""
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
        print("download: stopped; the next call fetches what is missing", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

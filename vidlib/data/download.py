"""Download KTH Actions from its publisher's server: python -m vidlib.data.download FOLDER.

C. Schuldt, I. Laptev and B. Caputo, Recognizing human actions: a local SVM approach, ICPR 2004.
"""

import argparse
import os
import re
import shutil
import stat
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

import filelock
import pooch

from vidlib.data.kth import LIST, SCENARIOS, entries_of, kth_files
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


def listed_videos(path: Path) -> dict[str, str | None]:
    """Return the frame ranges of each video in 00sequences.txt, None for the missing video.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "00sequences.txt")
    >>> _ = path.write_text("person01_boxing_d1 frames 1-95\\nperson01_boxing_d2 *missing*")
    >>> listed_videos(path)
    {'person01_boxing_d1': '1-95', 'person01_boxing_d2': None}
    """
    return {entry["video"]: entry["ranges"] for _, entry in entries_of(path) if entry}


def _list_problem(path: Path) -> str:
    names = [f"person{i:02}_{a}_{d}" for a in SHA1 for i in range(1, 26) for d in SCENARIOS]
    absent = sorted({*names} - listed_videos(path).keys(), key=names.index)
    if not absent:
        return ""
    return f"it lacks {len(absent)} of the set's {len(names)} videos, first {absent[0]}"


def _is_video(member: zipfile.ZipInfo, action: str) -> bool:
    """Tell whether a member is a video of the action that can be unpacked."""
    name = rf"person[0-9]{{2}}_{action}_d[1-4]_uncomp\.avi"
    plain = stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG)
    plain = plain and member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    plain = plain and member.header_offset >= 0 and not member.flag_bits & 1  # encrypted
    return plain and re.fullmatch(name, PurePosixPath(member.filename).name) is not None


def extract_avi(path: Path, folder: Path, action: str) -> None:
    """Write the videos of an action's archive into a folder, by their file names alone.

    Skips videos that lie in the folder's parent with the right size, and members that are no plain
    videos of the action. Raises DownloadError if the archive or a video in it is damaged, or if the
    disk is too small.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
            found = kth_files(folder.parent).values()
            there = {(Path(one).name, os.path.getsize(one)) for paths in found for one in paths}
            members = [one for one in archive.infolist() if _is_video(one, action)]
            todo = {PurePosixPath(one.filename).name: one for one in members}
            todo = {n: one for n, one in todo.items() if (n, one.file_size) not in there}
            needed = sum(member.file_size for member in todo.values())
            if needed > (free := shutil.disk_usage(folder).free):
                raise DownloadError(
                    f"{path.name} needs {needed:,} bytes, {folder} has {free:,}: make room"
                )
            for name, member in todo.items():
                with aside(folder / name) as part:
                    # zipfile never reads beyond the size that a member declares
                    with archive.open(member) as source, part.open("wb") as target:
                        shutil.copyfileobj(source, target)
                    if part.stat().st_size != member.file_size:
                        raise zipfile.BadZipFile(f"{member.filename!r} is cut off")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise DownloadError(
            f"{path} is refused: {error or 'it is cut off'}; delete it and call again"
        ) from error


def download_kth(root: Path, *, base_url: str = BASE_URL) -> None:
    """Download KTH Actions to root: 00sequences.txt and <action>/person01_<action>_d1_uncomp.avi.

    Does not fetch an action whose videos are all there, wherever they lie in root, nor an archive
    that is in root already. After a kill, the next call fetches what is missing. Raises
    DownloadError, which says what to do.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(root / "download.lock"):
        sweep(root)
        sequences = Path(kth_files(root).get(LIST, [root / LIST])[0])
        if not sequences.is_file() or _list_problem(sequences):
            sequences = root / LIST
            fetch(f"{base_url}/{LIST}", sequences, _list_problem)
        listed = [video for video, ranges in listed_videos(sequences).items() if ranges]
        for action, sha1 in SHA1.items():
            videos = [video for video in listed if f"_{action}_" in video]
            if kth_files(root).keys() >= {*videos}:
                continue
            archive, problem_of = root / f"{action}.zip", partial(_archive_problem, sha1)
            if not archive.is_file() or problem_of(archive):
                fetch(f"{base_url}/{archive.name}", archive, problem_of)
            extract_avi(archive, root / action, action)
            there = kth_files(root)
            if absent := [video for video in videos if video not in there]:
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

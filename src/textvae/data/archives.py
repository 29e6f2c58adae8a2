"""Large zip archives of a public address: downloads that resume, checksums, and what is unpacked of them."""

import contextlib
import http.client
import re
import shutil
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textvae.utils.errors import UserError
from textvae.utils.files import sha256_of
from textvae.utils.progress import ProgressLine, say

TIMEOUT_S = 30.0
"""For a connection, and between two blocks."""
ATTEMPTS, PAUSE_S = 5, 5.0
"""How often a broken download is resumed without a new byte, and the first pause before that; it doubles each time."""
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A zip file at a public address, and what is needed of it."""

    path: str
    """Below the address, such as "zips/val2017.zip"."""
    size: int
    """Bytes."""
    sha256: str
    wanted: str
    """Regular expression of the whole names of the members that are unpacked; their paths are kept."""
    proof: str
    """A folder or a file that is there, in the place of all members, once the archive has been unpacked."""

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]


def fetch_archives(archives: Sequence[Archive], addresses: Sequence[str], folder: Path) -> list[str]:
    """Downloads and unpacks archives whose ``proof`` is not in the folder; gives the names of those that were fetched.

    An interrupted download resumes where it stopped. An archive is deleted once it is unpacked, and unpacked only if
    its checksum is right.

    Args:
        archives: one after another.
        addresses: where they are, in the order of trying; without a slash at the end.
        folder: where they are unpacked to.

    Raises:
        UserError: no address delivers an archive, its content is another one, or there is no room for it.
    """
    missing = [archive for archive in archives if not (folder / archive.proof).exists()]
    for archive in missing:
        file = folder / f".{archive.name}.part"
        _check_room(archive, file, folder)
        _download(archive, addresses, file)
        _unpack(archive, file, folder)
        file.unlink()
    return [archive.name for archive in missing]


def download(url: str, file: Path, size: int | None = None) -> None:
    """Downloads to a file, from where an earlier download stopped, if the server can do that.

    Args:
        url: the address.
        file: to write; what it holds already is taken for the beginning.
        size: bytes, if known, for the progress.

    Raises:
        OSError, http.client.HTTPException: the connection fails or breaks, with ``urllib.error.HTTPError`` for an
            answer of the server; what came is kept.
    """
    have = file.stat().st_size if file.is_file() else 0
    if size is not None and have >= size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with contextlib.closing(urllib.request.urlopen(request, timeout=TIMEOUT_S)) as answer:
        resumes = answer.status == 206
        have = have if resumes else 0
        expected = size or have + int(answer.headers.get("Content-Length") or 0)
        with file.open("ab" if resumes else "wb") as out, ProgressLine(file.name, expected, "bytes", have) as progress:
            while block := answer.read(_BLOCK):
                out.write(block)
                have += len(block)
                progress.advance(len(block))
    if have < expected:
        raise http.client.IncompleteRead(b"", expected - have)


def _download(archive: Archive, addresses: Sequence[str], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for address in addresses:
        failed, pause, first = 0, PAUSE_S, file_size(file)
        while file_size(file) < archive.size:
            before = file_size(file)
            say(
                f"{archive.name}: {'resuming' if before else 'downloading'} from {address}, {archive.size / 1e9:.2f} GB"
            )
            try:
                download(f"{address}/{archive.path}", file, archive.size)
            except urllib.error.HTTPError as error:
                reasons.append(f"{address}: HTTP status {error.code}")
                break
            except (OSError, http.client.HTTPException) as error:
                failed = 0 if file_size(file) > before else failed + 1
                reached = file_size(file) > first or not isinstance(error, urllib.error.URLError)
                if failed == ATTEMPTS or not reached or _is_local(error):
                    reasons.append(f"{address}: {_why(error)}")
                    break
                say(f"{archive.name}: {_why(error)}; trying again in {pause:.0f} s")
                time.sleep(pause)
                pause = PAUSE_S if failed == 0 else 2 * pause
        if file_size(file) >= archive.size:
            if file_size(file) == archive.size and sha256_of(file) == archive.sha256:
                return
            file.unlink()
            reasons.append(f"{address}: the file has the wrong checksum")
    raise UserError(
        f"{archive.name} could not be fetched ({'; '.join(reasons)})",
        "Check the connection; the same command then resumes",
    )


def file_size(file: Path) -> int:
    """Bytes of a file; 0 if there is none."""
    return file.stat().st_size if file.is_file() else 0


def _unpack(archive: Archive, file: Path, folder: Path) -> None:
    """Unpacks to a temporary folder, whose parts then get their names."""
    scratch = folder / f".{archive.name}.unpacked"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        with zipfile.ZipFile(file) as packed:
            members = [one for one in packed.infolist() if re.fullmatch(archive.wanted, one.filename)]
            with ProgressLine(f"{archive.name}: unpacking", len(members), "files") as progress:
                for member in members:
                    packed.extract(member, scratch)
                    progress.advance(1)
    except (zipfile.BadZipFile, zlib.error, OSError) as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise UserError(f"{archive.name} cannot be unpacked: {_why(error)}", "Make room, then run it again") from None
    if not (scratch / archive.proof).exists():
        raise UserError(f"{archive.name} does not hold {archive.proof}", "Report this: its content has changed")
    proof = scratch / archive.proof
    # Files of several archives may share a folder, and the proof moves last.
    moved = (
        [proof] if proof.is_dir() else sorted(filter(Path.is_file, scratch.rglob("*")), key=lambda path: path == proof)
    )
    for path in moved:
        target = folder / path.relative_to(scratch)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    shutil.rmtree(scratch, ignore_errors=True)


def _check_room(archive: Archive, file: Path, folder: Path) -> None:
    # Photographs are as large unpacked as packed; annotations four times as large, of which captions are a small part.
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = 2 * archive.size - file_size(file), shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{archive.name} needs {needed / 1e9:.1f} GB in {folder} to be unpacked; {free / 1e9:.1f} GB are free",
            "Make room, or set TEXTVAE_CACHE to a folder on another disk",
        )


def _is_local(error: BaseException) -> bool:
    """Whether the reason is this machine's disk, which no other attempt changes."""
    return isinstance(error, OSError) and not isinstance(error, urllib.error.URLError | ConnectionError | TimeoutError)


def _why(error: BaseException) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(error, http.client.IncompleteRead):
        return "the connection broke"
    return " ".join((getattr(reason, "strerror", None) or str(reason) or type(reason).__name__).lower().split())[:200]

"""Fetches files once, verifies their checksums, and finds them without a network from then on."""

import gzip
import hashlib
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from textvae.data.mirrors import Mirror, RemoteFile, Say, Unavailable
from textvae.utils.errors import UserError
from textvae.utils.files import written_whole
from textvae.utils.paths import data_folders, data_root
from textvae.utils.printable import printable


def to_stderr(line: str) -> None:
    """Prints a line of progress; stdout is for results."""
    print(printable(line), file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Download:
    """A data set's files, and the mirrors that have them, in the order of trying."""

    name: str
    files: tuple[RemoteFile, ...]
    mirrors: tuple[Mirror, ...]

    def find(self) -> Path | None:
        """The first folder that holds every file, unverified; None if there is none."""
        for folder in data_folders(self.name):
            if all(stored(folder, file) for file in self.files):
                return folder
        return None

    def fetch(self, say: Say = to_stderr) -> Path:
        """Fetches the files that are missing or damaged, and returns their folder.

        Files that are there are only verified. A file is written whole or not at all, and only if its checksum is
        right, so two processes may fetch at the same time.

        Raises:
            UserError: no mirror delivered them, the folder cannot be written to, or ``$TEXTVAE_DATA`` holds
                wrong ones.
        """
        target = data_root() / self.name
        found = self.find()
        if found is not None:
            wrong = [file.name for file in self.files if not _is_right(stored(found, file), file)]
            if not wrong:
                return found
            if found != target:
                raise UserError(
                    f"{found} holds files that are not {self.name}'s: {', '.join(wrong)}",
                    "Delete that folder or point TEXTVAE_DATA elsewhere, then fetch again",
                )
        _check_writable(target)
        missing = [file for file in self.files if not _is_right(stored(target, file), file)]
        failures = []
        for mirror in self.mirrors:
            say(f"{self.name}: trying {mirror.label}")
            began = time.monotonic()
            try:
                with tempfile.TemporaryDirectory(prefix="textvae-", ignore_cleanup_errors=True) as scratch:
                    mirror.bring(missing, Path(scratch), say)
                    for file in missing:
                        _install(Path(scratch) / file.name, file, target)
            except (Unavailable, OSError, EOFError, zlib.error, tarfile.TarError) as error:
                failures.append(f"{mirror.label}: {_why(error)}")
                say(f"{self.name}: {_why(error)} ({time.monotonic() - began:.1f} s)")
            else:
                size, seconds = sum(file.size for file in missing) / 1e6, time.monotonic() - began
                say(f"{self.name}: {size:.1f} MB verified in {seconds:.1f} s, in {target}")
                return target
        names = ", ".join(file.name for file in self.files)
        raise UserError(
            f"{self.name} could not be fetched ({'; '.join(failures)})",
            f"Put {names} (.gz or unpacked) into {target} and run the command again",
        )


def stored(folder: Path, file: RemoteFile) -> Path | None:
    """The file in ``folder``, unpacked as textvae stores it, or with ".gz" as a user may have put it there."""
    for path in (folder / file.name, folder / f"{file.name}.gz"):
        if path.is_file():
            return path
    return None


def _content(path: Path, limit: int) -> Iterator[bytes]:
    """The unpacked content, block by block, stopping after ``limit`` bytes."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if packed else file
        while limit > 0 and (block := stream.read(min(1 << 20, limit))):
            limit -= len(block)
            yield block


def _is_right(path: Path | None, file: RemoteFile) -> bool:
    if path is None:
        return False
    digest = hashlib.sha256()
    try:
        for block in _content(path, file.size + 1):
            digest.update(block)
    except (OSError, EOFError, zlib.error):
        return False
    return digest.hexdigest() == file.sha256


def _install(arrival: Path, file: RemoteFile, folder: Path) -> None:
    digest = hashlib.sha256()
    with written_whole(folder / file.name) as temporary:
        with temporary.open("wb") as out:
            for block in _content(arrival, file.size + 1):
                digest.update(block)
                out.write(block)
        if digest.hexdigest() != file.sha256:
            raise Unavailable(f"{file.name} has the wrong checksum")


def _check_writable(folder: Path) -> None:
    # Checked before anything is downloaded.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written to: {(error.strerror or str(error)).lower()}",
            "Set TEXTVAE_CACHE to a folder that can",
        ) from error


def _why(error: BaseException) -> str:
    """The innermost reason of an exception in a few words: HTTP libraries nest them."""
    if isinstance(error, Unavailable):
        return str(error)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"HTTP status {status}"
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    text = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
    return " ".join(text.split())[:200]

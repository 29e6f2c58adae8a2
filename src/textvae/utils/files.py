"""Atomic file writing, inter-process locks and checksums."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from textvae.utils.errors import UserError


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of ``path``. On success it replaces ``path``; on an error it is deleted.

    The data is flushed to disk before the rename, and the folder after it. A reader therefore sees the old file or the
    new one, never a partial one, even if the writing process is killed or the power fails. An existing file keeps its
    permissions. What a killed process leaves behind is removed by ``sweep``.

    Raises:
        UserError: ``path`` is something other than a regular file (a folder, a device, a link), or cannot be written.
    """
    check_replaceable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise _unwritable(path, error) from None
    temporary = Path(name)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # tells ``sweep`` that its writer is alive
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # mkstemp creates files that only the owner can read; results should be readable by others.
        temporary.chmod(stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644)
        temporary.replace(path)
        sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        # torch.save turns an error of the file that it writes to into one of its own.
        cause = error.__context__ if isinstance(error, RuntimeError) else error
        # Other errors, of reading for instance, are for the caller to explain.
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            raise _unwritable(path, cause) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Flushes the names in a folder to disk, so that a rename survives a power failure."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems have no such operation
            raise
    finally:
        os.close(handle)


_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.part")


def temporary_target(path: Path) -> str | None:
    """The name of the file that a temporary file of ``written_whole`` was to become; None for any other file."""
    found = _TEMPORARY.fullmatch(path.name)
    return found["name"] if found else None


def sweep(folder: Path, names: Collection[str]) -> None:
    """Deletes temporary files that killed processes left in a folder while writing the files ``names``."""
    for path in folder.iterdir():
        if temporary_target(path) not in names:
            continue
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(handle)


def check_replaceable(path: Path) -> None:
    """Checks that nothing but a regular file would be replaced by writing to ``path``.

    Raises:
        UserError: there is a folder, a device, a pipe or a symbolic link, or a parent of ``path`` is a file.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(path, error) from None
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link"}
        kind = kinds.get(stat.S_IFMT(mode), "a device or a pipe")
        raise UserError(f"{path} is {kind} and is not replaced", "choose another file name")


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be written: {error.strerror}", "choose another place, or make room there")


@contextlib.contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Tries to lock ``path``, a lock file that is deleted afterwards; yields whether this process has the lock.

    The lock is released when the process ends, even if it is killed. The lock file is never written to, and a symbolic
    link in its place is not followed.

    Raises:
        UserError: there is something other than a regular file, or the file cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            # Without O_NONBLOCK, opening a pipe could wait for ever.
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                os.close(handle)
                raise UserError(f"{path} is a device or a pipe, where a lock file belongs", "delete it")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                handle = -1
                break
            # The previous owner may have deleted the file after we opened and before we locked it.
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_ino == os.fstat(handle).st_ino:
                    break
            os.close(handle)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{path} is a symbolic link, where a lock file belongs", "delete it") from None
        raise _unwritable(path, error) from None
    try:
        yield handle >= 0
    finally:
        if handle >= 0:
            path.unlink(missing_ok=True)
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON atomically. NaN and infinity are rejected with ``ValueError``, as they are not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, most_bytes: int) -> Any:
    """The value in a JSON file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no JSON, nested too deeply, larger than ``most_bytes``, or has text that UTF-8 cannot hold.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a pipe could wait for ever
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size > most_bytes:
            raise ValueError(f"it is no file of at most {most_bytes:,} bytes")
        content = file.read()
    try:
        value = json.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if b"\\ud" in content.lower():  # half of a character, escaped: it could neither be printed nor written again
        json.dumps(value, ensure_ascii=False).encode()
    return value


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

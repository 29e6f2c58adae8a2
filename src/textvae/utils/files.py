"""Atomic file writing, inter-process locks and checksums."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from textvae.utils.errors import UserError


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of ``path``. On success it replaces ``path``; on an error it is deleted.

    The data is flushed to disk before the rename. A reader therefore sees the old file or the new one, never a partial
    one, even if the writing process is killed. An existing file keeps its permissions.

    Raises:
        UserError: ``path`` is something other than a regular file (a folder, a device, a link), or cannot be written.
    """
    check_replaceable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise _unwritable(path, error) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # mkstemp creates files that only the owner can read; results should be readable by others.
        temporary.chmod(stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644)
        temporary.replace(path)
    except OSError as error:
        # Other errors, of reading for instance, are for the caller to explain.
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            raise _unwritable(path, error) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


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

    The lock is released when the process ends, even if it is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as open_files:
        while True:
            file = open_files.enter_context(path.open("w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            # The previous owner may have deleted the file after we opened and before we locked it.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                    break
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON atomically. NaN and infinity are rejected with ``ValueError``, as they are not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

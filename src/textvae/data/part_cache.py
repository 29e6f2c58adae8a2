"""Files of a set in parts, anywhere that fsspec reads, and the few parts of it that are on the disk of this machine."""

import contextlib
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from textvae.data.parts import Part, PartFacts
from textvae.utils.errors import UserError
from textvae.utils.files import sha256_of, sweep, written_whole
from textvae.utils.printable import printable

BLOCK = 1 << 20
TRIES, PAUSE_S = 3, 1.0
"""How often reading is tried, and the pause after the first failure, which doubles."""


class Bucket:
    """A folder at a URL."""

    def __init__(self, url: str) -> None:
        """Opens nothing yet.

        Raises:
            UserError: fsspec, or its package for such URLs, is not installed, or the URL is not understood.
        """
        self.url = url.rstrip("/")
        if "::" in url:
            raise UserError(f"{url} is a chain of URLs", "give the URL of a folder, such as s3://BUCKET/SET")
        try:
            import fsspec
        except ImportError:
            raise UserError(
                f"{url} is read by fsspec, which is not installed", "pip install 'textvae[remote]'"
            ) from None
        self._streams = self.url.startswith(("http://", "https://"))
        try:
            self._files, self._path = fsspec.core.url_to_fs(self.url, **(_http_options() if self._streams else {}))
        except (ImportError, ValueError) as error:
            raise UserError(
                f"{url} cannot be read: {_line(error)}", "install the package, or correct the URL"
            ) from None

    def read(self, file: str, most: int) -> bytes:
        """The content of a file of at most ``most`` bytes.

        Raises:
            UserError: it cannot be read, or is larger.
        """
        content = b"".join(self._blocks(file, most + 1))
        if len(content) > most:
            raise UserError(f"{self.url}/{file} has more than {most:,} bytes", "give the URL of a set in parts")
        return content

    def copy(self, facts: PartFacts, target: Path) -> None:
        """Writes a part to a file, whole or not at all.

        Raises:
            UserError: it cannot be read, or is not what the manifest says.
        """
        digest, size = hashlib.sha256(), 0
        with written_whole(target) as temporary, temporary.open("wb") as out:
            for block in self._blocks(facts.file, facts.size + 1):
                digest.update(block)
                size += len(block)
                out.write(block)
            if size != facts.size:
                raise self.damaged(facts, f"it has {size:,} bytes, not {facts.size:,}")
            if digest.hexdigest() != facts.sha256:
                raise self.damaged(facts, "its checksum is not the manifest's")

    def damaged(self, facts: PartFacts, why: str) -> UserError:
        """The error for a part that is not what the manifest says."""
        return UserError(f"{self.url}/{facts.file} is damaged: {why}", "publish the set again, with --overwrite")

    def write(self, file: str, content: bytes) -> None:
        """Writes a file.

        Raises:
            UserError: it cannot be written.
        """
        try:
            self._files.makedirs(self._path, exist_ok=True)
            self._files.pipe_file(f"{self._path}/{file}", content)
        except Exception as error:  # each file system has its own
            raise UserError(f"{self.url}/{file} cannot be written: {_line(error)}", "choose another place") from None

    def files(self) -> set[str]:
        """The names of the files in the folder.

        Raises:
            UserError: it cannot be listed.
        """
        try:
            return {name.rstrip("/").rpartition("/")[2] for name in self._files.ls(self._path, detail=False)}
        except Exception as error:
            raise UserError(f"{self.url} cannot be listed: {_line(error)}", "check the URL and your rights") from None

    def remove(self, file: str) -> None:
        """Deletes a file.

        Raises:
            UserError: it cannot be deleted.
        """
        try:
            self._files.rm_file(f"{self._path}/{file}")
        except Exception as error:
            raise UserError(f"{self.url}/{file} cannot be deleted: {_line(error)}", "delete it yourself") from None

    def has(self, file: str) -> bool:
        """Whether there is such a file.

        Raises:
            UserError: the place cannot be reached.
        """
        try:
            return bool(self._files.exists(f"{self._path}/{file}"))
        except Exception as error:
            raise UserError(f"{self.url} cannot be reached: {_line(error)}", "check the URL and your rights") from None

    def _blocks(self, file: str, most: int) -> Iterator[bytes]:
        """The first bytes of a file, at most ``most``; after a failure, reading goes on where it was."""
        done, failures = 0, 0
        while done < most:
            try:
                with self._opened(f"{self._path}/{file}", done) as opened:
                    while done < most and (block := opened.read(min(BLOCK, most - done))):
                        done += len(block)
                        yield block
                return
            except UserError:
                raise
            except Exception as error:  # each file system has its own
                failures += 1
                if isinstance(error, FileNotFoundError | PermissionError) or failures == TRIES:
                    raise UserError(
                        f"{self.url}/{file} cannot be read: {_line(error)}", "check the URL and your rights"
                    ) from None
                time.sleep(PAUSE_S * 2 ** (failures - 1))

    def _opened(self, path: str, start: int) -> Any:
        """A file, to be read from a position on."""
        if not self._streams:
            opened = self._files.open(path, "rb")
            opened.seek(start)
            return opened
        # One request for the whole file: many HTTP servers send no ranges of files.
        opened = self._files.open(path, "rb", block_size=0)
        while start and (block := opened.read(min(BLOCK, start))):
            start -= len(block)
        return opened


def _http_options() -> dict[str, Any]:
    """No limit to the time that a file takes, as long as something arrives."""
    import aiohttp

    return {"client_kwargs": {"timeout": aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)}}


def _line(error: Exception) -> str:
    return printable((str(error).splitlines() or [type(error).__name__])[0][:200])


class PartCache:
    """The parts of a split that are at hand: fetched when they are needed or, by a thread, before; then deleted."""

    def __init__(
        self, bucket: Bucket, parts: Sequence[PartFacts], folder: Path, opened: Callable[[Path, PartFacts], Part]
    ) -> None:
        """Keeps its arguments.

        Args:
            bucket: where all parts are.
            parts: all of them.
            folder: for those that are at hand; the processes of a host share it.
            opened: opens the file of a part; raises ValueError where it is not what the manifest declares.
        """
        self._bucket, self._parts, self._folder, self._opened = bucket, parts, folder, opened
        self._at_hand: dict[int, Part] = {}
        self._checked: set[int] = set()
        self._kept: list[int] = []
        self._wanted: list[int] = []
        self._thread: threading.Thread | None = None

    def part(self, number: int) -> Part:
        """A part; waits until it is at hand.

        Raises:
            UserError: it cannot be read, or is damaged.
        """
        facts = self._parts[number]
        while number not in self._at_hand:
            file = self._fetch(number)
            try:
                self._at_hand[number] = self._opened(file, facts)
            except ValueError as error:
                if file.is_file():  # else another process has just deleted it
                    raise self._bucket.damaged(facts, str(error)) from None
        return self._at_hand[number]

    def keep(self, numbers: Sequence[int]) -> None:
        """Begins to fetch these parts, in this order, and forgets all others."""
        if list(numbers) == self._kept:
            return
        self._kept = list(numbers)
        names = {self._parts[number].file for number in numbers}
        self._at_hand = {number: part for number, part in self._at_hand.items() if number in numbers}
        self._checked &= set(numbers)
        if self._folder.is_dir():
            for file in self._folder.glob("*.safetensors"):
                if file.name not in names:
                    file.unlink(missing_ok=True)
                    _lock_of(file).unlink(missing_ok=True)
        self._wanted = list(numbers)
        if self._thread is None or not self._thread.is_alive():
            # A daemon, so that the end of the program does not wait for it; what it leaves half written is swept.
            self._thread = threading.Thread(target=self._ahead, name="parts-ahead", daemon=True)
            self._thread.start()

    def _ahead(self) -> None:
        while wanted := self._wanted:
            with contextlib.suppress(UserError, OSError):  # ``part`` tries again, and tells
                self._fetch(wanted.pop(0))

    def _fetch(self, number: int) -> Path:
        """Brings a part here. Of several processes and threads that want it, one fetches it and the others wait."""
        facts = self._parts[number]
        file = self._folder / facts.file
        self._folder.mkdir(parents=True, exist_ok=True)
        with _alone_on(_lock_of(file)):
            if number in self._checked and file.is_file():
                return file
            if not file.is_file() or file.stat().st_size != facts.size or sha256_of(file) != facts.sha256:
                sweep(self._folder, {part.file for part in self._parts})
                self._bucket.copy(facts, file)
            self._checked.add(number)
        return file


def _lock_of(file: Path) -> Path:
    return file.with_name(f".{file.name}.lock")


@contextlib.contextmanager
def _alone_on(path: Path) -> Iterator[None]:
    """Waits until nobody else is on a lock file. Who waited for one that was then deleted is not alone, but the files
    are written whole.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

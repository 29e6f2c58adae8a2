import contextlib
import gzip
import hashlib
import http.server
import os
import socket
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from textvae.data import mirrors as carriers
from textvae.data.download import Download
from textvae.data.mirrors import DebianPackage, Mirror, NpmPackage, RemoteFile, Say, Unavailable, Web
from textvae.utils.errors import UserError
from textvae.utils.paths import data_folders, data_root

CONTENTS = {"big": bytes(range(256)) * 400, "small": b"a few labels"}
FILES = tuple(RemoteFile(n, len(c), hashlib.sha256(c).hexdigest()) for n, c in CONTENTS.items())

posix = pytest.mark.skipif(sys.platform == "win32", reason="the fake programs are shell scripts")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache" / "data" / "toy"


@pytest.fixture
def said() -> list[str]:
    return []


@dataclass
class Fake:
    """A carrier that brings what it is given, or fails."""

    contents: dict[str, bytes] = field(default_factory=dict)
    error: Exception | None = None
    asked: list[list[str]] = field(default_factory=list)
    label: str = "fake"

    def bring(self, files: Sequence[RemoteFile], folder: Path, say: Say) -> None:
        self.asked.append([file.name for file in files])
        if self.error:
            raise self.error
        for file in files:
            if file.name in self.contents:
                (folder / file.name).write_bytes(self.contents[file.name])


def toy(*carriers: Mirror) -> Download:
    return Download("toy", FILES, carriers)


def holds_exactly_the_files(folder: Path) -> bool:
    return {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENTS


# Folders


def test_environment_says_where(tmp_path, monkeypatch):
    assert data_root() == tmp_path / "cache" / "data"
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path / "own"))
    assert data_folders("toy") == [tmp_path / "own" / "toy", data_root() / "toy"]
    monkeypatch.delenv("TEXTVAE_CACHE")
    assert "textvae" in str(data_root())


def test_own_data_is_found_first_and_never_written(tmp_path, monkeypatch, cache, said):
    own = tmp_path / "own" / "toy"
    own.mkdir(parents=True)
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path / "own"))
    (own / "small").write_bytes(CONTENTS["small"])
    # Incomplete: fetched into the cache.
    assert toy(Fake(CONTENTS)).fetch(said.append) == cache
    assert [path.name for path in own.iterdir()] == ["small"]
    (own / "big.gz").write_bytes(gzip.compress(CONTENTS["big"]))
    assert toy().find() == own
    assert toy().fetch(said.append) == own
    (own / "big.gz").write_bytes(gzip.compress(b"wrong"))
    with pytest.raises(UserError, match="TEXTVAE_DATA") as error:
        toy(Fake(CONTENTS)).fetch(said.append)
    assert str(own) in error.value.cause
    assert "big" in error.value.cause


# Verification


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_whatever_the_wrapping_the_content_lands(cache, said, pack):
    assert toy().find() is None
    assert toy(Fake({name: pack(content) for name, content in CONTENTS.items()})).fetch(said.append) == cache
    assert holds_exactly_the_files(cache)
    assert toy().find() == cache
    # There already: nobody is asked.
    assert toy(Fake(error=Unavailable("asked"))).fetch(said.append) == cache


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: b"x" + content[1:],
        lambda content: gzip.compress(content)[:-4],
        lambda content: gzip.compress(content)[:-8] + bytes(8),
        lambda content: gzip.compress(content + bytes(50_000_000)),
        lambda content: b"",
        lambda content: b"\x1f\x8b nonsense",
    ],
)
def test_wrong_content_never_lands_and_the_next_carrier_is_asked(cache, said, spoil: Callable[[bytes], bytes]):
    wrong = Fake({name: spoil(content) for name, content in CONTENTS.items()})
    with pytest.raises(UserError, match="could not be fetched"):
        toy(wrong).fetch(said.append)
    assert list(cache.iterdir()) == []
    toy(wrong, Fake(CONTENTS)).fetch(said.append)
    assert holds_exactly_the_files(cache)


def test_a_file_not_brought_is_a_failure(said):
    with pytest.raises(UserError, match="no such file"):
        toy(Fake({"big": CONTENTS["big"]})).fetch(said.append)


def test_fetch_repairs_a_damaged_file_and_only_that(cache, said):
    toy(Fake(CONTENTS)).fetch(said.append)
    (cache / "big").write_bytes(b"half")
    repairer = Fake(CONTENTS)
    toy(repairer).fetch(said.append)
    assert repairer.asked == [["big"]]
    assert holds_exactly_the_files(cache)


def test_failures_are_listed_and_the_cure_names_folder_and_files(cache, said):
    carriers = [
        Fake(error=Unavailable("on strike"), label="one"),
        Fake(error=OSError(28, "No space left"), label="two"),
    ]
    with pytest.raises(UserError) as error:
        toy(*carriers).fetch(said.append)
    assert "one: on strike; two: no space left" in error.value.cause
    assert str(cache) in error.value.cure
    assert "big, small" in error.value.cure
    assert "\n" not in error.value.cause + error.value.cure
    assert any("trying one" in line for line in said)
    assert any("on strike" in line for line in said)


def test_our_own_defects_are_not_swallowed(said):
    with pytest.raises(ZeroDivisionError):
        toy(Fake(error=ZeroDivisionError())).fetch(said.append)


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_fetched(tmp_path, monkeypatch, said):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "file"))
    carrier = Fake(CONTENTS)
    with pytest.raises(UserError, match="TEXTVAE_CACHE"):
        toy(carrier).fetch(said.append)
    assert carrier.asked == []


def test_fetches_at_the_same_time_do_not_disturb_each_other(cache):
    start = threading.Barrier(8)
    results: list[object] = []

    class Slow(Fake):
        def bring(self, files: Sequence[RemoteFile], folder: Path, say: Say) -> None:
            start.wait()
            super().bring(files, folder, say)

    def fetch() -> None:
        try:
            results.append(toy(Slow(CONTENTS)).fetch(lambda line: None))
        except BaseException as error:
            results.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [cache] * 8
    assert holds_exactly_the_files(cache)


# The web


@dataclass
class Site:
    address: str
    pages: dict[str, bytes]
    promise: int = 0
    """Bytes announced beyond those sent."""
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            page = served.pages.get(self.path)
            self.send_response(404 if page is None else 200)
            self.send_header("Content-Length", str(len(page or b"") + served.promise))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(page or b"")

        def log_message(self, *words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Site(f"http://127.0.0.1:{server.server_port}/x/", {})
        served.pages = {f"/x/{name}.gz": gzip.compress(content) for name, content in CONTENTS.items()}
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def test_web_brings_small_files_first(site, cache, said):
    assert toy(Web(site.address)).fetch(said.append) == cache
    assert holds_exactly_the_files(cache)
    assert site.asked == ["/x/small.gz", "/x/big.gz"]
    assert f"toy: trying {site.address}" in said


def test_web_answers_of_other_kinds_are_failures(site, said):
    def why() -> str:
        with pytest.raises(UserError) as error:
            toy(Web(site.address)).fetch(said.append)
        return error.value.cause

    site.pages["/x/big.gz"] = b"<html>Please log in to this network</html>"
    assert "checksum" in why()
    site.pages["/x/big.gz"] = gzip.compress(b"another file")
    assert "checksum" in why()
    site.pages["/x/big.gz"] = bytes(5_000_000)
    assert "longer than it should be" in why()
    del site.pages["/x/big.gz"]
    assert "HTTP status 404" in why()
    assert not any(data_root().rglob("big*"))


def test_web_bodies_that_end_early_are_failures(site, said):
    site.promise = 10
    with pytest.raises(UserError, match="could not be fetched"):
        toy(Web(site.address)).fetch(said.append)
    assert not any(path.is_file() for path in data_root().rglob("*"))


def test_refused_connections_fail_at_once(said):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        began = time.monotonic()
        with pytest.raises(UserError, match="refused"):
            toy(Web(f"http://127.0.0.1:{taken.getsockname()[1]}/")).fetch(said.append)
    assert time.monotonic() - began < 2


def test_silent_addresses_cost_no_more_than_the_patience(said):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(UserError, match=r"no answer within 0\.3 s"):
            toy(Web(f"http://127.0.0.1:{silent.getsockname()[1]}/", patience=0.3)).fetch(said.append)
        assert time.monotonic() - began < 2


def test_name_resolution_that_hangs_costs_no_more_than_the_patience(monkeypatch, said):
    release = threading.Event()

    def hangs(*arguments: object, **options: object) -> None:
        release.wait(10)
        raise socket.gaierror("name not known")

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"no answer within 0\.3 s"):
        toy(Web("http://nowhere.invalid/", patience=0.3)).fetch(said.append)
    assert time.monotonic() - began < 2
    release.set()


# Packages, by fake programs on the PATH


@pytest.fixture
def program(tmp_path, monkeypatch) -> Callable[[str, str], None]:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return write


@pytest.fixture
def debian(tmp_path, program) -> DebianPackage:
    share = tmp_path / "in-the-package" / "usr" / "share"
    share.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (share / f"{name}.gz").write_bytes(gzip.compress(content))
    program("dpkg-deb", f'test "$1" = -x && test -f "$2" && cp -r {tmp_path}/in-the-package "$3"')
    return DebianPackage("toy-data", "usr/share")


@posix
def test_debian_package(cache, said, debian, program):
    program("apt-get", 'test "$1" = download && touch toy-data.deb')
    assert toy(debian).fetch(said.append) == cache
    assert holds_exactly_the_files(cache)
    assert len(said) == 2


@posix
def test_debian_package_without_lists_reads_them_into_its_own_folder(cache, said, debian, program):
    program(
        "apt-get",
        """
        case "$*" in
            download*State::Lists=*) test -f lists/filled && touch toy-data.deb ;;
            update*State::Lists=*) test -d lists/partial && touch lists/filled; echo E: one mirror is dead; exit 100 ;;
            *) echo "E: Unable to locate package toy-data"; exit 100 ;;
        esac""",
    )
    assert toy(debian).fetch(said.append) == cache
    assert any("one mirror is dead" in line for line in said)


@posix
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo E: Could not resolve the mirror; exit 100", "could not resolve"),
        ("echo E: Unable to locate package; exit 100", "unable to locate"),
        ("touch x.deb", "not in the package"),
    ],
)
def test_debian_failures_say_why(tmp_path, said, debian, program, script, why):
    program("apt-get", script)
    if why == "not in the package":
        debian = DebianPackage("toy-data", "usr/elsewhere")
    with pytest.raises(UserError) as error:
        toy(debian).fetch(said.append)
    assert why in error.value.cause.casefold()


def test_absent_programs_are_said(tmp_path, monkeypatch, said):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"apt-get is not installed.*npm is not installed"):
        toy(DebianPackage("toy-data", "usr"), NpmPackage("toy@1", "data")).fetch(said.append)


@posix
@pytest.mark.parametrize("fault", [None, "missing", "longer", "folder", "cut"])
def test_npm_package(tmp_path, cache, said, program, fault):
    source = tmp_path / "package" / "data"
    source.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (source / name).write_bytes(content + b"x" * (fault == "longer"))
    if fault in ("missing", "folder"):
        (source / "small").unlink()
    if fault == "folder":
        (source / "small").mkdir()
    archive = tmp_path / "toy.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "package", "package")
    if fault == "cut":
        archive.write_bytes(archive.read_bytes()[:-100])
    program("npm", f'test "$1 $2" = "pack toy@1" && cp {archive} .')
    npm = toy(NpmPackage("toy@1", "data"))
    if fault is None:
        assert npm.fetch(said.append) == cache
        assert holds_exactly_the_files(cache)
    else:
        why = {"missing": "is not in", "longer": "is not the right file", "folder": "is not the right file", "cut": ""}
        with pytest.raises(UserError, match=f"npm package toy@1: .*{why[fault]}"):
            npm.fetch(said.append)


@posix
def test_programs_never_wait_for_an_answer_and_leave_nothing_behind(tmp_path, program):
    program("asks", 'read answer && exit 0; echo "E: nobody answered" >&2; exit 3')
    terminal, keyboard = os.pipe()
    before = os.dup(0)
    os.dup2(terminal, 0)
    try:
        with pytest.raises(Unavailable, match="asks failed with 3: E: nobody answered"):
            carriers._run(["asks"], tmp_path, 5.0)
    finally:
        os.dup2(before, 0)
        for descriptor in (terminal, keyboard, before):
            os.close(descriptor)
    program("hangs", "sleep 40 & echo $! > child; wait")
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"hangs took longer than 0\.5 s"):
        carriers._run(["hangs"], tmp_path, 0.5)
    assert time.monotonic() - began < 3
    child = Path("/proc") / (tmp_path / "child").read_text().strip() / "stat"
    for _ in range(50):
        if not child.exists() or child.read_text().split()[2] == "Z":
            break
        time.sleep(0.02)
    else:
        pytest.fail("the grandchild is still running")

"""WebDataset shards: ``.tar`` files in which ``KEY.jpg`` is followed by ``KEY.txt``."""

import io
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from textvae.preparation.decode import Place
from textvae.preparation.record import Record
from textvae.utils.errors import UserError
from textvae.utils.printable import printable

COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
"""Endings of compressed shards, which are refused: an image can only be located in an uncompressed tar."""

MOST_CAPTION_BYTES = 1 << 16
"""Longer captions are not read."""

IMAGES = frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"})


@dataclass(frozen=True)
class Shards:
    """A folder of ``.tar`` files, whose names contain their split (products-val-0000.tar); the others are train."""

    TITLE: ClassVar[str] = "WebDataset shards of images with captions"
    """Of a user's own folder."""

    folder: Path

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Whether the folder has this layout."""
        return any(folder.glob("*.tar")) or bool(_compressed(folder))

    def splits(self) -> dict[str, Iterable[Record]]:
        """See ``Layout.splits``. If there are val shards and no test shards, val is our "test"."""
        if compressed := _compressed(self.folder):
            raise UserError(
                f"{compressed[0]} is compressed: its images cannot be read one by one",
                "Decompress the shards, for example with gunzip, so that .tar files remain",
            )
        found: dict[str, list[Path]] = {}
        for path in sorted(self.folder.glob("*.tar")):
            # A whole word of the name, so that "latest.tar" is no test shard.
            named = re.search(r"(?:^|[^a-z])(train|val|test)(?:[^a-z]|$)", path.stem.casefold())
            found.setdefault(named[1] if named else "train", []).append(path)
        if "train" not in found:
            raise UserError(f"{self.folder} has no training shards", "Name them like photos-train-0000.tar")
        if "val" in found and "test" not in found:
            found["test"] = found.pop("val")
        return {split: _Split(tuple(paths)) for split, paths in found.items()}


def _compressed(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.casefold().endswith(COMPRESSED))


@dataclass(frozen=True)
class _Split:
    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[Record]:
        for path in self.paths:
            yield from read_shard(path)


def read_shard(path: Path) -> Iterator[Record]:
    """The samples of one shard: consecutive members whose names differ only in their extension.

    Images are not read but located, so that worker processes can read them later. A truncated or damaged shard gives
    the samples before its end, and a record with the problem.
    """
    key, image, captions = "", None, []  # type: str, Place | None, list[str]
    unusable = problem = ""
    try:
        with _Bounded(io.FileIO(path)) as file, tarfile.open(path, "r:", file) as tar:  # "r:" reads uncompressed tars
            for member in _members(tar, file):
                name = PurePosixPath(member.name)
                stem, extension = name.stem, name.suffix.removeprefix(".")
                this = f"{path.stem}/{name.parent / stem}"
                if this != key:
                    if key:
                        yield _record(key, image, captions, unusable)
                    key, image, captions, unusable = this, None, [], ""
                if extension.casefold() in IMAGES:
                    image = Place(str(path), member.offset_data, member.size)
                elif extension == "txt" and member.size > MOST_CAPTION_BYTES:
                    unusable = f"its caption has {member.size:,} bytes"
                elif extension == "txt":
                    file.seek(member.offset_data)
                    try:
                        captions.append(file.read(member.size).decode("utf-8"))
                    except UnicodeDecodeError:
                        unusable = "its caption is not UTF-8"
    except Exception as error:
        # For a damaged tar, tarfile raises whatever its parsing runs into.
        problem = f"{path.name} cannot be read to its end: {printable(str(error) or type(error).__name__)}"
    if key:
        yield _record(key, image, captions, unusable)
    if problem:
        yield Record(path.stem, None, (), problem)


def _members(tar: tarfile.TarFile, file: "_Bounded") -> Iterator[tarfile.TarInfo]:
    """The regular files of a tar.

    Raises:
        tarfile.ReadError: a size leads out of the tar or backwards, or a header is damaged.
    """
    size = os.fstat(file.fileno()).st_size
    at = 0
    for member in tar:
        if tar.offset <= at or member.size < 0 or member.offset_data + member.size > size:
            raise tarfile.ReadError(f"the size of the file at byte {at:,} is wrong: {member.size:,} bytes")
        at = tar.offset
        if member.isreg() and not member.issparse():
            yield member
        # TarFile keeps a list of all members, which may be millions.
        tar.members = []  # type: ignore[attr-defined]
    # At a damaged header tarfile stops as if the tar ended there: it ends with zeros, or with the file.
    file.seek(at)
    if any(file.read(tarfile.BLOCKSIZE)):
        raise tarfile.ReadError(f"the header at byte {at:,} is damaged")


class _Bounded(io.BufferedReader):
    """A file whose reader may ask for ``MOST_CAPTION_BYTES`` at once: headers, too, state how long they are."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MOST_CAPTION_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size)


def _record(key: str, image: Place | None, captions: list[str], unusable: str) -> Record:
    # Names that are not UTF-8 have lone surrogates.
    if unusable:
        return Record(printable(key), None, tuple(captions), unusable)
    return Record(printable(key), image, tuple(captions), "" if image else "no image of this name in the shard")

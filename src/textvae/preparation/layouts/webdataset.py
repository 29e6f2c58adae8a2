"""WebDataset shards: ``.tar`` files, also compressed, in which ``KEY.jpg`` is followed by ``KEY.txt``."""

import io
import sys
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from textvae.preparation.decode import ImageBytes, Place
from textvae.preparation.layouts.names import IMAGES, split_of_file
from textvae.preparation.packed import PackedPlace, ending_of, unpacked
from textvae.preparation.record import MOST_CAPTION_BYTES, Record
from textvae.utils.errors import UserError
from textvae.utils.printable import printable

REFUSED = (".tar.zst", ".tar.lz4")
"""Endings of shards that Python cannot unpack."""


@dataclass(frozen=True)
class Shards:
    """A folder of ``.tar`` files, whose names contain their split (products-val-0000.tar); the others are train."""

    TITLE: ClassVar[str] = "WebDataset shards of images with captions"
    EXAMPLE: ClassVar[str] = "photos-train-0000.tar (or .tar.gz) with boat.jpg and boat.txt in it"

    folder: Path

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Whether the folder has this layout."""
        return bool(_shards(folder))

    def splits(self) -> dict[str, Iterable[Record]]:
        """See ``Layout.splits``."""
        found: dict[str, list[Path]] = {}
        for path in _shards(self.folder):
            if _refused(path):
                raise UserError(
                    f"{path} is compressed in a way that Python cannot unpack",
                    "Unpack the shards so that .tar files remain; .tar.gz, .tar.bz2 and .tar.xz are read as they are",
                )
            found.setdefault(split_of_file(_stem(path)), []).append(path)
        if "train" not in found:
            raise UserError(f"{self.folder} has no training shards", "Name them like photos-train-0000.tar")
        return {split: _Split(tuple(paths)) for split, paths in found.items()}


def _shards(folder: Path) -> list[Path]:
    """In the order of their names, without hidden files."""
    named = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in named if path.suffix == ".tar" or ending_of(path.name) or _refused(path))


def _refused(path: Path) -> bool:
    return path.name.casefold().endswith(REFUSED)


def _stem(path: Path) -> str:
    return path.name.removesuffix(ending_of(path.name) or path.suffix)


@dataclass(frozen=True)
class _Split:
    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[Record]:
        for path in self.paths:
            yield from read_shard(path)


def read_shard(path: Path) -> Iterator[Record]:
    """The samples of one shard: consecutive members whose names differ only in their extension.

    Images are not read but located, so that worker processes can read them later; a compressed shard is unpacked as it
    is read, and nothing of it is written. A truncated or damaged shard gives
    the samples before its end, and a record with the problem.
    """
    key, image, captions = "", None, []  # type: str, ImageBytes | None, list[str]
    packed, shard = ending_of(path.name) is not None, _stem(path)
    unusable = problem = ""
    try:
        plain: Any = unpacked(path) if packed else io.FileIO(path)
        # The size of what is unpacked is not known before its end.
        size = sys.maxsize if packed else path.stat().st_size
        with _Bounded(plain) as file, tarfile.open(path, "r:", file) as tar:  # "r:" reads uncompressed tars
            for member in _members(tar, file, size):
                name = PurePosixPath(member.name)
                stem, extension = name.stem, name.suffix.removeprefix(".")
                this = f"{shard}/{name.parent / stem}"
                if this != key:
                    if key:
                        yield _record(key, image, captions, unusable)
                    key, image, captions, unusable = this, None, [], ""
                if extension.casefold() in IMAGES:
                    image = (PackedPlace if packed else Place)(str(path), member.offset_data, member.size)
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
        yield Record(printable(shard), None, (), problem)


def _members(tar: tarfile.TarFile, file: "_Bounded", size: int) -> Iterator[tarfile.TarInfo]:
    """The regular files of a tar.

    Raises:
        tarfile.ReadError: a size leads out of the tar or backwards, or a header is damaged.
    """
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


def _record(key: str, image: ImageBytes | None, captions: list[str], unusable: str) -> Record:
    # Names that are not UTF-8 have lone surrogates.
    if unusable:
        return Record(printable(key), None, tuple(captions), unusable)
    return Record(printable(key), image, tuple(captions), "" if image else "no image of this name in the shard")

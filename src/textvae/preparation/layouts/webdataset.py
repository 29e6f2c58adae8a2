"""WebDataset shards: ``.tar`` files in which ``KEY.jpg`` is followed by ``KEY.txt``."""

import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from textvae.preparation.decode import Place
from textvae.preparation.record import Record
from textvae.utils.errors import UserError

COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
"""Endings of compressed shards, which are refused: an image can only be located in an uncompressed tar."""

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

    Images are not read but located, so that worker processes can read them later. A truncated shard gives the samples
    before its end, and a record with the problem.
    """
    key, image, captions = "", None, []  # type: str, Place | None, list[str]
    problem = ""
    try:
        # "r:" opens uncompressed tars only.
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isreg():
                    continue
                name = PurePosixPath(member.name)
                stem, extension = name.stem, name.suffix.removeprefix(".")
                this = f"{path.stem}/{name.parent / stem}"
                if this != key:
                    if key:
                        yield _record(key, image, captions)
                    key, image, captions = this, None, []
                if extension.casefold() in IMAGES:
                    image = Place(str(path), member.offset_data, member.size)
                elif extension == "txt" and (content := tar.extractfile(member)) is not None:
                    captions.append(content.read().decode("utf-8", "replace"))
                # TarFile keeps a list of all members, which may be millions.
                tar.members = []  # type: ignore[attr-defined]
    except (tarfile.TarError, OSError, EOFError) as error:
        problem = f"{path.name} cannot be read to its end: {error}"
    if key:
        yield _record(key, image, captions)
    if problem:
        yield Record(path.stem, None, (), problem)


def _record(key: str, image: Place | None, captions: list[str]) -> Record:
    return Record(key, image, tuple(captions), "" if image else "no image of this name in the shard")

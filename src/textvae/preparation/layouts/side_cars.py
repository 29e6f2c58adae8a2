"""Images with captions in text files beside them: ``a.jpg`` with ``a.txt`` or ``a.caption``."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textvae.preparation.decode import Place
from textvae.preparation.layouts.names import IMAGES, by_split, extension, folders
from textvae.preparation.record import MOST_CAPTION_BYTES, Record, inside
from textvae.utils.pictures import Unreadable
from textvae.utils.printable import printable

SIDE_CARS = ("txt", "caption")


@dataclass(frozen=True)
class SideCars:
    """A folder of image files, each with a text file of the same name; in folders within it, too.

    Each line of a text file is a caption. Folders ``train``, ``val`` and ``test`` are splits.
    """

    TITLE: ClassVar[str] = "images with captions in text files beside them"
    EXAMPLE: ClassVar[str] = "boat.jpg and boat.txt (or boat.caption), a caption on each line"

    folder: Path

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Whether an image in the folder has a text file of its name beside it."""
        return any(_side_car(name, set(files)) for _, files in folders(folder) for name in _images(files))

    def splits(self) -> dict[str, Iterable[Record]]:
        """See ``Layout.splits``."""
        found = by_split((parts, (parts, files)) for parts, files in folders(self.folder) if _images(files))
        return {split: _Split(self.folder, tuple(inner)) for split, inner in found.items()}


@dataclass(frozen=True)
class _Split:
    folder: Path
    inner: tuple[tuple[tuple[str, ...], list[str]], ...]

    def __iter__(self) -> Iterator[Record]:
        for parts, files in self.inner:
            folder, there = self.folder.joinpath(*parts), set(files)
            for name in _images(files):
                key, place = printable("/".join((*parts, name))), inside(folder, name)
                side_car = _side_car(name, there)
                if side_car is None:
                    yield Record(key, place, (), "no text file of its name")
                    continue
                try:
                    yield Record(key, place, tuple(_captions(folder / side_car)))
                except UnicodeDecodeError:
                    yield Record(key, None, (), "its text file is not UTF-8")
                except Unreadable as error:
                    yield Record(key, None, (), f"its text file {error}")


def _images(files: Iterable[str]) -> list[str]:
    return [name for name in files if extension(name) in IMAGES]


def _side_car(image: str, files: set[str]) -> str | None:
    stem = image.rpartition(".")[0]
    # Some cameras and programs write endings in capitals.
    names = [f"{base}.{end}" for kind in SIDE_CARS for end in (kind, kind.upper()) for base in (stem, image)]
    return next((name for name in names if name in files), None)


def _captions(file: Path) -> list[str]:
    content = Place(str(file), size=MOST_CAPTION_BYTES + 1).read()
    if len(content) > MOST_CAPTION_BYTES:
        raise Unreadable(f"has more than {MOST_CAPTION_BYTES:,} bytes")
    return content.decode("utf-8-sig").splitlines()

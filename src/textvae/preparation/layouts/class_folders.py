"""One folder a class, whose name is the caption of its images: ``golden_retriever/001.jpg``."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textvae.preparation.layouts.names import IMAGES, SPLITS, by_split, extension, folders
from textvae.preparation.record import Record, inside
from textvae.utils.printable import printable

NO_CLASSES = frozenset(
    {"image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "mask", "masks", "annotations"}
)
"""Folders of these names are no classes."""


@dataclass(frozen=True)
class ClassFolders:
    """Folders of images whose names are captions; folders ``train``, ``val`` and ``test`` around them are splits."""

    TITLE: ClassVar[str] = "images in a folder for each class, whose name is the caption"
    EXAMPLE: ClassVar[str] = "golden_retriever/1.jpg, tabby_cat/1.jpg; or train/tabby_cat/1.jpg, test/tabby_cat/2.jpg"

    folder: Path

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Whether there are folders of images with at least two different captions."""
        named = {caption_of(parts[-1]).casefold() for parts, files in folders(folder) if parts and _images(files)}
        classes = named - NO_CLASSES
        return len(classes) > 1 and not classes <= set(SPLITS)

    def splits(self) -> dict[str, Iterable[Record]]:
        """See ``Layout.splits``."""
        within = [(parts, _images(files)) for parts, files in folders(self.folder) if _images(files)]
        found = by_split((parts, (parts, names)) for parts, names in within)
        # A folder "train" beside others is a class: of pictures of trains.
        depth = 1 if all(parts and parts[0].casefold() in SPLITS for parts, _ in within) else 0
        return {split: _Split(self.folder, tuple(inner), depth) for split, inner in found.items()}


@dataclass(frozen=True)
class _Split:
    folder: Path
    classes: tuple[tuple[tuple[str, ...], list[str]], ...]
    depth: int
    """Folders around those of the classes: 1 where these are splits."""

    def __iter__(self) -> Iterator[Record]:
        for parts, files in self.classes:
            caption = caption_of(parts[-1]) if len(parts) > self.depth else ""
            for name in files:
                place = inside(self.folder.joinpath(*parts), name)
                key = printable("/".join((*parts, name)))
                yield Record(key, place, (caption,)) if caption else Record(key, None, (), "in no folder of a class")


def caption_of(folder: str) -> str:
    """A folder's name as a caption: "Black footed Albatross" of 001.Black_footed_Albatross."""
    words = re.sub(r"^(n\d{8}|\d+)[-_. ]+(?=\S)", "", folder)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words)
    return " ".join(re.split(r"[\s_.+-]+", words)).strip()


def _images(files: Iterable[str]) -> list[str]:
    return [name for name in files if extension(name) in IMAGES]

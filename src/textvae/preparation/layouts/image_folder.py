"""A folder of images with ``metadata.jsonl``, one object a line: ``{"file_name": "a.jpg", "text": "a red boat"}``."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textvae.preparation.record import Record, inside
from textvae.utils.errors import UserError
from textvae.utils.printable import printable

METADATA = "metadata.jsonl"

MOST_LINE_BYTES = 1 << 20
"""Longer lines are not understood."""

SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
"""The split of each folder name."""


@dataclass(frozen=True)
class ImageFolder:
    """A folder with a metadata.jsonl, or folders ``train``, ``val`` and ``test`` with one each."""

    TITLE: ClassVar[str] = "a folder of images with captions"
    """Of a user's own folder."""

    folder: Path

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Whether the folder has this layout."""
        return (folder / METADATA).is_file() or any((folder / split / METADATA).is_file() for split in SPLITS)

    def splits(self) -> dict[str, Iterable[Record]]:
        """See ``Layout.splits``."""
        found: dict[str, Iterable[Record]] = {
            split: _Split(self.folder / folder)
            for folder, split in SPLITS.items()
            if (self.folder / folder / METADATA).is_file()
        }
        if (self.folder / METADATA).is_file():
            found.setdefault("train", _Split(self.folder))
        if "train" not in found:
            raise UserError(
                f"{self.folder} has no {METADATA}, nor has a folder train in it",
                'Write one: a line {"file_name": "a.jpg", "text": "a red boat"} for each image',
            )
        return found


@dataclass(frozen=True)
class _Split:
    folder: Path

    def __iter__(self) -> Iterator[Record]:
        return read_metadata(self.folder)


def read_metadata(folder: Path) -> Iterator[Record]:
    """The images that metadata.jsonl names, in its order; lines about the same file add captions to it.

    ``text`` is a string or a list of strings. A line that cannot be understood gives a record with a problem.

    Raises:
        UserError: the file cannot be read.
    """
    captions: dict[str, list[str]] = {}
    problems = []
    try:
        with (folder / METADATA).open("rb") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(MOST_LINE_BYTES), b""), start=1):
                if not line.strip():
                    continue
                try:
                    if len(line) == MOST_LINE_BYTES:
                        raise ValueError(f"a line of more than {MOST_LINE_BYTES:,} bytes")
                    entry = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                    file_name, text = entry["file_name"], entry["text"]
                    texts = [text] if isinstance(text, str) else text
                    if not isinstance(file_name, str) or not (
                        isinstance(texts, list) and all(isinstance(text, str) for text in texts)
                    ):
                        raise TypeError("file_name and text must be strings")
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    why = f"no {error}" if isinstance(error, KeyError) else str(error)
                    problems.append(
                        Record(f"line {number}", None, (), f"{METADATA} is not understood: {printable(why)}")
                    )
                else:
                    captions.setdefault(file_name, []).extend(texts)
    except OSError as error:
        raise UserError(f"{folder / METADATA} cannot be read: {error.strerror}", "Check its permissions") from None
    for file_name, texts in captions.items():
        place = inside(folder, file_name)
        problem = "" if place else f"its file name leads out of the folder: {printable(file_name[:80])}"
        yield Record(printable(file_name), place, tuple(texts), problem)
    yield from problems

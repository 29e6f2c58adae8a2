"""A folder of images with a table of their captions: metadata.jsonl, metadata.csv, captions.csv and the like."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textvae.preparation.layouts.names import CAPTION_COLUMNS, FILE_COLUMNS, SPLITS, by_split, column_of
from textvae.preparation.record import Record, inside
from textvae.utils.errors import UserError
from textvae.utils.printable import printable

TABLES = (
    "metadata.jsonl", "metadata.csv", "metadata.tsv", "captions.jsonl", "captions.csv", "captions.tsv", "captions.txt",
    "results.csv",
)  # fmt: skip
"""Names of the table, in the order of trying; the last two are those of Flickr8k and Flickr30k, as they are shared."""

IMAGE_FOLDERS = ("", "images", "Images", "image", "imgs", "img")
"""Where, beside the table, the images are looked for."""

MOST_LINE_BYTES = 1 << 20
"""Longer lines are not understood."""


@dataclass(frozen=True)
class ImageFolder:
    """A folder with a table of captions, or folders ``train``, ``val`` and ``test`` with one each."""

    TITLE: ClassVar[str] = "a folder of images with a table of captions"
    EXAMPLE: ClassVar[str] = (
        'metadata.jsonl with lines like {"file_name": "boat.jpg", "text": "a red boat"}; or metadata.csv or '
        "captions.csv with the columns file_name,text"
    )

    folder: Path

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Whether the folder has this layout."""
        return any(_table(place) for place in (folder, *_split_folders(folder)))

    def splits(self) -> dict[str, Iterable[Record]]:
        """See ``Layout.splits``.

        One table may be for all splits, if all images are in folders ``train``, ``val`` and ``test``.
        """
        found: dict[str, Iterable[Record]] = {}
        for folder in _split_folders(self.folder):
            if table := _table(folder):
                found[SPLITS[folder.name.casefold()]] = _Split(table)
        if not found and (table := _table(self.folder)):
            grouped = by_split((tuple(record.key.split("/")[:-1]), record) for record in read_table(table))
            found.update(grouped)
        return found


def _split_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.casefold() in SPLITS and path.is_dir())


def _table(folder: Path) -> Path | None:
    return next((folder / name for name in TABLES if (folder / name).is_file() and _has_columns(folder / name)), None)


def _has_columns(table: Path) -> bool:
    """Whether a file has the columns of a table of captions: any text may be called captions.txt."""
    if table.suffix == ".jsonl":
        return True
    with table.open("rb") as file:
        header = file.readline(MOST_LINE_BYTES).decode("utf-8-sig", "replace")
    names = _cells(header)
    return column_of(names, FILE_COLUMNS) is not None and column_of(names, CAPTION_COLUMNS) is not None


@dataclass(frozen=True)
class _Split:
    table: Path

    def __iter__(self) -> Iterator[Record]:
        return read_table(self.table)


def read_table(table: Path) -> Iterator[Record]:
    """The images that a table names, in its order; lines about the same file add captions to it.

    In JSON lines, captions may be a string or a list of strings. A line that cannot be understood gives a record with
    a problem.

    Raises:
        UserError: the file cannot be read.
    """
    captions: dict[str, list[str]] = {}
    problems = []
    try:
        for number, entry in _entries(table):
            try:
                if isinstance(entry, ValueError | RecursionError):
                    raise entry
                file_name, texts = _understood(entry)
            except (ValueError, TypeError, RecursionError) as error:
                why = f"{table.name} is not understood: {printable(str(error))}"
                problems.append(Record(f"line {number}", None, (), why))
            else:
                captions.setdefault(file_name, []).extend(texts)
    except OSError as error:
        raise UserError(f"{table} cannot be read: {error.strerror}", "Check its permissions") from None
    folder = _folder_of(table.parent, captions)
    for file_name, texts in captions.items():
        place = inside(folder, file_name)
        problem = "" if place else f"its file name leads out of the folder: {printable(file_name[:80])}"
        yield Record(printable(file_name), place, tuple(texts), problem)
    yield from problems


def _folder_of(folder: Path, names: Iterable[str]) -> Path:
    """The folder that the names are relative to: the first in which the first image is."""
    first = next((name for name in names if inside(folder, name)), "")
    try:
        return next((folder / inner for inner in IMAGE_FOLDERS if first and (folder / inner / first).is_file()), folder)
    except (OSError, ValueError):  # no file can have that name
        return folder


def _understood(entry: Any) -> tuple[str, list[str]]:
    if not isinstance(entry, Mapping):
        raise TypeError("no object")
    keys = [key for key in entry if isinstance(key, str)]
    file_key, text_key = column_of(keys, FILE_COLUMNS), column_of(keys, CAPTION_COLUMNS)
    if file_key is None or text_key is None:
        raise ValueError(f"no {CAPTION_COLUMNS[0] if file_key else FILE_COLUMNS[0]}")
    file_name, text = entry[file_key], entry[text_key]
    texts = [text] if isinstance(text, str) else text
    if not isinstance(file_name, str) or not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        raise TypeError(f"{file_key} and {text_key} must be strings")
    return file_name, texts


def _entries(table: Path) -> Iterator[tuple[int, Any]]:
    """Number and content of each line: a mapping, or the error for a line that is not understood."""
    if table.suffix != ".jsonl":
        yield from _rows(table)
        return
    with table.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(MOST_LINE_BYTES), b""), start=1):
            if not line.strip():
                continue
            try:
                if len(line) == MOST_LINE_BYTES:
                    raise ValueError(f"a line of more than {MOST_LINE_BYTES:,} bytes")
                yield number, json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:
                yield number, error


def _rows(table: Path) -> Iterator[tuple[int, Any]]:
    with table.open("rb") as file:
        lines = (
            # Bytes that are not UTF-8 become lone surrogates here, by which their rows are known.
            line.decode("utf-8-sig" if number == 0 else "utf-8", "surrogateescape")
            for number, line in enumerate(iter(lambda: file.readline(MOST_LINE_BYTES), b""))
        )
        header = next(lines, "")
        names = _cells(header)
        reader = csv.reader(lines, delimiter=_delimiter(header), skipinitialspace=True)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield reader.line_num + 1, ValueError(str(error))
                continue
            if any(cell.strip() for cell in cells):
                row = dict(zip(names, (cell.strip() for cell in cells), strict=False))
                wrong = any("\udc80" <= character <= "\udcff" for cell in cells for character in cell)
                yield reader.line_num + 1, ValueError("not UTF-8") if wrong else row


def _cells(header: str) -> list[str]:
    """The names of columns; none if the line is no CSV."""
    try:
        return [name.strip() for name in next(csv.reader([header], delimiter=_delimiter(header)), [])]
    except csv.Error:  # such as a carriage return outside quotes
        return []


def _delimiter(header: str) -> str:
    return max(",\t;|", key=header.count)

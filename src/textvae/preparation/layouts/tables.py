"""Tables with images in them: Parquet files, as the Hugging Face hub has them, and Arrow files."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textvae.preparation.decode import ImageBytes
from textvae.preparation.layouts.names import (
    CAPTION_COLUMNS,
    FILE_COLUMNS,
    IMAGE_COLUMNS,
    SPLITS,
    column_of,
    folders,
    split_of_file,
)  # fmt: skip
from textvae.preparation.packed import TablePlace, arrow, arrow_batches
from textvae.preparation.record import MOST_CAPTION_BYTES, Record, inside
from textvae.utils.errors import UserError
from textvae.utils.printable import printable

ENDINGS = (".parquet", ".arrow")
ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Tables:
    """A folder of .parquet or .arrow files; a split is told by a file's name, or by the folder that it is in."""

    TITLE: ClassVar[str] = "tables of images with captions"
    EXAMPLE: ClassVar[str] = "data/train-00000-of-00001.parquet with the columns image and text; or .arrow files"

    folder: Path

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Whether there are such files."""
        return any(name.endswith(ENDINGS) for _, files in folders(folder) for name in files)

    def splits(self) -> dict[str, Iterable[Record]]:
        """See ``Layout.splits``."""
        found: dict[str, list[Path]] = {}
        for parts, files in folders(self.folder):
            # Temporary files of the datasets library, and others of its formats.
            for name in (name for name in files if name.endswith(ENDINGS) and not name.startswith("cache-")):
                named = next((SPLITS[part.casefold()] for part in parts if part.casefold() in SPLITS), None)
                found.setdefault(named or split_of_file(name), []).append(self.folder.joinpath(*parts, name))
        return {split: TableFiles(tuple(paths)) for split, paths in found.items()}


@dataclass(frozen=True)
class TableFiles:
    """The records of some files, one a row."""

    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[Record]:
        for path in self.paths:
            yield from read_file(path)


@dataclass(frozen=True)
class _Columns:
    image: str
    embedded: bool
    """Whether the column holds images, not the names of their files."""
    caption: str
    class_names: tuple[str, ...]
    """If the captions are the numbers of classes: their names."""


def read_file(path: Path) -> Iterator[Record]:
    """The rows of one file. Images are located, not read.

    Raises:
        UserError: pyarrow is not installed, the file cannot be read, or it has no columns of images and of captions.
    """
    try:
        schema = _schema(path)
        columns = _columns(path, schema)
        read = [columns.caption] if columns.embedded else [columns.caption, columns.image]
        for group, start, rows in _groups(path, read):
            for offset, row in enumerate(rows):
                yield _record(path, columns, group, start + offset, row)
    except UserError:
        raise
    except Exception as error:
        # pyarrow's errors are of many classes, and a damaged file gives any of them.
        raise UserError(
            f"{path} cannot be read: {printable(str(error).split(chr(10))[0][:120])}", "Copy or download it again"
        ) from None


def _record(path: Path, columns: _Columns, group: int, number: int, row: dict[str, Any]) -> Record:
    key = printable(f"{path.stem}/{group}/{number}")
    value = row[columns.caption]
    if columns.class_names and isinstance(value, int):
        value = columns.class_names[value] if 0 <= value < len(columns.class_names) else None
    texts = [value] if isinstance(value, str) else [text for text in value or () if isinstance(text, str)]
    if any(len(text) > MOST_CAPTION_BYTES for text in texts):
        return Record(key, None, (), f"its caption has more than {MOST_CAPTION_BYTES:,} characters")
    place: ImageBytes | None = TablePlace(str(path), columns.image, group, number)
    if not columns.embedded:
        place = inside(path.parent, row[columns.image] or "")
    return Record(key, place, tuple(texts), "" if place else "its file name leads out of the folder")


def _schema(path: Path) -> Any:
    if path.suffix == ".parquet":
        return arrow("parquet").ParquetFile(path).schema_arrow
    batches = arrow_batches(str(path))
    return batches[0].schema if batches else arrow().schema([])


def _groups(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, int, list[dict[str, Any]]]]:
    """Group, number of the first row in it, and rows, a few at a time."""
    if path.suffix == ".parquet":
        file = arrow("parquet").ParquetFile(path, pre_buffer=False)
        for group in range(file.num_row_groups):
            start = 0
            for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=list(columns)):
                rows = batch.to_pylist()
                yield group, start, rows
                start += len(rows)
    else:
        for group, batch in enumerate(arrow_batches(str(path))):
            for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                yield group, start, batch.select(list(columns)).slice(start, ROWS_AT_ONCE).to_pylist()


def _columns(path: Path, schema: Any) -> _Columns:
    types = arrow("types")
    class_names = _class_names(schema)

    def is_images(kind: Any) -> bool:
        return (types.is_struct(kind) and kind.get_field_index("bytes") >= 0) or _is_bytes(types, kind)

    def is_text(kind: Any) -> bool:
        return bool(types.is_string(kind) or types.is_large_string(kind))

    fields = {name: schema.field(name).type for name in schema.names}
    images = [name for name, kind in fields.items() if is_images(kind)]
    lists = {name for name, kind in fields.items() if types.is_list(kind) or types.is_large_list(kind)}
    texts = [
        name
        for name, kind in fields.items()
        if is_text(kind) or (name in lists and is_text(kind.value_type)) or name in class_names
    ]
    image = column_of(images, IMAGE_COLUMNS) or next(iter(images), None)
    embedded = image is not None
    if image is None:
        image = column_of([name for name in texts if name not in lists], FILE_COLUMNS)
    others = [name for name in texts if name != image]
    caption = column_of(others, CAPTION_COLUMNS) or next((name for name in others if name in class_names), None)
    if caption is None and len(others) == 1:
        caption = others[0]
    if image is None or caption is None:
        raise UserError(
            f"{path} has no column of {'images' if image is None else 'captions'}; "
            f"its columns: {printable(', '.join(fields)) or 'none'}",
            f"Name the columns {IMAGE_COLUMNS[0]} and {CAPTION_COLUMNS[0]}",
        )
    return _Columns(image, embedded, caption, class_names.get(caption, ()))


def _is_bytes(types: Any, kind: Any) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _class_names(schema: Any) -> dict[str, tuple[str, ...]]:
    """The names of the classes of each column that holds their numbers, as the datasets library declares them."""
    try:
        declared = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            name: tuple(map(str, feature["names"]))
            for name, feature in declared.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}

"""Images within compressed tars and within tables: read in order, so that little is unpacked twice."""

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from textvae.preparation.decode import MOST_BYTES
from textvae.utils.errors import UserError
from textvae.utils.pictures import Unreadable

UNPACKERS: Mapping[str, Callable[[str], Any]] = {
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.bz2": bz2.open,
    ".tar.xz": lzma.open,
}
"""What opens a compressed tar, by the ending of its name."""

ROWS_AT_ONCE = 16


def ending_of(name: str) -> str | None:
    """The key of ``UNPACKERS`` that a file's name ends with; None for other files."""
    return next((ending for ending in UNPACKERS if name.casefold().endswith(ending)), None)


def unpacked(path: str | os.PathLike[str]) -> io.BufferedIOBase:
    """The unpacked content of a compressed tar, which can be sought in; backwards, it is unpacked anew.

    Raises:
        OSError: it cannot be opened.
    """
    opened: io.BufferedIOBase = UNPACKERS[ending_of(str(path)) or ".tar.gz"](str(path))
    return opened


@dataclass(frozen=True)
class PackedPlace:
    """An image within a compressed tar."""

    path: str
    start: int
    """In the unpacked tar."""
    size: int
    """Bytes."""

    def read(self) -> bytes:
        """See ``ImageBytes``. A process keeps the tar that it read last open, and goes on from there."""
        if self.size > MOST_BYTES:
            raise Unreadable(f"too large: a file of {self.size:,} bytes")
        try:
            file = _kept_open(self.path)
            file.seek(self.start)
            return file.read(self.size)
        except Exception as error:
            # Each of the formats has its own errors for damaged content, EOFError and zlib.error among them.
            _kept_open.cache_clear()
            raise Unreadable(f"cannot be unpacked: {type(error).__name__}") from None


@lru_cache(maxsize=1)
def _kept_open(path: str) -> io.BufferedReader:
    raw: Any = unpacked(path)
    return io.BufferedReader(raw)


@dataclass(frozen=True)
class TablePlace:
    """An image in a row of a Parquet or Arrow file."""

    path: str
    column: str
    group: int
    """The row group of a Parquet file, or the record batch of an Arrow file."""
    row: int
    """Within the group."""

    def read(self) -> bytes:
        """See ``ImageBytes``. A process keeps the rows that it read last, and goes on from there."""
        try:
            value = _kept_rows(self.path, self.column, self.group).at(self.row)
        except UserError:
            raise
        except Exception as error:
            # pyarrow's errors are of many classes, and a damaged file gives any of them.
            _kept_rows.cache_clear()
            raise Unreadable(f"cannot be read from its table: {type(error).__name__}") from None
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise Unreadable("no image in this row")
        if len(content) > MOST_BYTES:
            raise Unreadable(f"too large: a file of {len(content):,} bytes")
        return content


class _Rows:
    """The rows of one group, read forwards a few at a time: images of a whole group may exceed the memory."""

    def __init__(self, path: str, column: str, group: int) -> None:
        self.source = path, column, group
        self.start, self.batch, self.left = 0, [], iter(())  # type: int, list[Any], Iterator[list[Any]]
        self._restart()

    def at(self, row: int) -> Any:
        """The value of a row."""
        if row < self.start:
            self._restart()
        while row >= self.start + len(self.batch):
            self.start += len(self.batch)
            self.batch = next(self.left, [])
            if not self.batch:
                raise IndexError(row)
        return self.batch[row - self.start]

    def _restart(self) -> None:
        self.start, self.batch, self.left = 0, [], _batches(*self.source)


@lru_cache(maxsize=1)
def _kept_rows(path: str, column: str, group: int) -> _Rows:
    return _Rows(path, column, group)


def _batches(path: str, column: str, group: int) -> Iterator[list[Any]]:
    if path.endswith(".parquet"):
        table = arrow("parquet").ParquetFile(path, pre_buffer=False)
        for batch in table.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=[column]):
            yield batch.column(0).to_pylist()
    else:
        rows = arrow_batches(path)[group]
        values = rows.column(rows.schema.get_field_index(column))
        for start in range(0, len(values), ROWS_AT_ONCE):
            yield values.slice(start, ROWS_AT_ONCE).to_pylist()


@lru_cache(maxsize=1)
def arrow_batches(path: str) -> list[Any]:
    """The record batches of an Arrow file, mapped into memory: nothing is copied until it is used.

    Raises:
        pyarrow.ArrowInvalid: it is no Arrow file, or a damaged one.
    """
    pyarrow = arrow()
    mapped = pyarrow.memory_map(path)
    try:
        batches = list(pyarrow.ipc.open_stream(mapped))
    except pyarrow.ArrowInvalid:
        file = pyarrow.ipc.open_file(mapped)
        batches = [file.get_batch(number) for number in range(file.num_record_batches)]
    for batch in batches:
        batch.validate(full=True)  # a wrong offset in a file of others would lead out of the memory
    return batches


def arrow(module: str = "") -> Any:
    """pyarrow, or a module of it.

    Raises:
        UserError: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(f"pyarrow.{module}" if module else "pyarrow")
    except ImportError:
        raise UserError("Parquet and Arrow files need pyarrow", "pip install 'textvae[parquet]'") from None

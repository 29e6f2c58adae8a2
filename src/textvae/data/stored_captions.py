"""Captions in an array of bytes, one after another: they are mapped, and each is read when it is asked for."""

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

READ_AT_ONCE = 4096
"""Captions that are in memory while all of them are passed over."""


class StoredCaptions(Sequence[str]):
    """A sequence of captions of which none is kept in memory."""

    def __init__(self, texts: UInt8[Tensor, "bytes"], ends: Int64[Tensor, "captions"]) -> None:
        """Checks that the captions fill the bytes.

        Args:
            texts: all captions in UTF-8, one after another. What is no UTF-8 is read as U+FFFD.
            ends: where each caption ends.

        Raises:
            ValueError: the captions do not end where they should.
        """
        before = 0
        for some in torch.split(ends, 1 << 16):  # they may be in a mapped file
            if len(some) and (int(some[0]) < before or bool((some.diff() < 0).any())):
                raise ValueError("a caption ends before it begins")
            before = int(some[-1]) if len(some) else before
        if before != len(texts):
            raise ValueError(f"the captions end after {before:,} bytes, there are {len(texts):,}")
        self.texts, self.ends = texts, ends

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        numbers = range(len(self))[place]
        if isinstance(numbers, int):
            return self._read(numbers, numbers + 1)[0]
        if numbers.step == 1:
            return self._read(numbers.start, numbers.stop)
        return [self[number] for number in numbers]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), READ_AT_ONCE):
            yield from self._read(start, min(start + READ_AT_ONCE, len(self)))

    def _read(self, start: int, stop: int) -> list[str]:
        """The captions from ``start`` to ``stop - 1``."""
        if start >= stop:
            return []
        first = int(self.ends[start - 1]) if start else 0
        ends = (self.ends[start:stop] - first).tolist()
        content = self.texts[first : first + ends[-1]].numpy().tobytes()
        return [content[a:b].decode("utf-8", "replace") for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def stored(captions: Iterable[str]) -> StoredCaptions:
    """The same captions as bytes, in memory."""
    texts = [caption.encode() for caption in captions]
    content = torch.frombuffer(bytearray(b"".join(texts)) or bytearray(1), dtype=torch.uint8)
    ends = torch.tensor([len(text) for text in texts], dtype=torch.int64).cumsum(0)
    return StoredCaptions(content[: int(ends[-1]) if len(ends) else 0], ends)

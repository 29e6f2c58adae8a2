"""Keyed permutations: the order in which a pass over a data set visits its images."""

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from textvae.utils.philox import Words, as_words, philox, rows
from textvae.utils.random import Purpose, counter_of

LARGEST_SORTED = 1_000_000
"""Up to this many numbers an order is made by sorting random numbers, which takes about 30 bytes for each."""
_ROUNDS = 8
_CHUNK = 1 << 15
"""Positions whose numbers are computed together."""


class Permutation:
    """The numbers from 0 to ``count - 1`` in random order, a part of which can be read from any position on.

    Above a million numbers nothing is stored: the number at a position is computed by a Feistel network, as in format
    preserving encryption (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). The network permutes the
    next power of two, and a number that is too large is permuted again until it is not.
    """

    def __init__(
        self,
        seed: int,
        count: int,
        number: int = 0,
        largest_sorted: int = LARGEST_SORTED,
        purpose: Purpose = "order",
    ) -> None:
        """Each ``number`` and each ``purpose`` give another order; ``largest_sorted`` is for tests."""
        self._seed, self._count, self._number, self._purpose = seed, count, number, purpose
        self._sorted: Tensor | None = None
        if count <= largest_sorted:
            words = rows([seed], counter_of(purpose, 0, number), np.zeros(1, np.int64), 2 * count, np.uint32, as_words)
            self._sorted = torch.from_numpy(words.view("<u8")[0].argsort(kind="stable"))
        self._chunk: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return self._count

    def part(self, start: int, stop: int) -> Int64[Tensor, "part"]:
        """The numbers at the positions from ``start`` to ``stop - 1``, or to the last one."""
        start, stop = min(start, self._count), min(stop, self._count)
        if self._sorted is not None:
            return self._sorted[start:stop]
        if start == stop:
            return torch.zeros(0, dtype=torch.int64)
        parts = [self._of_chunk(chunk) for chunk in range(start // _CHUNK, -(-stop // _CHUNK))]
        first = start - start // _CHUNK * _CHUNK
        return torch.from_numpy(np.concatenate(parts)[first : first + stop - start])

    def _of_chunk(self, chunk: int) -> NDArray[np.int64]:
        if self._chunk[0] != chunk:
            positions = np.arange(chunk * _CHUNK, min((chunk + 1) * _CHUNK, self._count), dtype=np.uint64)
            self._chunk = (chunk, self._permuted(positions))
        return self._chunk[1]

    def _permuted(self, positions: Words) -> NDArray[np.int64]:
        found = self._network(positions)
        while len(outside := np.flatnonzero(found >= self._count)):
            found[outside] = self._network(found[outside])
        return found.astype(np.int64)

    def _network(self, numbers: Words) -> Words:
        """A permutation of the numbers below the next power of two."""
        bits = max((self._count - 1).bit_length(), 2)
        low, high = bits // 2, bits - bits // 2
        key = np.array([[self._seed & 0xFFFFFFFF], [self._seed >> 32 & 0xFFFFFFFF]], np.uint64)
        left, right = numbers >> np.uint64(low), numbers & np.uint64((1 << low) - 1)
        counter = np.zeros((4, len(numbers)), np.uint64)
        for number in range(_ROUNDS):
            # The half that is replaced is the upper one in even rounds, whose width the next round's other half has.
            width = high if number % 2 == 0 else low
            counter[0] = right
            counter[1], counter[3] = counter_of(self._purpose, 1 + number, self._number)
            left, right = right, left ^ philox(key, counter)[0] & np.uint64((1 << width) - 1)
        return left << np.uint64(low) | right

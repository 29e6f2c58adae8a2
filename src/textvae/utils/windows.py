"""The order of a pass over a data set in parts, of which a few are at hand at a time."""

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from textvae.utils.permutation import Permutation


class WindowedOrder:
    """The numbers of all rows in random order, window by window.

    The parts are in random order; a window is a few of them that follow each other, whose rows are in random order.
    Everything is a function of (seed, epoch), so any position can be computed without those before it.
    """

    def __init__(self, seed: int, sizes: Sequence[int], epoch: int, window: int) -> None:
        """``sizes`` are the numbers of rows of the parts, ``window`` is the number of parts in one."""
        self._sizes = torch.tensor(sizes, dtype=torch.int64)
        self._starts = self._sizes.cumsum(0) - self._sizes
        self.windows = self._windows(seed, epoch, window)
        """The numbers of the parts of each window."""
        self.next = self._windows(seed, epoch + 1, window)[0]
        """The parts of the first window of the next epoch."""
        self.window_of = torch.zeros(len(sizes), dtype=torch.int64)
        """The window of each part."""
        for number, parts in enumerate(self.windows):
            self.window_of[parts] = number
        self._ends = torch.tensor([int(self._sizes[parts].sum()) for parts in self.windows]).cumsum(0)
        self._first_key, self._seed = epoch * len(self.windows), seed
        self._latest: tuple[int, Permutation] = (-1, Permutation(0, 1))

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _windows(self, seed: int, epoch: int, window: int) -> list[Int64[Tensor, "parts"]]:
        parts = Permutation(seed, len(self._sizes), epoch, purpose="parts").part(0, len(self._sizes))
        return list(torch.split(parts, window))

    def part(self, start: int, stop: int) -> Int64[Tensor, "part"]:
        """The numbers at the positions from ``start`` to ``stop - 1``, or to the last one."""
        start, stop = min(start, len(self)), min(stop, len(self))
        found = [torch.zeros(0, dtype=torch.int64)]
        while start < stop:
            window = int(torch.searchsorted(self._ends, start, right=True))
            end = int(self._ends[window])
            before = int(self._ends[window - 1]) if window else 0
            found.append(self._rows(window, start - before, min(stop, end) - before))
            start = min(stop, end)
        return torch.cat(found)

    def _rows(self, window: int, start: int, stop: int) -> Int64[Tensor, "rows"]:
        parts = self.windows[window]
        ends = self._sizes[parts].cumsum(0)
        if self._latest[0] != window:
            key = self._first_key + window
            self._latest = window, Permutation(self._seed, int(ends[-1]), key, purpose="window")
        places = self._latest[1].part(start, stop)
        which = torch.searchsorted(ends, places, right=True)
        return self._starts[parts][which] + places - (ends - self._sizes[parts])[which]

"""Rows computed batch by batch, with a progress line; processes may share the batches."""

from collections.abc import Callable
from typing import TypeVar

from textvae.utils.processes import Processes
from textvae.utils.progress import ProgressLine

T = TypeVar("T")


def in_batches(group: Processes, count: int, size: int, make: Callable[[slice], T], title: str) -> list[T]:
    """What ``make`` returns for each batch of rows, in their order.

    Processes deal out the batches, which are the same for any number of processes, so that results are, too. Each
    process gets all of them.

    Args:
        group: the processes, all of which make the same call.
        count: rows.
        size: rows in a batch; the last may have fewer.
        make: computes the batch of these rows.
        title: of the progress line, which counts images.
    """
    with ProgressLine(title, count, "images") as progress:

        def batch(number: int) -> T:
            made = make(slice(size * number, min(size * (number + 1), count)))
            progress.advance(min(size * group.size, count - size * number))
            return made

        return group.deal(-(-count // size), batch)

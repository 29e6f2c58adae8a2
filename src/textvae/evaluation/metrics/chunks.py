"""Splits large tensors into chunks: memory-mapped images, converted to floating point, may exceed the memory."""

from collections.abc import Iterator

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

MAX_ELEMENTS = 2**22
"""Elements of one chunk: 32 MB in float64."""
MAX_ROWS = 1024


def chunk_rows(rows: Shaped[Tensor, "n *rest"]) -> int:
    """How many rows of a tensor fit in one chunk; at least one."""
    return min(max(MAX_ELEMENTS // max(rows[:1].numel(), 1), 1), MAX_ROWS)


def chunks(rows: Shaped[Tensor, "n *rest"]) -> Iterator[Tensor]:
    """Consecutive views of at most ``chunk_rows`` rows each."""
    yield from torch.split(rows, chunk_rows(rows))


def mean_of_rows(rows: Shaped[Tensor, "n *rest"]) -> Float64[Tensor, "*rest"]:
    """The mean over rows, summed in float64; exact for 8-bit pixels."""
    total = torch.zeros(rows.shape[1:], dtype=torch.float64, device=rows.device)
    for chunk in chunks(rows):
        total += chunk.double().sum(0)
    return total / len(rows)

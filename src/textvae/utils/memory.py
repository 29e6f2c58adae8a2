"""Arrays that are larger than a share of the memory: in a temporary file, and read ahead by a thread."""

import math
import mmap
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from textvae.utils.errors import UserError
from textvae.utils.paths import data_root
from textvae.utils.processes import on_this_host

SHARE = 0.25
"""Of the memory, the share that one array of a data set may take; of a GPU's free memory, twice as much."""
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says how much memory a container may use."""

_NORESERVE = 0x4000 if sys.platform == "linux" else 0
"""Linux's flag for mappings that reserve no memory; Python knows it by name in its later versions."""


def memory() -> int:
    """Bytes of memory that this process may use: its part of the machine's, or of the container's."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in _LIMITS:
        try:
            found.append(int(limit.read_text()))
        except (OSError, ValueError):
            continue
    return min(found) // on_this_host()


def is_large(array: Tensor) -> bool:
    """Whether an array takes more than its share of the memory."""
    return array.numel() * array.element_size() > SHARE * memory()


def fits(array: Tensor, device: torch.device) -> bool:
    """Whether an array should be copied to a device as a whole."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return array.numel() * array.element_size() <= 2 * SHARE * free


def zeros(shape: Sequence[int], dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
    """Zeros: on the device, if they fit; else in memory; if they are large, in a file in the cache folder.

    The file has no name, so nothing is left of it when the process ends.

    Raises:
        UserError: there is no room for the file.
    """
    like = torch.empty(tuple(shape), dtype=dtype, device="meta")
    if device is not None and device.type == "cuda" and fits(like, device):
        return torch.zeros(tuple(shape), dtype=dtype, device=device)
    if not is_large(like):
        return torch.zeros(tuple(shape), dtype=dtype)
    size, folder = math.prod(shape) * dtype.itemsize, data_root().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            # Reserved now: a full disk would end the process when a page is written.
            os.posix_fallocate(file.fileno(), 0, size)
            mapped = np.memmap(file, np.uint8, "r+", shape=(size,))
    except OSError as error:
        raise UserError(
            f"{size / 1e9:.1f} GB cannot be stored in {folder}: {error.strerror}",
            "make room there, or set TEXTVAE_CACHE to another folder",
        ) from None
    return torch.from_numpy(mapped).view(dtype).view(tuple(shape))


def copy_on_write(rows: np.memmap[Any, Any]) -> Tensor:
    """The same rows of a file, as a tensor that can be written to; the file never changes.

    numpy's own mode "c" asks for as much memory as the file has bytes, which Linux refuses where there is less.
    """
    with Path(str(rows.filename)).open("rb") as file:
        flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", _NORESERVE)
        pages = mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    order: Literal["C", "F"] = "C" if rows.flags.c_contiguous else "F"
    return torch.from_numpy(np.ndarray(rows.shape, rows.dtype, pages, rows.offset, order=order))


class ReadAhead:
    """Rows of an array that is mapped or on another device, copied by a thread while the batch before is computed."""

    def __init__(self, read: Callable[[Int64[Tensor, "b"]], Tensor]) -> None:
        """``read`` copies the rows of some numbers."""
        self._read = read
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._next: tuple[Int64[Tensor, b], Future[Tensor]] | None = None

    def begin(self, index: Int64[Tensor, "b"]) -> None:
        """Starts to read the rows that are asked for next."""
        self._next = index, self._thread.submit(self._read, index)

    def rows(self, index: Int64[Tensor, "b"]) -> Tensor:
        """Copies of rows; they are there already if reading them was begun."""
        if self._next is not None and self._next[0].equal(index):
            return self._next[1].result()
        return self._read(index)

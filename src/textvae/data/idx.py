"""Reads IDX, the file format of MNIST and similar sets: a magic number, the dimensions, then the bytes."""

import gzip
import hashlib
import math
import zlib
from io import BufferedIOBase
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from textvae.utils.errors import UserError

MAX_BYTES = 1 << 30
"""No such file comes near a gigabyte; a header that states more is refused."""

_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, sha256: str | None = None) -> UInt8[Tensor, "..."]:
    """Reads an IDX file of unsigned bytes, gzipped or not (as its content shows; the name does not matter).

    It never unpacks more than the header states and one byte.

    Args:
        path: the file.
        sha256: checksum of the unpacked content in hexadecimal, if it is known.

    Raises:
        UserError: the file cannot be read, is broken or packed wrongly, is longer or shorter than its header
            says, or is not the one with this checksum.

    Source: the format's description on the MNIST home page.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) != _GZIP:
                # The length of an uncompressed file is checked first, so a wrong header costs no memory.
                length = file.seek(0, 2)
                file.seek(0)
                return _read(file, path, sha256, length)
            file.seek(0)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read(unpacked, path, sha256, None)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _broken(path, f"its gzip packing is damaged ({error})") from error
    except OSError as error:
        raise _broken(path, (error.strerror or str(error)).lower()) from error


def _read(stream: BufferedIOBase, path: Path, sha256: str | None, length: int | None) -> Tensor:
    magic = stream.read(4)
    if len(magic) < 4:
        raise _broken(path, "it ends within its header")
    if magic[:2] != b"\0\0" or magic[2] != _UNSIGNED_BYTE or not 1 <= magic[3] <= 4:
        raise _broken(path, f"it starts with {magic.hex()}, not with 000008 and 1 to 4 dimensions")
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise _broken(path, "it ends within its header")
    shape = [int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4)]
    promised = math.prod(shape)
    dimensions = " x ".join(map(str, shape))
    if not 0 < promised <= MAX_BYTES:
        raise _broken(path, f"its header promises {dimensions} bytes, outside 1 to {MAX_BYTES}")
    header = magic + sizes
    if length is not None and length != len(header) + promised:
        raise _broken(path, f"its header promises {dimensions} bytes, {length - len(header)} follow")
    content = _at_most(stream, promised + 1)
    if len(content) != promised:
        found = "more" if len(content) > promised else f"only {len(content)}"
        raise _broken(path, f"its header promises {dimensions} bytes, {found} follow")
    if sha256 is not None:
        digest = hashlib.sha256(header)
        digest.update(content)
        if digest.hexdigest() != sha256:
            raise _broken(path, f"its SHA-256 is {digest.hexdigest()[:12]}…, not {sha256[:12]}…")
    return torch.frombuffer(content, dtype=torch.uint8).view(shape)


def _at_most(stream: BufferedIOBase, limit: int) -> bytearray:
    # Block by block, so that nothing is allocated for bytes that never come.
    content = bytearray()
    while len(content) < limit and (block := stream.read(min(1 << 22, limit - len(content)))):
        content += block
    return content


def _broken(path: Path, why: str) -> UserError:
    return UserError(
        f"{path} cannot be read as IDX: {why}",
        "Delete the file and fetch it again: textvae data fetch NAME",
    )

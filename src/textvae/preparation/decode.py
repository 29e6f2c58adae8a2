"""Decodes image files to squares of RGB pixels. Imports no torch, so that worker processes start quickly."""

import os
import stat
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageFile, ImageOps

from textvae.utils.files import written_whole
from textvae.utils.pictures import Unreadable, check_large_enough, open_picture, plain_rgb

Fit = Literal["crop", "pad"]
"""How a picture becomes square: its central square is cut out, or it is padded with white."""

PADDED = 8
"""Pictures that are padded are first scaled down to this many times the target size, if they are larger."""

MOST_BYTES = 1 << 28
"""Larger image files are not read."""


@runtime_checkable
class ImageBytes(Protocol):
    """Where the bytes of an image are; worker processes read them."""

    @property
    def path(self) -> str:
        """The file that they are in."""

    def read(self) -> bytes:
        """The bytes.

        Raises:
            Unreadable: they cannot be read.
        """


@dataclass(frozen=True)
class Place:
    """An image in a plain file: the whole file, or a range within it (a member of a tar)."""

    path: str
    start: int = 0
    size: int | None = None
    """Bytes; None reads to the end."""

    def read(self) -> bytes:
        """The bytes.

        Raises:
            Unreadable: the file cannot be read.
        """
        try:
            # Opening a pipe without O_NONBLOCK would wait for a writer.
            with open(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                about = os.fstat(file.fileno())
                if not stat.S_ISREG(about.st_mode):
                    raise Unreadable("cannot be read: it is no regular file")
                size = about.st_size - self.start if self.size is None else self.size
                if size > MOST_BYTES:
                    raise Unreadable(f"too large: a file of {size:,} bytes")
                file.seek(self.start)
                return file.read(size)
        except (OSError, ValueError) as error:  # ValueError: the name has characters that no file name has
            reason = error.strerror if isinstance(error, OSError) else None
            raise Unreadable(f"cannot be read: {(reason or 'no such file').lower()}") from None


@dataclass(frozen=True)
class Decoded:
    """A square picture."""

    pixels: np.ndarray
    """uint8, (side, side, 3)."""
    notes: tuple[str, ...]
    """Unusual steps that were necessary, for the report."""


def decode(content: bytes, side: int, fit: Fit = "crop") -> Decoded:
    """A square of RGB pixels from the bytes of an image file.

    In this order: the first frame is taken, turned upright by its EXIF orientation, set on white if it is transparent,
    converted to RGB, made square by ``fit``, and scaled with Lanczos' filter (antialiased). A JPEG is decoded at a
    reduced size if at least twice the target size is left.

    Raises:
        Unreadable: see ``open_picture``; or the picture is tiny.
    """
    if not content:
        raise Unreadable("empty file")
    with open_picture(BytesIO(content)) as opened:
        return _square(opened, side, fit)


def _square(opened: ImageFile.ImageFile, side: int, fit: Fit) -> Decoded:
    notes = []
    width, height = opened.size
    if getattr(opened, "n_frames", 1) > 1:
        notes.append("animated: first frame taken")
    relevant = min(width, height) if fit == "crop" else max(width, height)
    check_large_enough((width, height), relevant, side)
    if opened.format == "JPEG":
        # Pillow keeps both sides at least as long as asked for.
        opened.draft("RGB", (2 * side, 2 * side))
    picture, unusual = plain_rgb(opened)
    notes += [*unusual, *([f"enlarged from {width}x{height}"] if relevant < side else [])]
    if fit == "pad":
        if max(picture.size) > PADDED * side:
            # The padded square of a long and narrow picture could be thousands of times as large as the picture.
            picture = ImageOps.contain(picture, (PADDED * side, PADDED * side), Image.Resampling.LANCZOS)
        longest = max(picture.size)
        picture = ImageOps.pad(picture, (longest, longest), color="white")
    # Cut and scaled in one pass, as ImageOps.fit does: a prepared picture is what ``read_picture`` gives.
    shorter = min(picture.size)
    left, top = (picture.width - shorter) / 2, (picture.height - shorter) / 2
    box = (left, top, left + shorter, top + shorter)
    return Decoded(np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS, box)), tuple(notes))


@dataclass(frozen=True)
class DecodeTask:
    """Images to decode, and the file for their pixels."""

    out: str
    images: tuple[tuple[ImageBytes, Fit], ...]
    side: int


def decode_chunk(task: DecodeTask) -> None:
    """Writes one chunk of a set's images: "pixels"; "kept", which images those are; "noted" and "notes", the report.

    A note that begins with "!" says why an image was skipped. The file is written whole or not at all.
    """
    pixels, kept, notes = [], [], []
    for number, (place, fit) in enumerate(task.images):
        try:
            decoded = decode(place.read(), task.side, fit)
        except Unreadable as error:
            notes.append((number, f"!{error}"))
        else:
            pixels.append(decoded.pixels)
            kept.append(number)
            notes += [(number, note) for note in decoded.notes]
    stacked = np.stack(pixels) if pixels else np.zeros((0, task.side, task.side, 3), np.uint8)
    columns: dict[str, Any] = {
        "pixels": stacked,
        "kept": np.array(kept, np.int64),
        "noted": np.array([number for number, _ in notes], np.int64),
        "notes": np.array([note for _, note in notes], np.str_),
    }
    with written_whole(Path(task.out)) as temporary, temporary.open("wb") as file:
        np.savez(file, **columns)

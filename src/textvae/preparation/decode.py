"""Any image file to a square of RGB pixels, or the reason why not. Imports no torch: its workers start at once."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from textvae.utils.files import written_whole

Fit = Literal["crop", "pad"]
"""How a picture becomes square: cut to its middle (photographs), or set on white (catalogue pictures on white, which
would lose heads and hems)."""

MAX_ENLARGEMENT = 4
"""Pictures that would have to be enlarged more than this show nothing, and are skipped."""


class Unreadable(Exception):
    """A file that gives no picture; the message says why in a few words."""


@dataclass(frozen=True)
class Place:
    """Where the bytes of an image lie: a file, or a stretch of one (a member of a tar)."""

    path: str
    start: int = 0
    size: int | None = None
    """Bytes; None reads to the end."""

    def read(self) -> bytes:
        """The bytes.

        Raises:
            Unreadable: they are not there.
        """
        try:
            with Path(self.path).open("rb") as file:
                file.seek(self.start)
                return file.read(-1 if self.size is None else self.size)
        except OSError as error:
            raise Unreadable(f"can't be read: {(error.strerror or str(error)).lower()}") from None


@dataclass(frozen=True)
class Decoded:
    """A picture, square."""

    pixels: np.ndarray
    """uint8, (side, side, 3)."""
    notes: tuple[str, ...]
    """What had to be done to it beyond the usual, for the report."""


def decode(content: bytes, side: int, fit: Fit = "crop") -> Decoded:
    """A square of RGB pixels from the bytes of an image file.

    In this order: first frame, upright by its EXIF orientation, on white where it is transparent, RGB, square by
    ``fit``, scaled with Lanczos' filter, which averages over what it shrinks. JPEG decodes at a fraction of its size
    where at least twice the target is left.

    Raises:
        Unreadable: it is no image, broken, truncated, tiny, or larger than Pillow's limit of 89 million pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Pillow warns up to twice its limit, and refuses beyond; both are refused here.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(content)) as opened:
                return _square(opened, side, fit)
    except Unreadable:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise Unreadable("too large: more pixels than Pillow's limit, a decompression bomb perhaps") from None
    except UnidentifiedImageError:
        raise Unreadable("empty file" if not content else "no image format that Pillow knows") from None
    except Exception as error:
        # Pillow's readers meet broken files with whatever their parsing stumbles over: OSError, SyntaxError,
        # struct.error, IndexError and more. One bad file of a hundred thousand must not end the work.
        line = " ".join(str(error).split()) or type(error).__name__
        raise Unreadable(f"broken: {line[:120]}") from None


def _square(opened: ImageFile.ImageFile, side: int, fit: Fit) -> Decoded:
    notes = []
    width, height = opened.size
    if getattr(opened, "n_frames", 1) > 1:
        notes.append("animated: first frame taken")
    if opened.format == "JPEG":
        # Pillow keeps both sides at least as long as asked for.
        opened.draft("RGB", (2 * side, 2 * side))
    picture: Image.Image = ImageOps.exif_transpose(opened)
    if picture is not opened and opened.getexif().get(0x0112, 1) != 1:
        notes.append("rotated by its EXIF orientation")
    relevant = min(width, height) if fit == "crop" else max(width, height)
    if relevant * MAX_ENLARGEMENT < side:
        raise Unreadable(f"tiny: {width}x{height} pixels for {side}")
    if relevant < side:
        notes.append(f"enlarged from {width}x{height}")
    if picture.mode.startswith("I"):
        # Sixteen bits of grey; Pillow's own conversion would clip them to white.
        notes.append("sixteen bits scaled to eight")
        picture = Image.fromarray((np.asarray(picture, np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        notes.append("transparent: set on white")
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    elif picture.mode not in ("RGB", "P"):
        notes.append(f"converted from {'grey' if picture.mode in ('L', '1') else picture.mode}")
    picture = picture.convert("RGB")
    if fit == "pad":
        longest = max(picture.size)
        picture = ImageOps.pad(picture, (longest, longest), color="white")
    # One pass: ImageOps.fit would do the same in Lanczos' filter, so a prepared picture is what ``read_picture`` gives.
    shorter = min(picture.size)
    left, top = (picture.width - shorter) / 2, (picture.height - shorter) / 2
    box = (left, top, left + shorter, top + shorter)
    return Decoded(np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS, box)), tuple(notes))


@dataclass(frozen=True)
class DecodeTask:
    """A chunk of images to decode into one file."""

    out: str
    places: tuple[Place, ...]
    side: int
    fit: Fit


def decode_chunk(task: DecodeTask) -> None:
    """Decodes a chunk and writes it, whole or not at all: pixels, which images they are, and what is to be reported."""
    pixels, kept, notes = [], [], []
    for number, place in enumerate(task.places):
        try:
            decoded = decode(place.read(), task.side, task.fit)
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


def start_worker(prepare: Callable[[], None] | None = None) -> None:
    """What a worker process does first: leaves Ctrl-C to its parent, and dies with it however that ends."""
    import multiprocessing
    from multiprocessing.connection import wait

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
    if prepare is not None:
        prepare()
    sys.stdout.flush()

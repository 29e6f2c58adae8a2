"""Decodes image files to squares of RGB pixels. Imports no torch, so that worker processes start quickly."""

import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from textvae.utils.files import written_whole

Fit = Literal["crop", "pad"]
"""How a picture becomes square: its central square is cut out, or it is padded with white."""

MAX_ENLARGEMENT = 4
"""Pictures that would have to be enlarged by more than this factor are skipped."""


class Unreadable(Exception):
    """The file cannot be decoded; the message gives the reason in a few words."""


@dataclass(frozen=True)
class Place:
    """Where the bytes of an image are: a file, or a range within one (a member of a tar)."""

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
            with Path(self.path).open("rb") as file:
                file.seek(self.start)
                return file.read(-1 if self.size is None else self.size)
        except OSError as error:
            raise Unreadable(f"cannot be read: {(error.strerror or str(error)).lower()}") from None


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
        Unreadable: the file is no image, is broken or truncated, or the picture is tiny or has more than 89 million
            pixels (Pillow's limit).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Pillow warns from its limit on, and refuses from twice that; both are refused here.
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
        # For broken files Pillow's readers raise whatever their parsing runs into: OSError, SyntaxError, struct.error,
        # IndexError and more. One bad file among many must not end the preparation.
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
    # Cut and scaled in one pass, as ImageOps.fit does: a prepared picture is what ``read_picture`` gives.
    shorter = min(picture.size)
    left, top = (picture.width - shorter) / 2, (picture.height - shorter) / 2
    box = (left, top, left + shorter, top + shorter)
    return Decoded(np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS, box)), tuple(notes))


@dataclass(frozen=True)
class DecodeTask:
    """Images to decode, and the file for their pixels."""

    out: str
    places: tuple[Place, ...]
    side: int
    fit: Fit


def decode_chunk(task: DecodeTask) -> None:
    """Writes one chunk of a set's images: "pixels"; "kept", which images those are; "noted" and "notes", the report.

    A note that begins with "!" says why an image was skipped. The file is written whole or not at all.
    """
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

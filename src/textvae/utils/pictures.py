"""Image files of others: which formats are read, and a picture as plain RGB. Imports no torch."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""The formats that are read, as Pillow names them. Others are refused: EPS, for one, would be run by Ghostscript."""

MAX_ENLARGEMENT = 4
"""Pictures that would have to be enlarged by more than this factor are refused."""


class Unreadable(Exception):
    """The file cannot be decoded; the message gives the reason in a few words."""


@contextmanager
def open_picture(file: Path | BytesIO, formats: Sequence[str] = FORMATS) -> Iterator[ImageFile.ImageFile]:
    """Opens an image file; what goes wrong while it is read and decoded, within the ``with``, is ``Unreadable``.

    Args:
        file: a path, or the content of a file.
        formats: the formats that are read, as Pillow names them.

    Raises:
        Unreadable: the file is in none of these formats, is broken or truncated, or the picture has more than 89
            million pixels (Pillow's limit).
    """
    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Pillow warns from its limit on, and refuses from twice that; both are refused here.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=[name for name in formats if name in Image.OPEN]) as opened:
                yield opened
    except Unreadable:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise Unreadable("too large: more pixels than Pillow's limit, a decompression bomb perhaps") from None
    except UnidentifiedImageError:
        raise Unreadable("no image of a known format") from None
    except OSError as error:
        raise Unreadable(error.strerror.lower() if error.strerror else f"broken: {_line(error)}") from None
    except Exception as error:
        # For broken files Pillow's readers raise whatever their parsing runs into: SyntaxError, struct.error,
        # IndexError and more. One bad file among many must not end a preparation.
        raise Unreadable(f"broken: {_line(error)}") from None


def _line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:120]


def plain_rgb(picture: Image.Image) -> tuple[Image.Image, list[str]]:
    """A picture as RGB: upright by its EXIF orientation, sixteen bits scaled to eight, set on white if transparent.

    Returns:
        The picture, and notes on the unusual steps that were necessary.
    """
    notes = []
    upright: Image.Image = ImageOps.exif_transpose(picture)
    if upright is not picture and picture.getexif().get(0x0112, 1) != 1:
        notes.append("rotated by its EXIF orientation")
    if upright.mode.startswith("I"):
        # Sixteen bits of grey; Pillow's own conversion would clip them to white.
        notes.append("sixteen bits scaled to eight")
        upright = Image.fromarray((np.asarray(upright, np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if upright.has_transparency_data:
        notes.append("transparent: set on white")
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    elif upright.mode not in ("RGB", "P"):
        notes.append(f"converted from {'grey' if upright.mode in ('L', '1') else upright.mode}")
    return upright.convert("RGB"), notes


def check_large_enough(size: tuple[int, int], pixels: int, side: int) -> None:
    """Checks that a picture need not be enlarged too much.

    Args:
        size: width and height of the picture.
        pixels: along that side of the picture which decides its scale.
        side: the pixels that those become.

    Raises:
        Unreadable: it would be enlarged by more than ``MAX_ENLARGEMENT``.
    """
    if pixels * MAX_ENLARGEMENT < side:
        raise Unreadable(f"tiny: {size[0]}x{size[1]} pixels for {side}")

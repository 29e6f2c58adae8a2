"""Images: labelled grids, and image files that carry how they were made. Imports no torch (pixels.py does)."""

import io
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps, PngImagePlugin

from textvae.utils.errors import UserError
from textvae.utils.files import written_whole
from textvae.utils.pictures import Unreadable, check_large_enough, open_picture, plain_rgb

PAPER = (255, 255, 255)
INK = (34, 34, 34)
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""The formats that ``save_image`` writes, by suffix."""
_DESCRIPTION = 0x010E
"""EXIF's ImageDescription, which holds the metadata of JPEG and WebP files as JSON."""
_LABEL_WIDTH = 220
MOST_LABEL = 1000
"""Characters of a label or a caption that are shown."""
MOST_PIXELS = {"JPEG": 65_500, "WEBP": 16_383}
"""The longest side that a format can hold; PNG holds any."""
MOST_EXIF = 65_500
"""Bytes of metadata that a JPEG file can hold."""
CAPTION_LINES = 4
"""Lines of a caption below a picture."""
CAPTIONED_WIDTH = 160
"""Pixels that a picture with a caption is enlarged to, at least, by a whole number."""


def pictures_of(arrays: UInt8[np.ndarray, "n h w c"]) -> list[Image.Image]:
    """Grey ("L") or colour ("RGB") PIL images of arrays with 1 or 3 channels."""
    return [Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array) for array in arrays]


def grid(rows: Sequence[Sequence[Image.Image]], names: Sequence[str] | None = None, scale: int = 2) -> Image.Image:
    """Rows of equally sized images on white, with a label to the left of each row.

    Args:
        rows: images, a row each; rows may differ in length.
        names: a label for each row, wrapped where it is long; None leaves the column of labels out.
        scale: whole-number enlargement (nearest neighbour, so that pixels stay pixels).
    """
    gap = 2 * scale
    width, height = (side * scale for side in rows[0][0].size)
    font = ImageFont.load_default(size=max(11, min(height // 3, 18)))
    labels = [] if names is None else [_wrapped(name[:MOST_LABEL], font, height) for name in names]
    margin = 0
    if labels:
        margin = int(max(font.getlength(line) for label in labels for line in label.split("\n"))) + 4 * gap
    columns = max(len(row) for row in rows)
    canvas = Image.new("RGB", (margin + columns * (width + gap) + gap, len(rows) * (height + gap) + gap), PAPER)
    pen = ImageDraw.Draw(canvas)
    for r, row in enumerate(rows):
        top = gap + r * (height + gap)
        if labels:
            pen.text((2 * gap, top + height // 2), labels[r], INK, font=font, anchor="lm")
        for c, picture in enumerate(row):
            enlarged = picture.convert("RGB").resize((width, height), Image.Resampling.NEAREST)
            canvas.paste(enlarged, (margin + gap + c * (width + gap), top))
    return canvas


def captioned(pictures: Sequence[Image.Image], captions: Sequence[str], columns: int) -> Image.Image:
    """Pictures on white, each with its caption below in at most ``CAPTION_LINES`` lines.

    Args:
        pictures: of one size each.
        captions: a caption for each picture; a long one is cut.
        columns: pictures in a row.
    """
    gap = 10
    scale = max(1, -(-CAPTIONED_WIDTH // pictures[0].width))
    width, height = (side * scale for side in pictures[0].size)
    font = ImageFont.load_default(size=13)
    line_height = int(font.getbbox("Ag")[3]) + 4
    characters = int(width / font.getlength("n"))
    cell_width, cell_height = width + gap, height + CAPTION_LINES * line_height + 2 * gap
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    canvas = Image.new("RGB", (columns * cell_width + gap, rows * cell_height + gap), PAPER)
    pen = ImageDraw.Draw(canvas)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = gap + number % columns * cell_width, gap + number // columns * cell_height
        canvas.paste(picture.convert("RGB").resize((width, height), Image.Resampling.NEAREST), (left, top))
        lines = textwrap.wrap(caption[:MOST_LABEL], characters, max_lines=CAPTION_LINES, placeholder=" ...")
        pen.text((left, top + height + gap // 2), "\n".join(lines), INK, font=font)
    return canvas


def _wrapped(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, height: int) -> str:
    """The label in lines of about ``_LABEL_WIDTH`` pixels, or of more where they would be higher than the row."""
    if font.getlength(label.replace("\n", " ")) <= _LABEL_WIDTH or "\n" in label:
        return label
    line_height = font.getbbox("Ag")[3] + 4
    most_lines = max(1, int(height // line_height))
    characters = int(_LABEL_WIDTH / font.getlength("n"))
    while len(lines := textwrap.wrap(label, characters)) > most_lines:
        characters += 8
    return "\n".join(lines)


def save_image(picture: Image.Image, path: Path, metadata: Mapping[str, str]) -> None:
    """Writes a PNG, JPEG or WebP file, as the suffix says, whole or not at all.

    ``metadata`` (prompt, seed, model, settings) goes into the file: into text chunks named ``textvae:KEY`` of a PNG,
    else into the EXIF description, as JSON.

    Raises:
        UserError: the suffix is none of ``FORMATS``, the format cannot hold the image or its metadata, or the file
            cannot be written.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UserError(
            f"{path} has no suffix of an image format that can be written", f"use one of: {', '.join(FORMATS)}"
        )
    with written_whole(path) as temporary:
        temporary.write_bytes(encode_image(picture, kind, metadata))


def encode_image(picture: Image.Image, kind: str, metadata: Mapping[str, str]) -> bytes:
    """The bytes of an image file with metadata, as ``save_image`` writes them; ``kind`` is PNG, JPEG or WEBP.

    Raises:
        UserError: the format cannot hold so large an image or so much metadata.
    """
    if max(picture.size) > MOST_PIXELS.get(kind, max(picture.size)):
        raise UserError(
            f"{kind} holds {MOST_PIXELS[kind]:,} pixels a side at most, not {max(picture.size):,}",
            "write a .png, a smaller scale or fewer images",
        )
    options: dict[str, object] = {"optimize": True}
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for key, value in metadata.items():
            chunks.add_itxt(f"textvae:{key}", value)
        options["pnginfo"] = chunks
    else:
        exif = Image.Exif()
        description = json.dumps({f"textvae:{key}": value for key, value in metadata.items()})
        if kind == "JPEG" and len(description) > MOST_EXIF:
            raise UserError("the prompts are too long for the metadata of a JPEG file", "write a .png")
        exif[_DESCRIPTION] = description
        options |= {"exif": exif, "quality": 95}
    file = io.BytesIO()
    picture.save(file, format=kind, **options)
    return file.getvalue()


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata that ``save_image`` wrote; empty for images of another origin.

    Raises:
        UserError: the file is missing or not an image.
    """
    try:
        with open_picture(path) as picture:
            text = dict(getattr(picture, "text", {}))
            if not text:
                text = _described(picture.getexif().get(_DESCRIPTION))
    except Unreadable as error:
        raise _unreadable(path, error) from None
    return {key.removeprefix("textvae:"): str(value) for key, value in text.items() if key.startswith("textvae:")}


def _described(description: Any) -> dict[str, Any]:
    """The metadata in an EXIF description; empty where another program wrote it."""
    try:
        values = json.loads(description)
    except (TypeError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def load_picture(path: Path) -> Image.Image:
    """An image file as RGB, upright, set on white where it is transparent.

    Raises:
        UserError: the file is missing, not an image, or damaged.
    """
    try:
        with open_picture(path) as opened:
            return plain_rgb(opened)[0]
    except Unreadable as error:
        raise _unreadable(path, error) from None


def fitted(image: Image.Image, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "h w c"]:
    """The pixels of an image as a model of that shape (channels, height, width) sees it: cropped to its middle, scaled.

    Raises:
        UserError: the image is tiny.
    """
    channels, height, width = shape
    try:
        check_large_enough(image.size, min(image.size), min(width, height))
    except Unreadable as error:
        raise UserError(f"a picture is {error}", "give a larger picture") from None
    upright = plain_rgb(image)[0].convert("L" if channels == 1 else "RGB")
    scaled = ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)
    return np.array(scaled).reshape(height, width, channels)


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} can't be read as a picture: {error}", "give a PNG or JPEG file")

"""Tensors to pictures: grids, lettering, and PNG files that say how they were made."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps, PngImagePlugin
from torch import Tensor

from textvae.utils.errors import UserError
from textvae.utils.files import written_whole

PAPER = (255, 255, 255)
INK = (34, 34, 34)


def to_uint8(images: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    """Pixels in [0, 1] to 0..255, rounded to nearest: the one place where generated pixels are quantised."""
    return images.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8).cpu()


def to_pil(images: UInt8[Tensor, "n c h w"]) -> list[Image.Image]:
    """Grey ("L") or colour ("RGB") pictures of 1 or 3 channels."""
    if images.shape[1] not in (1, 3):
        raise ValueError(f"pictures have 1 or 3 channels, these have {images.shape[1]}")
    arrays = images.permute(0, 2, 3, 1).contiguous().numpy()
    return [Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array) for array in arrays]


def grid(rows: Sequence[Sequence[Image.Image]], names: Sequence[str] | None = None, scale: int = 2) -> Image.Image:
    """Rows of equally sized pictures on white, each row lettered with its name.

    Args:
        rows: pictures, a row each; rows may differ in length.
        names: a text for each row, of one line or more, drawn to its left; None leaves the column out.
        scale: whole-number enlargement (nearest neighbour, so that pixels stay pixels).
    """
    gap = 2 * scale
    width, height = (side * scale for side in rows[0][0].size)
    font = ImageFont.load_default(size=max(11, min(height // 3, 18)))
    margin = 0
    if names is not None:
        margin = int(max(font.getlength(line) for name in names for line in name.split("\n"))) + 4 * gap
    columns = max(len(row) for row in rows)
    canvas = Image.new("RGB", (margin + columns * (width + gap) + gap, len(rows) * (height + gap) + gap), PAPER)
    pen = ImageDraw.Draw(canvas)
    for r, row in enumerate(rows):
        top = gap + r * (height + gap)
        if names is not None:
            pen.text((2 * gap, top + height // 2), names[r], INK, font=font, anchor="lm")
        for c, picture in enumerate(row):
            enlarged = picture.convert("RGB").resize((width, height), Image.Resampling.NEAREST)
            canvas.paste(enlarged, (margin + gap + c * (width + gap), top))
    return canvas


def save_png(picture: Image.Image, path: Path, facts: Mapping[str, str]) -> None:
    """Writes a PNG, whole or not at all, with ``facts`` (prompt, seed, model, settings) as text chunks."""
    chunks = PngImagePlugin.PngInfo()
    for key, value in facts.items():
        chunks.add_itxt(f"textvae:{key}", value)
    with written_whole(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=chunks, optimize=True)


def read_facts(path: Path) -> dict[str, str]:
    """What ``save_png`` wrote beside the pixels."""
    with Image.open(path) as picture:
        text = getattr(picture, "text", {})
    return {key.removeprefix("textvae:"): str(value) for key, value in text.items() if key.startswith("textvae:")}


def read_picture(path: Path, shape: tuple[int, int, int]) -> UInt8[Tensor, "c h w"]:
    """A picture file as a model of that shape (channels, height, width) sees it: cropped to its middle, then scaled.

    Raises:
        UserError: the file is missing, or no picture, or broken.
    """
    channels, height, width = shape
    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened).convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} can't be read as a picture: {error}", "give a PNG or JPEG file") from None
    fitted = ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted)).view(height, width, channels).permute(2, 0, 1)

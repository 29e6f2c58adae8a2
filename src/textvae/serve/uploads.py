"""Uploaded images and masks, decoded within bounds."""

import io

from PIL import Image, ImageOps

from textvae.serve.limits import APIError, Limits
from textvae.utils.pictures import Unreadable, open_picture


def decoded(data: bytes, name: str, limits: Limits) -> Image.Image:
    """An uploaded image, upright. Its size is checked before its pixels are decoded.

    Args:
        data: a PNG, JPEG or WebP file.
        name: of the field, for errors.
        limits: of the server.

    Raises:
        APIError: it is too large, of another format, or damaged.
    """
    try:
        with open_picture(io.BytesIO(data), ("PNG", "JPEG", "WEBP")) as image:
            width, height = image.size
            upright = None if width * height > limits.pixels else ImageOps.exif_transpose(image)
    except Unreadable as error:
        said = f"{name} cannot be read as a PNG, JPEG or WebP image: {error}"
        raise APIError(400, said, name, "invalid_image") from None
    if upright is None:
        said = f"{name} has {width} x {height} pixels, more than {limits.pixels:,}"
        raise APIError(413, said, name, "image_too_large")
    return upright


def hole_of(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A mask as a grey image that is white where pixels are filled in.

    As in OpenAI's API, that is where the mask is fully transparent; where a mask has no transparent pixel, its white
    pixels are filled in.

    Args:
        mask: as uploaded.
        size: width and height of the image that it belongs to.

    Raises:
        APIError: it is of another size.
    """
    if mask.size != size:
        raise APIError(400, f"the mask has {mask.size} pixels, the image {size}", "mask", "invalid_mask")
    alpha = mask.convert("RGBA").getchannel("A")
    if alpha.getextrema()[0] == 0:
        return alpha.point([255, *[0] * 255])
    return mask.convert("L")

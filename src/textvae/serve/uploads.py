"""Uploaded images and masks, decoded within bounds."""

import io

from PIL import Image, ImageOps, UnidentifiedImageError

from textvae.serve.limits import APIError, Limits


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
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            width, height = image.size
            if width * height > limits.pixels:
                raise APIError(
                    413, f"{name} has {width} x {height} pixels, more than {limits.pixels:,}", name, "image_too_large"
                )
            return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        # The text of some errors of Pillow names an object in memory, which tells a caller nothing.
        reason = "it is no PNG, JPEG or WebP file" if isinstance(error, UnidentifiedImageError) else str(error)
        raise APIError(400, f"{name} cannot be read as an image: {reason}", name, "invalid_image") from None


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

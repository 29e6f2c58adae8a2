"""Images as tensors: from pictures and files to pixels in [0, 255] or [0, 1], and back."""

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from textvae.utils.images import fitted, load_picture, pictures_of


def to_uint8(images: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    """Pixels in [0, 1] as 0..255 on the CPU, rounded to nearest: the one place where generated pixels are quantised."""
    return images.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8).cpu()


def to_pil(images: UInt8[Tensor, "n c h w"]) -> list[Image.Image]:
    """Grey ("L") or colour ("RGB") PIL images of tensors with 1 or 3 channels.

    Raises:
        ValueError: another number of channels.
    """
    if images.shape[1] not in (1, 3):
        raise ValueError(f"images have 1 or 3 channels, these have {images.shape[1]}")
    return pictures_of(images.permute(0, 2, 3, 1).contiguous().numpy())


def unit_interval(images: UInt8[Tensor, "n c h w"], device: torch.device) -> Float[Tensor, "n c h w"]:
    """Pixels in [0, 1] on the device, in channels-last layout, as models take them."""
    return images.to(device).float().div_(255).contiguous(memory_format=torch.channels_last)


def read_picture(path: Path, shape: tuple[int, int, int]) -> UInt8[Tensor, "c h w"]:
    """An image file as a model of that shape (channels, height, width) sees it: cropped to its middle, then scaled.

    Raises:
        UserError: the file is missing, not an image, damaged, or tiny.
    """
    return fit_image(load_picture(path), shape)


def fit_image(image: Image.Image, shape: tuple[int, int, int]) -> UInt8[Tensor, "c h w"]:
    """A PIL image as a tensor of that shape (channels, height, width), cropped to its middle and scaled.

    Raises:
        UserError: the image is tiny.
    """
    return torch.from_numpy(fitted(image, shape)).permute(2, 0, 1)

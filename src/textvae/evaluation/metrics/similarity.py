"""How similar a reconstruction is to its image: squared error, PSNR, SSIM, each per image.

They compare an image with its own reconstruction. A generated image has no counterpart, so they do not apply to it.
"""

from jaxtyping import Float, Float64
from torch import Tensor

from textvae.models.ssim import WINDOW, structural_similarity

HIGHEST_PSNR = 100.0
"""Decibels for (nearly) identical images, whose PSNR would be infinite, and every mean with it."""


def mse_sum(images: Float[Tensor, "n c h w"], reference: Float[Tensor, "n c h w"]) -> Float64[Tensor, "n"]:
    """The sum of squared errors over pixels and channels, pixels in [0, 1]: "MSE" in papers a and b.

    Raises:
        ValueError: a pixel is outside [0, 1]; the same holds for all functions of this file.
    """
    return _squared_error(images, reference).sum(1)


def mse(images: Float[Tensor, "n c h w"], reference: Float[Tensor, "n c h w"]) -> Float64[Tensor, "n"]:
    """The mean squared error over pixels and channels, pixels in [0, 1]."""
    return _squared_error(images, reference).mean(1)


def psnr(images: Float[Tensor, "n c h w"], reference: Float[Tensor, "n c h w"]) -> Float64[Tensor, "n"]:
    """The peak signal-to-noise ratio in decibels, at most 100, of each image's own mean squared error.

    The usual figure is the mean of these over images. The PSNR of the mean error is lower.
    """
    lowest = 10 ** (-HIGHEST_PSNR / 10)
    return -10 * _squared_error(images, reference).mean(1).clamp_min(lowest).log10()


def ssim(images: Float[Tensor, "n c h w"], reference: Float[Tensor, "n c h w"]) -> Float64[Tensor, "n"]:
    """Structural similarity (Wang et al. 2004, section III-B), at most 1, averaged over pixels and channels.

    Gaussian window of 11 pixels and σ = 1.5, constants 0.01² and 0.03², weighted variances without Bessel's
    correction. Only windows inside the image count, as in the authors' code and in scikit-image, with which this agrees
    to rounding (``gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1``). Libraries that pad
    the border give different values, noticeably so at 28 pixels.

    Raises:
        ValueError: a pixel is outside [0, 1], or a side is shorter than 11 pixels.
    """
    x, y = _checked(images, reference)
    if min(x.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs sides of {WINDOW} pixels or more, not {x.shape[-2]}x{x.shape[-1]}")
    return structural_similarity(x, y)


def _squared_error(images: Tensor, reference: Tensor) -> Float64[Tensor, "n pixels"]:
    x, y = _checked(images, reference)
    return (x - y).square().flatten(1)


def _checked(images: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    if images.shape != reference.shape:
        raise ValueError(f"images are {tuple(images.shape)}, their reference is {tuple(reference.shape)}")
    for pixels in (images, reference):
        # Written so that NaN fails too.
        if pixels.numel() and not (pixels.min() >= 0 and pixels.max() <= 1):
            raise ValueError("pixels must lie in [0, 1]")
    return images.double(), reference.double()

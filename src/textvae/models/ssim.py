"""Structural similarity (SSIM): a metric of the evaluation, and a term of paper c's objective."""

import torch
from jaxtyping import Float
from torch import Tensor

WINDOW = 11
"""Side of the window in pixels; images must not be smaller."""
SIGMA = 1.5


def structural_similarity(images: Float[Tensor, "n c h w"], reference: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
    """SSIM of Wang et al. 2004, section III-B, for pixels in [0, 1]; at most 1, averaged over pixels and channels.

    Gaussian window of 11 pixels and σ = 1.5, constants 0.01² and 0.03², variances weighted and not corrected; only
    windows inside the image are used. Differentiable; computed in the precision of its arguments even under autocast,
    since a variance is a small difference of large numbers.
    """
    with torch.autocast(images.device.type, enabled=False):
        down, across = (_window(side, images) for side in images.shape[-2:])

        def local(z: Tensor) -> Tensor:
            return down @ z @ across.T

        mean_x, mean_y = local(images), local(reference)
        variances = local(images * images) - mean_x.square() + local(reference * reference) - mean_y.square()
        covariance = local(images * reference) - mean_x * mean_y
        c1, c2 = 0.01**2, 0.03**2
        similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
        similarity = similarity / ((mean_x.square() + mean_y.square() + c1) * (variances + c2))
        return similarity.flatten(1).mean(1)


def _window(side: int, like: Tensor) -> Float[Tensor, "valid side"]:
    """One axis of the Gaussian window as a banded matrix; two products are faster than a convolution at these sizes."""
    offset = torch.arange(WINDOW, dtype=like.dtype, device=like.device) - WINDOW // 2
    weights = (-0.5 * (offset / SIGMA).square()).exp()
    band = torch.zeros(side - WINDOW + 1, side, dtype=like.dtype, device=like.device)
    for row in range(len(band)):
        band[row, row : row + WINDOW] = weights / weights.sum()
    return band

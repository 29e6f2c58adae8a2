"""Layers that several families use."""

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.distributions import Bernoulli, DiagonalGaussian, Gaussian, Likelihood
from textvae.utils.random import Draws

LikelihoodName = Literal["bernoulli", "gaussian"]


def dense(*widths: int) -> nn.Sequential:
    """Linear layers of the given widths, with a ReLU after each except the last."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


LEAST_LOG_VARIANCE = -20.0
"""Lower bound of a posterior's log-variance. With much less, a sample equals its mean in fp32 and has no density;
photographs of 128 pixels and more with a learned noise scale reach -100 after a few epochs otherwise."""


class GaussianHead(nn.Linear):
    """One linear layer to the mean and log-variance of a diagonal Gaussian."""

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__(features, 2 * latent_dim)

    def forward(self, features: Float[Tensor, "*n features"]) -> DiagonalGaussian:  # type: ignore[override]
        """The Gaussian, in fp32, in which the exponential of a log-variance does not overflow."""
        mean, log_variance = super().forward(features).float().chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_variance.clamp_min(LEAST_LOG_VARIANCE))


class PixelLikelihood(nn.Module):
    """Turns the output of a decoder into p(x|z,c); holds the learned noise scale of a Gaussian."""

    def __init__(self, name: LikelihoodName) -> None:
        super().__init__()
        self.name = name
        if name == "gaussian":
            # 0.2 is near the root mean squared error after the first hundred steps.
            self.log_sigma = nn.Parameter(torch.tensor(0.2).log())

    def forward(self, logits: Float[Tensor, "n c h w"]) -> Likelihood:
        """The likelihood; its mean is the sigmoid of the logits."""
        logits = logits.float()
        if self.name == "bernoulli":
            return Bernoulli(logits)
        return Gaussian(logits.sigmoid(), self.log_sigma)


class TiledConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 2 over an image with a condition tiled over its grid and concatenated as channels.

    The tiles are not computed: their part of the output is the same at all positions except where the kernel overlaps
    the border, at the top and at the left. At 224 pixels and 512 numbers in a condition, the tiles of a batch of 64
    would take 6.6 GB, and their convolution seven times as long as the rest of the encoder.
    """

    def __init__(self, image_channels: int, condition_dim: int, features: int) -> None:
        super().__init__(image_channels + condition_dim, features, 3, stride=2, padding=1)
        self.image_channels = image_channels

    def forward(  # type: ignore[override]
        self, images: Float[Tensor, "n c h w"], condition: Float[Tensor, "n d"]
    ) -> Float[Tensor, "n features h/2 w/2"]:
        """Equal to ``F.conv2d`` of the concatenation; sides must be even, so that kernels overlap no other border."""
        image_weight, condition_weight = self.weight.tensor_split([self.image_channels], dim=1)
        features = F.conv2d(images, image_weight, self.bias, self.stride, self.padding)
        tiles = condition[:, :, None, None].expand(-1, -1, 4, 4)
        # Four results: the corner, the upper edge, the left edge and the inside, repeated to the full size.
        share = F.conv2d(tiles, condition_weight, None, self.stride, self.padding)
        height, width = features.shape[-2:]
        return features + F.pad(share, (0, width - 2, 0, height - 2), mode="replicate")


class GridAttention(nn.Module):
    """A residual block of self-attention between the positions of a feature grid (Vaswani et al. 2017)."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.normalise = nn.GroupNorm(1, channels)
        self.queries_keys_values = nn.Conv2d(channels, 3 * channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, grid: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The grid with the output of the attention added."""
        n, channels, height, width = grid.shape
        joined = self.queries_keys_values(self.normalise(grid)).reshape(n, 3, self.heads, -1, height * width)
        queries, keys, values = joined.transpose(3, 4).unbind(1)
        attended = F.scaled_dot_product_attention(queries, keys, values)
        back = attended.transpose(2, 3).reshape(n, channels, height, width)
        result: Tensor = grid + self.project(back)
        return result


class Dropout(nn.Module):
    """Dropout with random numbers from the caller; in evaluation, the identity."""

    def __init__(self, rate: float) -> None:
        """``rate`` is the share of the features that is set to zero."""
        super().__init__()
        self.rate = rate

    def forward(self, features: Float[Tensor, "n *f"], draws: Draws | None) -> Float[Tensor, "n *f"]:
        """Zeroes random features and scales up the others to keep the mean; training needs ``draws``."""
        if not self.training or not self.rate:
            return features
        if draws is None:
            raise ValueError("dropout needs draws in training")
        return features * (draws.uniform(*features.shape[1:]) >= self.rate) / (1 - self.rate)


class SequentialWithDropout(nn.Sequential):
    """Layers one after another, of which ``Dropout`` takes its random numbers from the caller."""

    def forward(self, x: Tensor, draws: Draws | None) -> Tensor:  # type: ignore[override]
        """The output of the last layer."""
        for layer in self:
            x = layer(x, draws) if isinstance(layer, Dropout) else layer(x)
        return x


class WholeBatch(nn.Module):
    """The rows of the whole batch, for losses that relate its images to one another.

    In a single process this is the identity. If several processes share a step, each has only a part of the rows, and
    ``training.distributed`` replaces this module by one that gathers the rows of all processes.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """The rows as they are."""
        return rows


class RowBatchNorm(nn.BatchNorm1d):
    """Batch normalisation that uses the running statistics for a batch of one row, such as the last of an epoch."""

    def forward(self, rows: Float[Tensor, "n features"]) -> Float[Tensor, "n features"]:
        """Rows normalised over the batch; by the running statistics in evaluation and for a single row."""
        if self.training and len(rows) == 1:
            return F.batch_norm(rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(rows)

"""ClipDual: paper c's model and objective (Methodology, sections I and II)."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.layers import Dropout, GaussianHead, PixelLikelihood, RowBatchNorm
from textvae.models.losses import LossTerms, weighted_objective
from textvae.models.ssim import structural_similarity
from textvae.priors import StandardNormal
from textvae.utils.config import Factor, Share, Size
from textvae.utils.random import Draws

_SLOPE = 0.3
"""Slope of LeakyReLU: the default of Keras, which the paper's authors used."""
_PLAIN_SLOPE = 0.2
"""Keras's default for an activation that is given by its name, as two of the program's dense layers have it."""
_SHRUNK = 32
_DENSE = (2048, 2048, 1024)
_GRID = (256, 8, 8)
"""The decoder's first grid."""
_ENCODER = ((256, 3), (256, 5), (128, 3), (128, 3))
"""Filters and kernel of each stride-2 convolution."""
_DECODER = ((256, 3), (256, 5), (128, 5), (128, 3), (32, 5))
"""Filters and kernel of each transposed convolution."""
_STRIDES = {64: (2, 2, 2, 1, 1), 128: (2, 2, 2, 1, 2)}
"""Strides of the transposed convolutions, from 8 pixels to the side of the image."""


class ClipDual(TextVAE):
    """The embedding, projected to 32 numbers, is concatenated to the flattened image and to z.

    The paper gives filters, widths and the encoder's kernels, and its authors' program (final_notebooks/ of
    github.com/Ayma-n/dl-fp) the decoder's kernels and strides, and that dropout is applied to z. Where they differ,
    ``reading`` chooses. The projection has no bias here, so that a condition of zeros is the empty condition.

    The objective is BCE + 0.5 KL + 0.1 (1 - SSIM). The published losses (2,376 at 64 pixels, 9,227 at 128) match a BCE
    that is summed over pixels and averaged over the three colours, as in Keras, and not the mean over pixels that the
    paper states. So the reconstruction in nats has the weight 1/3.
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes and weights of a ClipDual."""

        image_size: Literal[64, 128] = 64
        """Side of the colour image in pixels."""
        condition_dim: Size = 512
        """Length of the embedding (CLIP ViT-B/32: 512)."""
        latent_dim: Size = 128
        """Dimensions of z."""
        dropout: Share = 0.0
        """Dropout rate of z in training (figure 2 shows models with and without)."""
        kl_weight: Factor = 0.5
        """Weight of the KL in nats."""
        ssim_weight: Factor = 0.1
        """Weight of 1 - SSIM."""
        reading: Literal["paper", "program"] = "paper"
        """What to follow where the paper and its authors' program differ. paper: the encoder takes the projected
        embedding, and all three dense layers have batch normalisation. program: it takes the whole embedding, the last
        dense layer alone has batch normalisation, the slope of the other two is 0.2, batch normalisation averages over
        100 steps instead of 10 and adds 1e-3 to the variance, and padding is that of TensorFlow, one pixel less at the
        left and top of layers of stride 2."""
        condition_noise: Factor = 0.0
        """Length of the Gaussian noise that is added to a condition in training, relative to the condition's, which is
        then restored. Image embeddings differ from text embeddings; noise may make the model less sensitive
        to the difference."""

        def build(self) -> "ClipDual":
            """The model with initial weights."""
            return ClipDual(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.image_shape = (3, config.image_size, config.image_size)
        program = config.reading == "program"
        self.shrink = nn.Linear(config.condition_dim, _SHRUNK, bias=False)
        halvings: list[nn.Module] = []
        channels = 3
        for filters, kernel in _ENCODER:
            halvings += _activated(_halving(channels, filters, kernel, program), program)
            channels = filters
        self.convolutions = nn.Sequential(*halvings)
        side = config.image_size // 2 ** len(_ENCODER)
        told = config.condition_dim if program else _SHRUNK
        dense: list[nn.Module] = []
        for before, after in pairwise((channels * side * side + told, *_DENSE)):
            linear = nn.Linear(before, after)
            plain = program and after != _DENSE[-1]
            dense += [linear, nn.LeakyReLU(_PLAIN_SLOPE)] if plain else _activated([linear], program)
        self.dense = nn.Sequential(*dense)
        self.posterior_head = GaussianHead(_DENSE[-1], config.latent_dim)
        self.dropout = Dropout(config.dropout)

        self.to_grid = nn.Sequential(*_activated([nn.Linear(config.latent_dim + _SHRUNK, math.prod(_GRID))], program))
        doublings: list[nn.Module] = []
        channels = _GRID[0]
        for (filters, kernel), stride in zip(_DECODER, _STRIDES[config.image_size], strict=True):
            doublings += _activated(_enlarging(channels, filters, kernel, stride, program), program)
            channels = filters
        self.decoder = nn.Sequential(*doublings, nn.Conv2d(channels, 3, 5, padding=2))
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        self.likelihood = PixelLikelihood("bernoulli")
        self.prior = StandardNormal((config.latent_dim,))

    def posterior(self, images: Float[Tensor, "n 3 h w"], condition: Float[Tensor, "n d"]) -> DiagonalGaussian:
        """q(z|x,c)."""
        features = self.convolutions(images).flatten(1)
        told = condition if self.config.reading == "program" else self.shrink(condition)
        posterior: DiagonalGaussian = self.posterior_head(self.dense(torch.cat([features, told], dim=1)))
        return posterior

    def decode(self, latent: Float[Tensor, "n latent"], condition: Float[Tensor, "n d"]) -> Likelihood:
        """p(x|z,c)."""
        grid = self.to_grid(torch.cat([latent, self.shrink(condition)], dim=1)).unflatten(1, _GRID)
        likelihood: Likelihood = self.likelihood(self.decoder(grid))
        return likelihood

    def loss(self, images: Float[Tensor, "n 3 h w"], condition: Float[Tensor, "n d"], draws: Draws) -> LossTerms:
        """BCE + 0.5 KL + 0.1 (1 - SSIM), BCE summed over pixels and averaged over colours (section II).

        In training, dropout is applied to z, and noise to the condition.
        """
        if self.training and self.config.condition_noise:
            condition = noised(condition, self.config.condition_noise, draws.normal(condition.shape[1]))
        posterior = self.posterior(images, condition)
        latent = posterior.sample(draws.normal(*posterior.mean.shape[1:]))
        likelihood = self.decode(self.dropout(latent, draws), condition)
        return weighted_objective(
            likelihood.log_prob(images),
            self.divergence(posterior, condition, draws),
            structural_similarity(likelihood.mean, images),
            reconstruction_weight=1 / 3,
            kl_weight=self.config.kl_weight,
            ssim_weight=self.config.ssim_weight,
        )


def noised(condition: Float[Tensor, "n d"], amount: float, noise: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Conditions rotated by standard normal noise of about ``amount`` times their length, which is kept."""
    length = condition.norm(dim=1, keepdim=True)
    moved = condition + noise * (amount * length / condition.shape[1] ** 0.5)
    turned: Tensor = F.normalize(moved, dim=1) * length
    return turned


def _halving(channels: int, filters: int, kernel: int, program: bool) -> list[nn.Module]:
    """A convolution of stride 2."""
    if not program:
        return [nn.Conv2d(channels, filters, kernel, stride=2, padding=kernel // 2)]
    low, high = (kernel - 2) // 2, kernel // 2  # what TensorFlow's "same" adds to an even side
    return [nn.ZeroPad2d((low, high, low, high)), nn.Conv2d(channels, filters, kernel, stride=2)]


def _enlarging(channels: int, filters: int, kernel: int, stride: int, program: bool) -> list[nn.Module]:
    """A transposed convolution: the side times the stride."""
    if program and stride == 2:
        # The transpose of ``_halving``: what that adds is cut off, and it adds one pixel more at the right and bottom.
        layer = nn.ConvTranspose2d(channels, filters, kernel, stride=2, padding=(kernel - 2) // 2)
        return [layer, nn.ZeroPad2d((0, -1, 0, -1))]
    padding, extra = kernel // 2, stride - 1
    return [nn.ConvTranspose2d(channels, filters, kernel, stride=stride, padding=padding, output_padding=extra)]


def _activated(layers: list[nn.Module], program: bool) -> list[nn.Module]:
    """The layers, batch normalisation, LeakyReLU."""
    momentum, eps = (0.01, 1e-3) if program else (0.1, 1e-5)
    layer = next(layer for layer in layers if not isinstance(layer, nn.ZeroPad2d))
    if isinstance(layer, nn.Linear):
        return [*layers, RowBatchNorm(layer.out_features, eps, momentum), nn.LeakyReLU(_SLOPE)]
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    return [*layers, nn.BatchNorm2d(layer.out_channels, eps, momentum), nn.LeakyReLU(_SLOPE)]

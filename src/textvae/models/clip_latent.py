"""ClipLatent: paper b's long-text model (section 3.5, figure 1)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.layers import GaussianHead, LikelihoodName, PixelLikelihood
from textvae.priors import StandardNormal
from textvae.utils.config import Size

_CONVOLUTIONS = {64: (3, 3), 128: (4, 4), 256: (4, 5)}
"""Number of convolutions of the encoder and of the decoder for each image size."""
_GRID = 8
"""Side of the decoder's first grid, which the paper's numbers of layers double to 64, 128 and 256 pixels."""


class ClipLatent(TextVAE):
    """q(z|x) depends on the image alone; the caption's embedding is added or concatenated to z before the decoder.

    From the paper: three convolutions for 64 pixels and four for 128 and 256, each with batch norm and ReLU; flattened,
    two linear layers for μ and σ; "the output of the reparameterized latent space is passed to the decoder, either
    concatenated or added with the output of the CLIP embedding layer", for adding resized by a linear layer; 3, 4 or 5
    convolutions back, all but the last with batch norm and ReLU, then a sigmoid.

    The paper does not give the channels (here 32, doubled with each halving), the kernels (3 in the encoder, 4 in the
    decoder, stride 2), or the linear layer between z and the first grid. Its conclusion mentions conditioning "in the
    encoder and decoder", section 3.5 and figure 1 only in the decoder, which is implemented.
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes of a ClipLatent."""

        image_size: Literal[64, 128, 256] = 64
        """Side of the colour image in pixels, which determines the number of layers."""
        condition_dim: Size = 512
        """Length of the embedding (CLIP ViT-B/32: 512)."""
        conditioning: Literal["add", "concat"] = "concat"
        """add: the condition is added to z through a linear layer; concat: it is concatenated."""
        width: Size = 32
        """Channels after the first convolution; each further one doubles them. The decoder mirrors the encoder."""
        latent_dim: Size = 128
        """Dimensions of z (section 5 states 128 for the 28-pixel model)."""
        likelihood: LikelihoodName = "gaussian"
        """bernoulli: binary cross-entropy; gaussian: squared error with one learned noise scale."""

        def build(self) -> "ClipLatent":
            """The model with initial weights."""
            return ClipLatent(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.image_shape = (3, config.image_size, config.image_size)
        down, up = _CONVOLUTIONS[config.image_size]
        channels = [config.width * 2**i for i in range(down)]
        halvings: list[nn.Module] = []
        for before, after in pairwise((3, *channels)):
            halvings += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.encoder = nn.Sequential(*halvings)
        side = config.image_size // 2**down
        self.posterior_head = GaussianHead(channels[-1] * side * side, config.latent_dim)

        # Without a bias, so that the empty condition adds nothing.
        self.resize = (
            nn.Linear(config.condition_dim, config.latent_dim, bias=False) if config.conditioning == "add" else None
        )
        joined = config.latent_dim + (0 if self.resize is not None else config.condition_dim)
        self.grid = (channels[-1], _GRID, _GRID)
        self.to_grid = nn.Linear(joined, channels[-1] * _GRID * _GRID)
        mirrored = [channels[-1] // 2**i for i in range(up)]
        doublings: list[nn.Module] = []
        for before, after in pairwise(mirrored):
            doublings += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.decoder = nn.Sequential(*doublings, nn.ConvTranspose2d(mirrored[-1], 3, 4, stride=2, padding=1))
        self.likelihood = PixelLikelihood(config.likelihood)
        self.prior = StandardNormal((config.latent_dim,))

    def posterior(self, images: Float[Tensor, "n 3 h w"], condition: Float[Tensor, "n d"]) -> DiagonalGaussian:
        """q(z|x), whatever the condition."""
        posterior: DiagonalGaussian = self.posterior_head(self.encoder(images).flatten(1))
        return posterior

    def decode(self, latent: Float[Tensor, "n latent"], condition: Float[Tensor, "n d"]) -> Likelihood:
        """p(x|z,c)."""
        joined = torch.cat([latent, condition], dim=1) if self.resize is None else latent + self.resize(condition)
        grid = self.to_grid(joined).unflatten(1, self.grid)
        likelihood: Likelihood = self.likelihood(self.decoder(grid))
        return likelihood

"""LabelConv: paper b's convolutional model (section 3.3)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.layers import GaussianHead, LikelihoodName, PixelLikelihood
from textvae.priors import StandardNormal
from textvae.utils.config import Size


class LabelConv(TextVAE):
    """Encoder of three convolutions; the embedded class is added to their flattened output and concatenated to z."""

    @dataclass(frozen=True)
    class Config:
        """Sizes of a LabelConv. The paper gives the number of layers only."""

        num_classes: Size = 10
        """Length of the one-hot label that is embedded."""
        channels: tuple[Size, Size, Size] = (16, 32, 64)
        """Channels after each stride-2 convolution (28 -> 14 -> 7 -> 4 pixels); the decoder mirrors them."""
        embedding_dim: Size = 32
        """Dimensions of the embedded class at the decoder."""
        latent_dim: Size = 128
        """Dimensions of z (paper b, section 5: "a latent space of dimension 128")."""
        likelihood: LikelihoodName = "gaussian"
        """bernoulli: binary cross-entropy; gaussian: squared error with one learned noise scale."""

        def build(self) -> "LabelConv":
            """The model with initial weights."""
            return LabelConv(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        first, second, third = config.channels
        self.image_shape = (1, 28, 28)
        self.grid = (third, 4, 4)
        flat = third * 4 * 4
        self.encoder = nn.Sequential(
            nn.Conv2d(1, first, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        # Bias-free linear layers on a one-hot row are embedding tables whose "no class" is zero.
        self.encoder_embedding = nn.Linear(config.num_classes, flat, bias=False)
        self.posterior_head = GaussianHead(flat, config.latent_dim)
        self.decoder_embedding = nn.Linear(config.num_classes, config.embedding_dim, bias=False)
        self.to_grid = nn.Linear(config.latent_dim + config.embedding_dim, flat)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(third, second, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(second, first, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(first, 1, 4, stride=2, padding=1),
        )
        self.likelihood = PixelLikelihood(config.likelihood)
        self.prior = StandardNormal((config.latent_dim,))

    def posterior(self, images: Float[Tensor, "n 1 28 28"], condition: Float[Tensor, "n classes"]) -> DiagonalGaussian:
        """q(z|x,c)."""
        features = self.encoder(images).flatten(1) + self.encoder_embedding(condition)
        posterior: DiagonalGaussian = self.posterior_head(features)
        return posterior

    def decode(self, latent: Float[Tensor, "n latent"], condition: Float[Tensor, "n classes"]) -> Likelihood:
        """p(x|z,c)."""
        joined = torch.cat([latent, self.decoder_embedding(condition)], dim=1)
        grid = self.to_grid(joined).unflatten(1, self.grid)
        likelihood: Likelihood = self.likelihood(self.decoder(grid))
        return likelihood

"""LabelDense: paper b's fully connected model (section 3.2)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.layers import GaussianHead, LikelihoodName, PixelLikelihood, dense
from textvae.priors import StandardNormal
from textvae.utils.config import Pixels, Size


class LabelDense(TextVAE):
    """Encoder of three linear layers, with the embedded class concatenated before the third; three layers decode."""

    @dataclass(frozen=True)
    class Config:
        """Sizes of a LabelDense. The paper gives the number of layers only."""

        image_size: Pixels = 28
        """Side of the grey image, in pixels."""
        num_classes: Size = 10
        """Length of the one-hot label that is embedded."""
        hidden: tuple[Size, Size] = (512, 256)
        """Widths of the encoder's first and second layer; the decoder mirrors them."""
        embedding_dim: Size = 32
        """Dimensions of the embedded class."""
        latent_dim: Size = 128
        """Dimensions of z (paper b, section 5: "a latent space of dimension 128")."""
        likelihood: LikelihoodName = "gaussian"
        """bernoulli: binary cross-entropy; gaussian: squared error with one learned noise scale."""

        def build(self) -> "LabelDense":
            """The model with initial weights."""
            return LabelDense(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        pixels = config.image_size**2
        first, second = config.hidden
        self.image_shape = (1, config.image_size, config.image_size)
        # Without a bias, a linear layer on one-hot rows is an embedding in which the empty condition is zero.
        self.embedding = nn.Linear(config.num_classes, config.embedding_dim, bias=False)
        self.encoder = nn.Sequential(nn.Linear(pixels, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU())
        self.posterior_head = GaussianHead(second + config.embedding_dim, config.latent_dim)
        self.decoder = dense(config.latent_dim + config.embedding_dim, second, first, pixels)
        self.likelihood = PixelLikelihood(config.likelihood)
        self.prior = StandardNormal((config.latent_dim,))

    def posterior(self, images: Float[Tensor, "n 1 h w"], condition: Float[Tensor, "n classes"]) -> DiagonalGaussian:
        """q(z|x,c)."""
        features = self.encoder(images.flatten(1))
        posterior: DiagonalGaussian = self.posterior_head(torch.cat([features, self.embedding(condition)], dim=1))
        return posterior

    def decode(self, latent: Float[Tensor, "n latent"], condition: Float[Tensor, "n classes"]) -> Likelihood:
        """p(x|z,c)."""
        logits = self.decoder(torch.cat([latent, self.embedding(condition)], dim=1))
        likelihood: Likelihood = self.likelihood(logits.unflatten(1, self.image_shape))
        return likelihood

"""OneHotDense: paper a's short-text model (section 3.2, figure 2)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.layers import GaussianHead, LikelihoodName, PixelLikelihood, dense
from textvae.priors import StandardNormal
from textvae.utils.config import Pixels, Size


class OneHotDense(TextVAE):
    """One hidden layer from image and one-hot label to the latents, and one from latents and label to the image."""

    @dataclass(frozen=True)
    class Config:
        """Sizes of a OneHotDense."""

        image_size: Pixels = 28
        """Side of the grey image, in pixels."""
        num_classes: Size = 10
        """Length of the one-hot label."""
        hidden: Size = 400
        """Width of the hidden layer, in the encoder and in the decoder."""
        latent_dim: Size = 20
        """Dimensions of z."""
        likelihood: LikelihoodName = "bernoulli"
        """bernoulli: binary cross-entropy; gaussian: squared error with one learned noise scale."""

        def build(self) -> "OneHotDense":
            """The model with initial weights."""
            return OneHotDense(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        pixels = config.image_size**2
        self.image_shape = (1, config.image_size, config.image_size)
        self.encoder = nn.Sequential(nn.Linear(pixels + config.num_classes, config.hidden), nn.ReLU())
        self.posterior_head = GaussianHead(config.hidden, config.latent_dim)
        self.decoder = dense(config.latent_dim + config.num_classes, config.hidden, pixels)
        self.likelihood = PixelLikelihood(config.likelihood)
        self.prior = StandardNormal((config.latent_dim,))

    def posterior(self, images: Float[Tensor, "n 1 h w"], condition: Float[Tensor, "n classes"]) -> DiagonalGaussian:
        """q(z|x,c)."""
        posterior: DiagonalGaussian = self.posterior_head(
            self.encoder(torch.cat([images.flatten(1), condition], dim=1))
        )
        return posterior

    def decode(self, latent: Float[Tensor, "n latent"], condition: Float[Tensor, "n classes"]) -> Likelihood:
        """p(x|z,c)."""
        logits = self.decoder(torch.cat([latent, condition], dim=1))
        likelihood: Likelihood = self.likelihood(logits.unflatten(1, self.image_shape))
        return likelihood

"""HalvesVAE: a dense VAE for pictures of two halves, the first stage of a model whose prior reads the caption."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.layers import GaussianHead, PixelLikelihood
from textvae.models.losses import LossTerms, negative_elbo
from textvae.priors import StandardNormal
from textvae.utils.config import Factor, Pixels, Size
from textvae.utils.random import Draws


class HalvesVAE(TextVAE):
    """Encodes the left and the right half of an image by the same network, whatever the condition, and decodes them.

    As in ``SpatialVAE``, the prior alone decides what is drawn. The latent is one vector, whose first half encodes the
    left half of the image. A flow over it costs less than the decoder, so the caption encoder can be trained with the
    flow on many more captions than the decoder on images. Dense layers learn digits that are nearly in place ten times
    as fast as convolutions of the same cost (docs/experiment_log.md).
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes of a HalvesVAE."""

        image_size: Pixels = 60
        """Side of the grey image in pixels, an even number."""
        hidden: Size = 512
        """Width of the hidden layer of the encoder and of the decoder."""
        latent_dim: Size = 20
        """Dimensions of the latent of a half."""
        beta: Factor = 0.5
        """Weight of the KL. With 1, the loss is the negative ELBO; less keeps more detail."""

        def build(self) -> "HalvesVAE":
            """The model with initial weights."""
            return HalvesVAE(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.image_size % 2:
            raise ValueError(f"image_size {config.image_size} is odd and cannot be halved")
        self.beta = config.beta
        self.image_shape = (1, config.image_size, config.image_size)
        self.prior = StandardNormal((2 * config.latent_dim,))
        pixels = config.image_size**2 // 2
        self.encoder = nn.Sequential(
            nn.Linear(pixels, config.hidden), nn.SiLU(), GaussianHead(config.hidden, config.latent_dim)
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.latent_dim, config.hidden), nn.SiLU(), nn.Linear(config.hidden, pixels)
        )
        self.likelihood = PixelLikelihood("bernoulli")

    def loss(self, images: Float[Tensor, "n 1 h w"], condition: Tensor, draws: Draws) -> LossTerms:
        """The negative ELBO with a weighted KL."""
        posterior = self.posterior(images, condition)
        latent = posterior.sample(draws.normal(*posterior.mean.shape[1:]))
        log_likelihood = self.decode(latent, condition).log_prob(images)
        return negative_elbo(log_likelihood, self.divergence(posterior, condition, draws), self.beta)

    def posterior(self, images: Float[Tensor, "n 1 h w"], condition: Tensor) -> DiagonalGaussian:
        """q(z|x)."""
        _, height, width = self.image_shape
        halves = images.reshape(-1, height, 2, width // 2).transpose(1, 2).flatten(2)
        found: DiagonalGaussian = self.encoder(halves)
        return DiagonalGaussian(found.mean.flatten(1), found.log_variance.flatten(1))

    def decode(self, latent: Float[Tensor, "n latent"], condition: Tensor) -> Likelihood:
        """p(x|z)."""
        _, height, width = self.image_shape
        halves = self.decoder(latent.reshape(len(latent), 2, -1)).reshape(-1, 2, height, width // 2)
        likelihood: Likelihood = self.likelihood(halves.transpose(1, 2).reshape(-1, *self.image_shape))
        return likelihood

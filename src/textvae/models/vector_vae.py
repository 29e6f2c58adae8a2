"""VectorVAE: a convolutional VAE with one latent vector, the first stage of a model whose prior reads the captions."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.layers import GaussianHead, LikelihoodName, PixelLikelihood
from textvae.priors import StandardNormal
from textvae.utils.config import Pixels, Size


class VectorVAE(TextVAE):
    """Encodes an image as a vector and decodes it, whatever the condition: what is drawn is decided by the prior alone.

    Like ``SpatialVAE`` it is the first stage of a model with a flow prior. The flow of a vector costs a tenth of the
    decoder, so that a reader can be trained with it on many more captions than the decoder on images.
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes of a VectorVAE."""

        image_size: Pixels = 60
        """Side of the grey image in pixels, a multiple of 4."""
        channels: tuple[Size, Size] = (8, 16)
        """Channels after each stride-2 convolution."""
        width: Size = 192
        """Width of the dense layers."""
        latent_dim: Size = 32
        """Dimensions of z."""
        likelihood: LikelihoodName = "bernoulli"
        """bernoulli: binary cross-entropy; gaussian: squared error with one learned noise scale."""

        def build(self) -> "VectorVAE":
            """The model with initial weights."""
            return VectorVAE(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        first, second = config.channels
        side = config.image_size // 4
        flat = second * side * side
        self.image_shape = (1, config.image_size, config.image_size)
        self.prior = StandardNormal((config.latent_dim,))
        self.encoder = nn.Sequential(
            nn.Conv2d(1, first, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(flat, config.width),
            nn.SiLU(),
            GaussianHead(config.width, config.latent_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.latent_dim, config.width),
            nn.SiLU(),
            nn.Linear(config.width, flat),
            nn.SiLU(),
            nn.Unflatten(1, (second, side, side)),
            nn.ConvTranspose2d(second, first, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(first, 1, 4, stride=2, padding=1),
        )
        self.likelihood = PixelLikelihood(config.likelihood)

    def posterior(self, images: Float[Tensor, "n 1 h w"], condition: Tensor) -> DiagonalGaussian:
        """q(z|x)."""
        posterior: DiagonalGaussian = self.encoder(images)
        return posterior

    def decode(self, latent: Float[Tensor, "n latent"], condition: Tensor) -> Likelihood:
        """p(x|z)."""
        likelihood: Likelihood = self.likelihood(self.decoder(latent))
        return likelihood

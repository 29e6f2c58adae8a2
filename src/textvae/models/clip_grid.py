"""ClipGrid: paper a's long-text model (section 3.1, tables 1 and 2) and its variants (section 4.2)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.layers import GaussianHead, GridAttention, LikelihoodName, PixelLikelihood, TiledConv2d
from textvae.priors import StandardNormal
from textvae.utils.config import Count, Pixels, Size
from textvae.utils.errors import UserError

CHANNELS = (32, 64, 128, 256, 512)
"""After each stride-2 convolution; the decoder mirrors them."""


class ClipGrid(TextVAE):
    """The embedding of the caption is tiled over the pixels as input channels, and concatenated to z.

    "In one approach, the text condition is concatenated with the image at the input stage; in another, it is added to
    the tensor after passing through the first few convolutional layers" (section 4.2): see ``enters``. The paper does
    not say how 512 numbers are added to a tensor of 64 channels (here by a linear layer, equally at all positions), nor
    after how many layers (here two).
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes of a ClipGrid; the defaults are tables 1 and 2."""

        image_size: Pixels = 224
        """Side of the colour image in pixels, a multiple of 32, since five convolutions halve it."""
        condition_dim: Size = 512
        """Length of the embedding (CLIP ViT-B/32: 512)."""
        latent_dim: Size = 128
        """Dimensions of z; table 4 compares 128, 256, 512 and 1024."""
        enters: Literal["input", "middle"] = "input"
        """Where the condition enters the encoder: tiled at the input, or added after the second convolution."""
        extra_convolutions: Count = 0
        """Number of convolutions of stride 1 after each of the five."""
        attention: bool = False
        """Whether the encoder has self-attention before its last convolution (14x14 positions at 224 pixels)."""
        likelihood: LikelihoodName = "bernoulli"
        """bernoulli: binary cross-entropy; gaussian: squared error with one learned noise scale."""

        def __post_init__(self) -> None:
            """Checks the image size.

            Raises:
                UserError: it is not a multiple of 32.
            """
            if self.image_size < 32 or self.image_size % 32:
                raise UserError(
                    f"{self.image_size} pixels cannot be halved five times, as ClipGrid does", "use a multiple of 32"
                )

        def build(self) -> "ClipGrid":
            """The model with initial weights."""
            return ClipGrid(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.image_shape = (3, config.image_size, config.image_size)
        self.tiled = config.enters == "input"
        first, second, *later = CHANNELS
        side = config.image_size // 2 ** len(CHANNELS)
        self.grid = (CHANNELS[-1], side, side)
        flat = CHANNELS[-1] * side * side

        self.first = (
            TiledConv2d(3, config.condition_dim, first)
            if self.tiled
            else nn.Conv2d(3, first, kernel_size=3, stride=2, padding=1)
        )
        self.second = nn.Sequential(*_refinement(first, config), *_halving(first, second), *_refinement(second, config))
        # Without a bias, so that the empty condition adds nothing.
        self.to_features = None if self.tiled else nn.Linear(config.condition_dim, second, bias=False)
        rest: list[nn.Module] = []
        for before, after in pairwise((second, *later)):
            if config.attention and after == CHANNELS[-1]:
                rest.append(GridAttention(before))
            rest += [*_halving(before, after), *_refinement(after, config)]
        self.rest = nn.Sequential(*rest)
        self.posterior_head = GaussianHead(flat, config.latent_dim)

        self.to_grid = nn.Sequential(
            nn.Linear(config.latent_dim + config.condition_dim, 1024),
            nn.LeakyReLU(),
            nn.Linear(1024, flat),
            nn.LeakyReLU(),
        )
        doublings: list[nn.Module] = []
        for before, after in pairwise((*reversed(CHANNELS), 3)):
            # With kernel 3, stride 2 and padding 1, an output padding of 1 doubles the side.
            doublings += [nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1), nn.LeakyReLU()]
        self.decoder = nn.Sequential(*doublings[:-1])
        self.likelihood = PixelLikelihood(config.likelihood)
        self.prior = StandardNormal((config.latent_dim,))

    def posterior(self, images: Float[Tensor, "n 3 h w"], condition: Float[Tensor, "n d"]) -> DiagonalGaussian:
        """q(z|x,c)."""
        features = self.first(images, condition) if self.tiled else self.first(images)
        features = self.second(nn.functional.leaky_relu(features))
        if self.to_features is not None:
            features = features + self.to_features(condition)[:, :, None, None]
        posterior: DiagonalGaussian = self.posterior_head(self.rest(features).flatten(1))
        return posterior

    def decode(self, latent: Float[Tensor, "n latent"], condition: Float[Tensor, "n d"]) -> Likelihood:
        """p(x|z,c)."""
        grid = self.to_grid(torch.cat([latent, condition], dim=1)).unflatten(1, self.grid)
        likelihood: Likelihood = self.likelihood(self.decoder(grid))
        return likelihood


def _halving(before: int, after: int) -> list[nn.Module]:
    """A layer of table 1: kernel 3, stride 2, padding 1."""
    return [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.LeakyReLU()]


def _refinement(channels: int, config: ClipGrid.Config) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for _ in range(config.extra_convolutions):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU()]
    return layers

"""CaptionPrior: paper d's task with a posterior that sees the image and a prior learned from the caption."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.caption_encoders import AngleSumEncoder, Reader, RecurrentEncoder
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.layers import GaussianHead, LikelihoodName, PixelLikelihood
from textvae.models.losses import LossTerms
from textvae.models.taught_readers import AuxiliaryEncoder
from textvae.priors import LearnedGaussian
from textvae.utils.config import Factor, Pixels, Size
from textvae.utils.random import Draws


class CaptionPrior(TextVAE):
    """q(z|x,c), p(z|c) and p(x|z,c) share the features of a caption encoder, which has an auxiliary loss of its own."""

    @dataclass(frozen=True)
    class Config:
        """Sizes of a CaptionPrior."""

        num_tokens: Size = 32
        """Rows of the embedding table."""
        image_size: Pixels = 28
        """Side of the grey image in pixels, a multiple of 4."""
        reader: Reader = "gru"
        """Caption encoder. rnn, gru, lstm: the last state; dial: sums of angles (``AngleSumEncoder``)."""
        embedding_dim: Size = 32
        """Dimensions of a word."""
        hidden: Size = 128
        """Width of the caption encoder."""
        dial_noise: Factor = 0.2
        """Standard deviation of the noise on the angle in training, in radians (reader dial)."""
        channels: tuple[Size, Size] = (32, 64)
        """Channels after each stride-2 convolution."""
        latent_dim: Size = 32
        """Dimensions of z."""
        likelihood: LikelihoodName = "bernoulli"
        """bernoulli: binary cross-entropy; gaussian: squared error with one learned noise scale."""

        def build(self) -> "CaptionPrior":
            """The model with initial weights."""
            return CaptionPrior(self)

    prior: LearnedGaussian

    def __init__(self, config: Config) -> None:
        super().__init__()
        first, second = config.channels
        side = config.image_size // 4
        grid = (second, side, side)
        flat = second * side * side
        self.image_shape = (1, config.image_size, config.image_size)
        self.encoder = nn.Sequential(
            nn.Conv2d(1, first, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
        )
        reader = AuxiliaryEncoder(_reader(config), config.image_size**2)
        self.prior = LearnedGaussian(reader, reader.num_features, (config.latent_dim,))
        self.posterior_head = nn.Sequential(
            nn.Linear(flat + reader.num_features, 256), nn.SiLU(), GaussianHead(256, config.latent_dim)
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.latent_dim + reader.num_features, 256),
            nn.SiLU(),
            nn.Linear(256, flat),
            nn.SiLU(),
            nn.Unflatten(1, grid),
            nn.ConvTranspose2d(second, first, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(first, 1, 4, stride=2, padding=1),
        )
        self.likelihood = PixelLikelihood(config.likelihood)

    def loss(self, images: Float[Tensor, "n 1 h w"], condition: Int64[Tensor, "n length"], draws: Draws) -> LossTerms:
        """The negative ELBO; in training, with the auxiliary loss of the reader."""
        elbo = super().loss(images, condition, draws)
        if not self.training:
            return elbo
        reader = self.prior.features
        assert isinstance(reader, AuxiliaryEncoder)
        auxiliary = reader.auxiliary_loss(condition, images, draws)
        return LossTerms(elbo.total + auxiliary, {**elbo.terms, "reading": auxiliary.detach()})

    def posterior(self, images: Float[Tensor, "n 1 h w"], condition: Int64[Tensor, "n length"]) -> DiagonalGaussian:
        """q(z|x,c)."""
        seen = torch.cat([self.encoder(images), self.prior.features(condition)], dim=1)
        posterior: DiagonalGaussian = self.posterior_head(seen)
        return posterior

    def decode(self, latent: Float[Tensor, "n latent"], condition: Int64[Tensor, "n length"]) -> Likelihood:
        """p(x|z,c)."""
        read = torch.cat([latent, self.prior.features(condition)], dim=1)
        likelihood: Likelihood = self.likelihood(self.decoder(read))
        return likelihood


def _reader(config: CaptionPrior.Config) -> RecurrentEncoder | AngleSumEncoder:
    if config.reader == "dial":
        return AngleSumEncoder(config.num_tokens, config.embedding_dim, config.hidden, config.dial_noise)
    return RecurrentEncoder(
        config.reader,
        config.num_tokens,
        config.embedding_dim,
        config.hidden,
        layers=1,
        bidirectional=False,
        learned_embeddings=True,
        attention_heads=0,
    )

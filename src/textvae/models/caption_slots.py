"""CaptionSlots: scenes of several things, each with a latent of its own, drawn onto one canvas."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.layers import GaussianHead, PixelLikelihood
from textvae.models.objective import LossTerms
from textvae.models.words import SlotReader, TaughtReader
from textvae.priors import LearnedGaussian


class CaptionSlots(TextVAE):
    """``CaptionPrior`` for scenes: q(z_k|x,c_k), p(z_k|c_k) and a decoder that all slots k share.

    What a slot draws depends on its own words alone, so pairs of things that were never seen together are drawn like
    any others. Slots meet on the canvas, where the brightest counts (after the idea of Eslami et al. 2016, "Attend,
    Infer, Repeat", without their recurrent inference: the caption says how many things there are and where).
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes of a CaptionSlots."""

        num_tokens: int = 32
        """Rows of the embedding table."""
        image_size: int = 60
        """Side of the grey image in pixels, a multiple of 4."""
        slots: int = 2
        """Things in a scene."""
        looks: int = 2
        """Words that each slot looks up: a digit and a place."""
        embedding_dim: int = 32
        """Dimensions of a word."""
        hidden: int = 128
        """Width of the reader."""
        channels: tuple[int, int] = (32, 32)
        """Channels after each stride-2 convolution."""
        latent_dim: int = 24
        """Dimensions of each slot's z."""

        def build(self) -> "CaptionSlots":
            """The model with fresh weights."""
            return CaptionSlots(self)

    prior: LearnedGaussian

    def __init__(self, config: Config) -> None:
        super().__init__()
        first, second = config.channels
        side = config.image_size // 4
        flat = second * side * side
        self.image_shape = (1, config.image_size, config.image_size)
        self.slots = config.slots
        self.encoder = nn.Sequential(
            nn.Conv2d(1, first, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(flat, 256),
            nn.SiLU(),
        )
        reader = SlotReader(config.num_tokens, config.embedding_dim, config.slots, config.looks, config.hidden)
        taught = TaughtReader(reader, config.image_size**2)
        self.prior = LearnedGaussian(taught, taught.num_features, (config.slots, config.latent_dim))
        self.posterior_head = nn.Sequential(
            nn.Linear(256 + taught.num_features, 256), nn.SiLU(), GaussianHead(256, config.latent_dim)
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.latent_dim + taught.num_features, 256),
            nn.SiLU(),
            nn.Linear(256, flat),
            nn.SiLU(),
            nn.Unflatten(1, (second, side, side)),
            nn.ConvTranspose2d(second, first, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(first, 1, 4, stride=2, padding=1),
        )
        self.likelihood = PixelLikelihood("bernoulli")

    def loss(self, images: Float[Tensor, "n 1 h w"], condition: Int64[Tensor, "n length"]) -> LossTerms:
        """The negative ELBO; in training, the reader's lesson besides."""
        elbo = super().loss(images, condition)
        if not self.training:
            return elbo
        reader = self.prior.features
        assert isinstance(reader, TaughtReader)
        lesson = reader.lesson(condition, images)
        return LossTerms(elbo.total + lesson, {**elbo.terms, "reading": lesson.detach()})

    def posterior(self, images: Float[Tensor, "n 1 h w"], condition: Int64[Tensor, "n length"]) -> DiagonalGaussian:
        """q(z|x,c), slot by slot."""
        seen = self.encoder(images).unsqueeze(1).expand(-1, self.slots, -1)
        moments: DiagonalGaussian = self.posterior_head(torch.cat([seen, self.prior.features(condition)], dim=2))
        return moments

    def decode(self, latent: Float[Tensor, "n slots latent"], condition: Int64[Tensor, "n length"]) -> Likelihood:
        """p(x|z,c): each slot's drawing, and of each pixel the brightest (softly)."""
        read = torch.cat([latent, self.prior.features(condition)], dim=2)
        drawings = self.decoder(read.flatten(0, 1)).unflatten(0, (len(latent), self.slots))
        likelihood: Likelihood = self.likelihood(drawings.logsumexp(1))
        return likelihood

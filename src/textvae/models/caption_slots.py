"""CaptionSlots: scenes of several objects, each with its own position and shape."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.caption_encoders import SlotEncoder
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.layers import GaussianHead, PixelLikelihood
from textvae.models.losses import LossTerms
from textvae.models.taught_readers import ContrastiveEncoder
from textvae.priors import LearnedGaussian
from textvae.utils.config import Depth, Pixels, Size
from textvae.utils.random import Draws

BACKGROUND = -8.0
"""Logit of a background pixel."""


class CaptionSlots(TextVAE):
    """A latent z_k = (position, shape) with the prior p(z_k|c_k) for each slot k, and one decoder for all slots.

    A slot depends on its own words alone, so that pairs of objects that never occur together in training are drawn like
    any others. Each shape is decoded to a small patch, which a spatial transformer moves to its position; the image is
    the soft maximum of all patches. The posterior infers positions from the whole image, and shapes from a glimpse at
    the position (Eslami et al. 2016, "Attend, Infer, Repeat", without recurrence since the number of objects is known).
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes of a CaptionSlots."""

        num_tokens: Size = 32
        """Rows of the embedding table."""
        image_size: Pixels = 60
        """Side of the grey image in pixels, a multiple of 4."""
        patch_size: Pixels = 32
        """Side of the patch of an object in pixels."""
        slots: Depth = 2
        """Number of objects in a scene."""
        looks: Depth = 2
        """Number of words that each slot attends to: a digit and a position."""
        embedding_dim: Size = 32
        """Dimensions of a word."""
        hidden: Size = 128
        """Width of the caption encoder."""
        channels: tuple[Size, Size] = (16, 32)
        """Channels after each stride-2 convolution over the whole image."""
        width: Size = 384
        """Width of the dense layers."""
        shape_dim: Size = 24
        """Dimensions of a shape; a position has two."""

        def build(self) -> "CaptionSlots":
            """The model with initial weights."""
            return CaptionSlots(self)

    prior: LearnedGaussian

    def __init__(self, config: Config) -> None:
        super().__init__()
        first, second = config.channels
        self.image_shape = (1, config.image_size, config.image_size)
        self.slots, self.patch_size = config.slots, config.patch_size
        self.scale = config.patch_size / config.image_size
        self.encoder = nn.Sequential(
            nn.Conv2d(1, first, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(second * (config.image_size // 4) ** 2, config.width),
            nn.SiLU(),
        )
        reader = SlotEncoder(config.num_tokens, config.embedding_dim, config.slots, config.looks, config.hidden)
        matched = ContrastiveEncoder(reader, config.patch_size)
        self.prior = LearnedGaussian(matched, matched.num_features, (config.slots, 2 + config.shape_dim))
        self.place_head = nn.Sequential(
            nn.Linear(config.width + config.hidden, config.width), nn.SiLU(), GaussianHead(config.width, 2)
        )
        pixels = config.patch_size**2
        self.shape_head = nn.Sequential(
            nn.Linear(pixels + config.hidden, config.width),
            nn.SiLU(),
            nn.Linear(config.width, config.width),
            nn.SiLU(),
            GaussianHead(config.width, config.shape_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.shape_dim + config.hidden, config.width),
            nn.SiLU(),
            nn.Linear(config.width, config.width),
            nn.SiLU(),
            nn.Linear(config.width, pixels),
        )
        self.likelihood = PixelLikelihood("bernoulli")

    def loss(self, images: Float[Tensor, "n 1 h w"], condition: Int64[Tensor, "n length"], draws: Draws) -> LossTerms:
        """The negative ELBO; in training, with the contrastive loss of the reader."""
        posterior = self.posterior(images, condition)
        elbo = self.loss_at(posterior, images, condition, draws)
        if not self.training:
            return elbo
        reader = self.prior.features
        assert isinstance(reader, ContrastiveEncoder)
        place = posterior.mean[..., :2].detach()
        auxiliary = reader.auxiliary_loss(condition, self._glimpses(images, place), place.float().tanh())
        return LossTerms(elbo.total + auxiliary, {**elbo.terms, "reading": auxiliary.detach()})

    def posterior(self, images: Float[Tensor, "n 1 h w"], condition: Int64[Tensor, "n length"]) -> DiagonalGaussian:
        """q(z|x,c) of each slot: the position, and the shape, which is inferred at the mean of the position."""
        words = self.prior.features(condition)
        seen = self.encoder(images).unsqueeze(1).expand(-1, self.slots, -1)
        place: DiagonalGaussian = self.place_head(torch.cat([seen, words], dim=2))
        shape: DiagonalGaussian = self.shape_head(
            torch.cat([self._glimpses(images, place.mean).flatten(2), words], dim=2)
        )
        return DiagonalGaussian(
            torch.cat([place.mean, shape.mean], dim=2), torch.cat([place.log_variance, shape.log_variance], dim=2)
        )

    def decode(self, latent: Float[Tensor, "n slots latent"], condition: Int64[Tensor, "n length"]) -> Likelihood:
        """p(x|z,c): the soft maximum of the patches at their positions."""
        words = self.prior.features(condition)
        patches = self.decoder(torch.cat([latent[..., 2:], words], dim=2)).float()
        likelihood: Likelihood = self.likelihood(self._at_positions(patches, latent[..., :2]).logsumexp(1))
        return likelihood

    def _glimpses(self, images: Float[Tensor, "n 1 h w"], place: Tensor) -> Float[Tensor, "n slots patch patch"]:
        repeated = images.float().repeat_interleave(self.slots, dim=0)
        size = [len(repeated), 1, self.patch_size, self.patch_size]
        grid = F.affine_grid(_affine(self.scale, _centre(place)), size, align_corners=False)
        glimpses = F.grid_sample(repeated, grid, align_corners=False)
        return torch.as_tensor(glimpses).reshape(len(images), self.slots, self.patch_size, self.patch_size)

    def _at_positions(self, patches: Float[Tensor, "n slots pixels"], place: Tensor) -> Float[Tensor, "n slots 1 h w"]:
        small = (patches - BACKGROUND).reshape(-1, 1, self.patch_size, self.patch_size)
        grid = F.affine_grid(
            _affine(1 / self.scale, -_centre(place) / self.scale), [len(small), *self.image_shape], align_corners=False
        )
        # Outside the patch, grid_sample gives zero, which is the background.
        canvas = F.grid_sample(small, grid, align_corners=False) + BACKGROUND
        return torch.as_tensor(canvas).reshape(len(patches), self.slots, *self.image_shape)


def _centre(place: Float[Tensor, "n slots 2"]) -> Float[Tensor, "m 2"]:
    """The centre of a patch as (x, y) from -1 to 1 over the image, always inside it."""
    return place.flatten(0, 1).float().tanh()


def _affine(scale: float, shift: Float[Tensor, "m 2"]) -> Float[Tensor, "m 2 3"]:
    diagonal = scale * torch.eye(2, device=shift.device).expand(len(shift), 2, 2)
    return torch.cat([diagonal, shift.unsqueeze(2)], dim=2)

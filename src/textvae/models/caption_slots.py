"""CaptionSlots: scenes of several things, each with a place and a shape of its own, drawn onto one canvas."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.caption_encoders import ContrastiveEncoder, SlotEncoder
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.layers import GaussianHead, PixelLikelihood
from textvae.models.losses import LossTerms
from textvae.priors import LearnedGaussian
from textvae.utils.random import Draws

BACKGROUND = -8.0
"""Logit of a pixel that nothing is drawn on."""


class CaptionSlots(TextVAE):
    """A latent z_k = (place, shape) for each slot k of the caption, p(z_k|c_k), and one decoder for all slots.

    What a slot draws depends on its own words alone, so pairs of things that were never seen together are drawn like
    any others. Shapes are drawn on a small patch and put in their place by a spatial transformer; on the canvas the
    brightest counts. The posterior looks at the whole image for the places, and at a glimpse there for the shapes
    (Eslami et al. 2016, "Attend, Infer, Repeat", without its recurrence: the caption says how many things there are).
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes of a CaptionSlots."""

        num_tokens: int = 32
        """Rows of the embedding table."""
        image_size: int = 60
        """Side of the grey image in pixels, a multiple of 4."""
        patch_size: int = 32
        """Side of a thing's own picture in pixels."""
        slots: int = 2
        """Things in a scene."""
        looks: int = 2
        """Words that each slot looks up: a digit and a place."""
        embedding_dim: int = 32
        """Dimensions of a word."""
        hidden: int = 128
        """Width of the reader."""
        channels: tuple[int, int] = (16, 32)
        """Channels after each stride-2 convolution over the whole image."""
        width: int = 384
        """Width of the dense layers."""
        shape_dim: int = 24
        """Dimensions of a shape; the place has two."""

        def build(self) -> "CaptionSlots":
            """The model with fresh weights."""
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
        """q(z|x,c), slot by slot: the place, and the shape that is seen at the place's mean."""
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
        """p(x|z,c): each slot's patch in its place, and of each pixel the brightest (softly)."""
        words = self.prior.features(condition)
        patches = self.decoder(torch.cat([latent[..., 2:], words], dim=2)).float()
        likelihood: Likelihood = self.likelihood(self._placed(patches, latent[..., :2]).logsumexp(1))
        return likelihood

    def _glimpses(self, images: Float[Tensor, "n 1 h w"], place: Tensor) -> Float[Tensor, "n slots patch patch"]:
        repeated = images.float().repeat_interleave(self.slots, dim=0)
        size = [len(repeated), 1, self.patch_size, self.patch_size]
        grid = F.affine_grid(_affine(self.scale, _centre(place)), size, align_corners=False)
        glimpses = F.grid_sample(repeated, grid, align_corners=False)
        return torch.as_tensor(glimpses).reshape(len(images), self.slots, self.patch_size, self.patch_size)

    def _placed(self, patches: Float[Tensor, "n slots pixels"], place: Tensor) -> Float[Tensor, "n slots 1 h w"]:
        small = (patches - BACKGROUND).reshape(-1, 1, self.patch_size, self.patch_size)
        grid = F.affine_grid(
            _affine(1 / self.scale, -_centre(place) / self.scale), [len(small), *self.image_shape], align_corners=False
        )
        # Outside of a patch there is zero above the background.
        canvas = F.grid_sample(small, grid, align_corners=False) + BACKGROUND
        return torch.as_tensor(canvas).reshape(len(patches), self.slots, *self.image_shape)


def _centre(place: Float[Tensor, "n slots 2"]) -> Float[Tensor, "m 2"]:
    """Where a patch's middle is, (x, y) from -1 to 1 over the canvas; never off it."""
    return place.flatten(0, 1).float().tanh()


def _affine(scale: float, shift: Float[Tensor, "m 2"]) -> Float[Tensor, "m 2 3"]:
    diagonal = scale * torch.eye(2, device=shift.device).expand(len(shift), 2, 2)
    return torch.cat([diagonal, shift.unsqueeze(2)], dim=2)

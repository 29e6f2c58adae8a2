"""Velocity: the base class of the networks of a flow prior, from latent, time and condition to a velocity."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

FREQUENCIES = 32
"""Number of sines, and of cosines, in the embedding of a number between 0 and 1."""


class Velocity(nn.Module):
    """The velocity of a noisy latent given time and condition. A subclass defines the network."""

    def __init__(self, num_features: int, width: int, guidance_input: float = 0.0) -> None:
        """Builds what all networks have in common.

        Args:
            num_features: length of a condition, or of the vector of each of its words.
            width: length of the embedding of time, length and condition.
            guidance_input: the largest guidance scale that the network reads; 0 if it reads none.
        """
        super().__init__()
        self.time = nn.Sequential(nn.Linear(4 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        # Without a bias, so that a condition of zeros stays the empty condition.
        self.condition = nn.Linear(num_features, width, bias=False)
        self.guidance_input = guidance_input
        # Not a layer, which would draw its initial weights and so change those of all that follow.
        self.guidance = nn.Parameter(torch.zeros(width, 2 * FREQUENCIES)) if guidance_input else None

    def forward(
        self,
        latent: Float[Tensor, "n *latent"],
        time: Float[Tensor, "n"],
        length: Float[Tensor, "n"],
        features: Float[Tensor, "n f"] | Float[Tensor, "n l f"],
        guidance: Float[Tensor, "n"] | None = None,
    ) -> Float[Tensor, "n *latent"]:
        """The mean velocity from ``time`` to ``time + length``; for a length of 0, the velocity at ``time``.

        Words whose features are all zeros are padding. ``guidance`` is the guidance scale; 1, or None, is no guidance.
        """
        condition, words, mask = self.read(features)
        embedding = self.time(torch.cat([_waves(time), _waves(length)], dim=1)) + condition
        if self.guidance is not None and guidance is not None:
            share = (guidance - 1) / (self.guidance_input - 1)
            embedding = embedding + F.linear(_waves(share) - _waves(torch.zeros_like(share)), self.guidance)
        return self._velocity(latent, F.silu(embedding), words, mask)

    def read(
        self, features: Float[Tensor, "n f"] | Float[Tensor, "n l f"]
    ) -> tuple[Float[Tensor, "n width"], Float[Tensor, "n l width"] | None, Bool[Tensor, "n l"] | None]:
        """Returns the embedding of a condition (the mean of its words), its words, and the mask of words and padding.

        Words and mask are None if a condition is one vector.
        """
        embedded = self.condition(features)
        if features.dim() == 2:
            return embedded, None, None
        mask = (features != 0).any(2)
        return embedded.sum(1) / mask.sum(1, keepdim=True).clamp_min(1), embedded, mask

    def _velocity(
        self,
        latent: Float[Tensor, "n *latent"],
        embedding: Float[Tensor, "n width"],
        words: Float[Tensor, "n l width"] | None,
        mask: Bool[Tensor, "n l"] | None,
    ) -> Float[Tensor, "n *latent"]:
        """The velocity.

        Args:
            latent: the noisy latent.
            embedding: embedding of time, length and the whole condition.
            words: the words of the condition; None where it is a vector.
            mask: which of them are words, not padding.
        """
        raise NotImplementedError


def zero_init(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """The layer with weights of zero, so that a residual block with it is the identity at first."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(cast(Tensor, layer.bias))
    return layer


def modulated_norm(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer normalisation over the last dimension, with a scale and a shift that depend on the input."""
    return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift


def _waves(number: Float[Tensor, "n"]) -> Float[Tensor, "n waves"]:
    """Sines and cosines of a number in [0, 1], from a quarter of a wave to a few hundred waves."""
    exponents = torch.linspace(0, math.log(300), FREQUENCIES, device=number.device)
    angles = number[:, None] * (0.5 * math.pi * exponents.exp())
    return torch.cat([angles.sin(), angles.cos()], dim=1)

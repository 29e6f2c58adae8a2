"""What every network of a flow prior has: a latent, a time and a condition go in, a velocity comes out."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

FREQUENCIES = 32
"""Sines and cosines each that tell the network a number between 0 and 1."""


class Velocity(nn.Module):
    """Which way a noisy latent should move, given the time and the condition; what it is made of is a subclass's."""

    def __init__(self, num_features: int, width: int) -> None:
        """``num_features`` is the size of a condition, or of each of its words."""
        super().__init__()
        self.time = nn.Sequential(nn.Linear(4 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        # No bias: a condition of zeros says nothing, also here.
        self.condition = nn.Linear(num_features, width, bias=False)

    def forward(
        self,
        latent: Float[Tensor, "n *latent"],
        time: Float[Tensor, "n"],
        stride: Float[Tensor, "n"],
        features: Float[Tensor, "n f"] | Float[Tensor, "n l f"],
    ) -> Float[Tensor, "n *latent"]:
        """The mean velocity from ``time`` to ``time + stride``; at stride 0, the velocity itself.

        A row of ``features`` that is all zeros is padding.
        """
        words, known = None, None
        asked = self.condition(features)
        if features.dim() == 3:
            known = (features != 0).any(2)
            words = asked
            asked = asked.sum(1) / known.sum(1, keepdim=True).clamp_min(1)
        told = F.silu(self.time(torch.cat([_waves(time), _waves(stride)], dim=1)) + asked)
        return self._velocity(latent, told, words, known)

    def _velocity(
        self,
        latent: Float[Tensor, "n *latent"],
        told: Float[Tensor, "n width"],
        words: Float[Tensor, "n l width"] | None,
        known: Bool[Tensor, "n l"] | None,
    ) -> Float[Tensor, "n *latent"]:
        """Of a latent, told the time, the stride and the condition as a whole, and its words where it has any."""
        raise NotImplementedError


def zero_init(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """The layer with weights of zero: what it adds to begins as the identity."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(cast(Tensor, layer.bias))
    return layer


def modulated_norm(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm over the last dimension, then shifted and scaled."""
    return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift


def _waves(number: Float[Tensor, "n"]) -> Float[Tensor, "n waves"]:
    """Sines and cosines of a number in [0, 1], from a quarter of a wave to a few hundred waves."""
    exponents = torch.linspace(0, math.log(300), FREQUENCIES, device=number.device)
    angles = number[:, None] * (0.5 * math.pi * exponents.exp())
    return torch.cat([angles.sin(), angles.cos()], dim=1)

"""MLPVelocity: the velocity network for latents that are vectors, a residual perceptron."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from textvae.priors.flow.velocity import Velocity, modulated_norm, zero_init


class MLPVelocity(Velocity):
    """Residual layers whose norms are modulated by time and condition.

    Source: the block of DiT (Peebles & Xie 2023, section 3.2, "adaLN-Zero") without attention, since a vector has no
    positions. For a sequence of words, their mean is used.
    """

    def __init__(
        self,
        latent_shape: tuple[int, ...],
        num_features: int,
        width: int,
        depth: int,
        untouched: int = 0,
        guidance_input: float = 0.0,
    ) -> None:
        """Builds the network.

        Args:
            latent_shape: of a latent.
            num_features: length of a condition, or of the vector of each of its words.
            width: features of the layers.
            depth: number of layers.
            untouched: number of leading latent dimensions that are neither read nor changed.
            guidance_input: see ``Velocity``.
        """
        super().__init__(num_features, width, guidance_input)
        self.latent_shape, self.untouched = latent_shape, untouched
        size = math.prod(latent_shape) - untouched
        self.into = nn.Linear(size, width)
        self.layers = nn.ModuleList(_Layer(width) for _ in range(depth))
        self.adapt = zero_init(nn.Linear(width, 2 * width))
        self.out = zero_init(nn.Linear(width, size))

    def _velocity(self, latent: Tensor, embedding: Tensor, words: Tensor | None, mask: Tensor | None) -> Tensor:
        x = self.into(latent.flatten(1)[:, self.untouched :])
        for layer in self.layers:
            x = layer(x, embedding)
        shift, scale = self.adapt(embedding).chunk(2, dim=1)
        found = self.out(modulated_norm(x, shift, scale))
        if self.untouched:
            found = torch.cat([found.new_zeros(len(found), self.untouched), found], dim=1)
        return cast(Tensor, found.reshape(-1, *self.latent_shape))


class _Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.adapt = zero_init(nn.Linear(width, 3 * width))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        shift, scale, gate = self.adapt(embedding).chunk(3, dim=1)
        return x + cast(Tensor, gate * self.mix(modulated_norm(x, shift, scale)))

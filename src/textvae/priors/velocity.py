"""The network of a flow prior: which way a noisy latent should move, given the time and the condition."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

FREQUENCIES = 32
"""Sines and cosines each that tell the network a number between 0 and 1."""


class Velocity(nn.Module):
    """A transformer over the places of a latent, every layer's norm adapted to time and condition.

    Source: DiT (Peebles & Xie 2023, section 3.2, "adaLN-Zero"). Square patches of a latent grid are the tokens; a
    vector latent is one token, and without others to attend to the network is a residual MLP. Words, where the
    condition is a sequence, are further tokens that the latent's attend to, in every layer.
    """

    def __init__(
        self, latent_shape: tuple[int, ...], num_features: int, width: int, depth: int, patch: int, heads: int
    ) -> None:
        """``num_features`` is the size of a condition, or of each of its words; ``patch`` the side of a token."""
        super().__init__()
        self.latent_shape = latent_shape
        self.patch = patch
        if len(latent_shape) == 3:
            channels, height, rows_width = latent_shape
            self.grid = (-(-height // patch), -(-rows_width // patch))
            size = channels * patch * patch
        else:
            self.grid = (1, 1)
            size = math.prod(latent_shape)
        places = self.grid[0] * self.grid[1]
        self.into = nn.Linear(size, width)
        self.places = nn.Parameter(0.02 * torch.randn(places, width))
        self.time = nn.Sequential(nn.Linear(4 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        # No bias: a condition of zeros says nothing, also here.
        self.condition = nn.Linear(num_features, width, bias=False)
        self.blocks = nn.ModuleList(_Block(width, heads, attends=places > 1) for _ in range(depth))
        self.adapt = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, size)
        # Zero at first, so that each layer begins as the identity and the whole as no movement.
        for layer in (self.adapt, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

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
        x = self.into(self._tokens(latent)) + self.places
        for block in self.blocks:
            x = block(x, told, words, known)
        shift, scale = self.adapt(told).unsqueeze(1).chunk(2, dim=2)
        return self._latent(self.out(_normed(x, shift, scale)))

    def _tokens(self, latent: Tensor) -> Tensor:
        if latent.dim() != 4:
            return latent.flatten(1).unsqueeze(1)
        height, width = latent.shape[2:]
        rows, columns = self.grid
        padded = F.pad(latent, (0, columns * self.patch - width, 0, rows * self.patch - height))
        return F.pixel_unshuffle(padded, self.patch).flatten(2).transpose(1, 2)

    def _latent(self, tokens: Tensor) -> Tensor:
        if len(self.latent_shape) != 3:
            return tokens.reshape(-1, *self.latent_shape)
        grid = F.pixel_shuffle(tokens.transpose(1, 2).reshape(len(tokens), -1, *self.grid), self.patch)
        return grid[:, :, : self.latent_shape[1], : self.latent_shape[2]]


class _Block(nn.Module):
    """Attention, where there is anything to attend to, then two linear layers; both gated, from zero."""

    def __init__(self, width: int, heads: int, attends: bool) -> None:
        super().__init__()
        self.heads = heads
        self.attends = attends
        if attends:
            self.queries_keys_values = nn.Linear(width, 3 * width)
            self.gather = nn.Linear(width, width)
        self.mix = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.adapt = nn.Linear(width, (6 if attends else 3) * width)
        nn.init.zeros_(self.adapt.weight)
        nn.init.zeros_(self.adapt.bias)

    def forward(self, x: Tensor, told: Tensor, words: Tensor | None, known: Bool[Tensor, "n l"] | None) -> Tensor:
        shift, scale, gate, *more = self.adapt(told).unsqueeze(1).chunk(6 if self.attends else 3, dim=2)
        x = x + gate * self.mix(_normed(x, shift, scale))
        if more:
            shift, scale, gate = more
            x = x + gate * self._attend(_normed(x, shift, scale), words, known)
        return x

    def _attend(self, x: Tensor, words: Tensor | None, known: Tensor | None) -> Tensor:
        places = x.shape[1]
        mask = None
        if words is not None and known is not None:
            x = torch.cat([x, F.layer_norm(words, words.shape[-1:])], dim=1)
            mask = torch.cat([known.new_ones(len(known), places), known], dim=1)[:, None, None]
        queries, keys, values = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.queries_keys_values(x).chunk(3, dim=2)
        )
        found = F.scaled_dot_product_attention(queries[:, :, :places], keys, values, attn_mask=mask)
        return cast(Tensor, self.gather(found.transpose(1, 2).flatten(2)))


def _normed(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift


def _waves(number: Float[Tensor, "n"]) -> Float[Tensor, "n waves"]:
    """Sines and cosines of a number in [0, 1], from a quarter of a wave to a few hundred waves."""
    exponents = torch.linspace(0, math.log(300), FREQUENCIES, device=number.device)
    angles = number[:, None] * (0.5 * math.pi * exponents.exp())
    return torch.cat([angles.sin(), angles.cos()], dim=1)

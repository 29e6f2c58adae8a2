"""UNetVelocity: the velocity network for latents on a grid, a small U-Net."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from textvae.priors.flow.velocity import Velocity, modulated_norm, zero_init


class UNetVelocity(Velocity):
    """Residual convolutions on the grid, on a grid of half the sides, and on the first grid again.

    Time and condition set the scale, shift and gate of each group normalisation (Dhariwal & Nichol 2021, section 3,
    "adaptive group normalization"). Where the condition is a sequence of words, the positions of the smaller grid
    attend to the words and to each other after each block. On small machines it learned faster than a transformer on
    patches (DiT); docs/experiment_log.md has the figures.
    """

    def __init__(
        self,
        latent_shape: tuple[int, ...],
        num_features: int,
        width: int,
        depth: int,
        sides: int,
        patch: int,
        heads: int,
        guidance_input: float = 0.0,
    ) -> None:
        """Builds the network.

        Args:
            latent_shape: channels, height, width.
            num_features: length of a condition, or of the vector of each of its words.
            width: channels of the smaller grid; the larger one has half of them.
            depth: residual blocks of the smaller grid.
            sides: residual blocks on the larger grid, both before and after the smaller one.
            patch: side of the square of latents that makes one position of the larger grid.
            heads: heads of the attention to words; 0 for conditions that are vectors.
            guidance_input: see ``Velocity``.
        """
        super().__init__(num_features, width, guidance_input)
        channels, self.height, self.width = latent_shape
        self.patch, fine, each = patch, width // 2, channels * patch * patch
        self.into = nn.Conv2d(each, fine, 3, padding=1)
        self.before = nn.ModuleList(_Residual(fine, width) for _ in range(sides))
        self.shrink = nn.Conv2d(4 * fine, width, 1)
        small = (-(-self.height // (2 * patch)), -(-self.width // (2 * patch)))
        self.places = nn.Parameter(0.02 * torch.randn(width, *small))
        self.middle = nn.ModuleList(_Residual(width, width) for _ in range(depth))
        self.attention = nn.ModuleList(_Attention(width, heads) for _ in range(depth if heads else 0))
        self.grow = nn.Conv2d(width, 4 * fine, 1)
        self.after = nn.ModuleList(_Residual(fine, width) for _ in range(sides))
        self.out = zero_init(nn.Conv2d(fine, each, 3, padding=1))

    def _velocity(self, latent: Tensor, embedding: Tensor, words: Tensor | None, mask: Tensor | None) -> Tensor:
        x = self.into(_squares(latent, self.patch))
        for block in self.before:
            x = block(x, embedding)
        small = self.shrink(_squares(x, 2)) + self.places
        for number, block in enumerate(self.middle):
            small = block(small, embedding)
            if words is not None and mask is not None:
                small = self.attention[number](small, embedding, words, mask)
        x = x + F.pixel_shuffle(self.grow(small), 2)[:, :, : x.shape[2], : x.shape[3]]
        for block in self.after:
            x = block(x, embedding)
        found = F.pixel_shuffle(self.out(F.silu(_group_norm(x))), self.patch)
        return found[:, :, : self.height, : self.width]


def _squares(x: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n d i j"]:
    """Makes each square of positions one position; sides that are not multiples are padded with zeros."""
    height, width = x.shape[2:]
    return F.pixel_unshuffle(F.pad(x, (0, -width % side, 0, -height % side)), side)


class _Residual(nn.Module):
    """A residual block of two convolutions, the second with a modulated norm; the identity at first."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = zero_init(nn.Conv2d(channels, channels, 3, padding=1))
        self.adapt = zero_init(nn.Linear(width, 3 * channels))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        shift, scale, gate = self.adapt(embedding)[:, :, None, None].chunk(3, dim=1)
        hidden = self.first(F.silu(_group_norm(x)))
        return x + cast(Tensor, (1 + gate) * self.second(F.silu(_group_norm(hidden) * (1 + scale) + shift)))


class _Attention(nn.Module):
    """Attention of the positions to the words and to each other, with a gate that is zero at first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Linear(width, width)
        self.keys_values = nn.Linear(width, 2 * width)
        self.gather = nn.Linear(width, width)
        self.adapt = zero_init(nn.Linear(width, 3 * width))

    def forward(
        self,
        grid: Float[Tensor, "n c h w"],
        embedding: Tensor,
        words: Float[Tensor, "n l c"],
        mask: Bool[Tensor, "n l"],
    ) -> Float[Tensor, "n c h w"]:
        shift, scale, gate = self.adapt(embedding).unsqueeze(1).chunk(3, dim=2)
        positions = modulated_norm(grid.flatten(2).transpose(1, 2), shift, scale)
        context = torch.cat([positions, F.layer_norm(words, words.shape[-1:])], dim=1)
        projected = (self.queries(positions), *self.keys_values(context).chunk(2, dim=2))
        queries, keys, values = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in projected)
        attended_to = torch.cat([mask.new_ones(positions.shape[:2]), mask], dim=1)[:, None, None]
        attended = _attention(queries, keys, values, attended_to)
        update = cast(Tensor, gate * self.gather(attended.transpose(1, 2).flatten(2)))
        return grid + update.transpose(1, 2).reshape(grid.shape)


def _attention(
    queries: Float[Tensor, "n h i d"],
    keys: Float[Tensor, "n h j d"],
    values: Float[Tensor, "n h j d"],
    mask: Bool[Tensor, "n 1 1 j"],
) -> Float[Tensor, "n h i d"]:
    """Scaled dot-product attention to what the mask allows."""
    if not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    # With gradients, torch's function takes three times as long on a CPU in bf16.
    scores = queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[3])
    return scores.masked_fill(~mask, -torch.inf).softmax(3) @ values


def _group_norm(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Group normalisation with sixteen channels a group, without weights."""
    channels = x.shape[1]
    return F.group_norm(x, 1 if channels % 16 else channels // 16)

"""The velocity of latents that keep their place in the image: a small U-Net."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from textvae.priors.flow.velocity import Velocity, modulated_norm, zero_init


class UNetVelocity(Velocity):
    """Convolutions over the grid, then over one of half the sides, then over the grid again.

    Each convolution is told time and condition by the shift, scale and gate of its norm (as in Dhariwal & Nichol 2021,
    section 3, "adaptive group normalization"). Where the condition is a sequence of words, the places of the small grid
    attend to them and to one another after each block.

    Beside a transformer over squares of the grid (DiT), at the same minutes of one core, on the latents of garments:
    after four minutes the Fréchet distance (judge) of unguided samples was 97 against 223, and the error of the
    velocity 1.18 against 1.30. A transformer in place of the small grid's convolutions came to 153. Without words,
    attention made every image dearer and none better.
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
    ) -> None:
        """Args:
        latent_shape: channels, height, width.
        num_features: size of a condition, or of each of its words.
        width: channels of the small grid; the other has half of them.
        depth: residual blocks of the small grid.
        sides: residual blocks before, and after.
        patch: side of the square of latents that is one place.
        heads: of the attention to words; 0 where conditions are no sequences.
        """
        super().__init__(num_features, width)
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

    def _velocity(self, latent: Tensor, told: Tensor, words: Tensor | None, known: Tensor | None) -> Tensor:
        x = self.into(_squares(latent, self.patch))
        for block in self.before:
            x = block(x, told)
        small = self.shrink(_squares(x, 2)) + self.places
        for number, block in enumerate(self.middle):
            small = block(small, told)
            if words is not None and known is not None:
                small = self.attention[number](small, told, words, known)
        x = x + F.pixel_shuffle(self.grow(small), 2)[:, :, : x.shape[2], : x.shape[3]]
        for block in self.after:
            x = block(x, told)
        found = F.pixel_shuffle(self.out(F.silu(_group_norm(x))), self.patch)
        return found[:, :, : self.height, : self.width]


def _squares(x: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n d i j"]:
    """Each square of places as one place; what the sides lack is filled with zeros."""
    height, width = x.shape[2:]
    return F.pixel_unshuffle(F.pad(x, (0, -width % side, 0, -height % side)), side)


class _Residual(nn.Module):
    """Two convolutions, the second adapted, added to what they read; nothing at first."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = zero_init(nn.Conv2d(channels, channels, 3, padding=1))
        self.adapt = zero_init(nn.Linear(width, 3 * channels))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        shift, scale, gate = self.adapt(told)[:, :, None, None].chunk(3, dim=1)
        seen = self.first(F.silu(_group_norm(x)))
        return x + cast(Tensor, (1 + gate) * self.second(F.silu(_group_norm(seen) * (1 + scale) + shift)))


class _Attention(nn.Module):
    """Places attend to words and to one another; gated, from zero."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Linear(width, width)
        self.keys_values = nn.Linear(width, 2 * width)
        self.gather = nn.Linear(width, width)
        self.adapt = zero_init(nn.Linear(width, 3 * width))

    def forward(
        self, grid: Float[Tensor, "n c h w"], told: Tensor, words: Float[Tensor, "n l c"], known: Bool[Tensor, "n l"]
    ) -> Float[Tensor, "n c h w"]:
        shift, scale, gate = self.adapt(told).unsqueeze(1).chunk(3, dim=2)
        places = modulated_norm(grid.flatten(2).transpose(1, 2), shift, scale)
        seen = torch.cat([places, F.layer_norm(words, words.shape[-1:])], dim=1)
        asked = (self.queries(places), *self.keys_values(seen).chunk(2, dim=2))
        queries, keys, values = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in asked)
        spoken = torch.cat([known.new_ones(places.shape[:2]), known], dim=1)[:, None, None]
        found = _attended(queries, keys, values, spoken)
        told_of = cast(Tensor, gate * self.gather(found.transpose(1, 2).flatten(2)))
        return grid + told_of.transpose(1, 2).reshape(grid.shape)


def _attended(
    queries: Float[Tensor, "n h i d"],
    keys: Float[Tensor, "n h j d"],
    values: Float[Tensor, "n h j d"],
    spoken: Bool[Tensor, "n 1 1 j"],
) -> Float[Tensor, "n h i d"]:
    """Scaled dot-product attention; what is not spoken is not attended to."""
    if not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=spoken)
    # Spelled out where gradients flow: torch's own, on a processor in bf16, is three times as slow there and back.
    scores = queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[3])
    return scores.masked_fill(~spoken, -torch.inf).softmax(3) @ values


def _group_norm(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Of sixteen channels each; what shifts and scales is the caller's."""
    channels = x.shape[1]
    return F.group_norm(x, 1 if channels % 16 else channels // 16)

"""AttributeClassifier: a small network for 64-pixel images with a head for each attribute, to judge generated ones."""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.models.base import Trainable
from textvae.models.losses import LossTerms
from textvae.utils.config import Count, Factor, Share, Size
from textvae.utils.random import Draws


class AttributeClassifier(Trainable):
    """Four convolutions of stride 2 with batch normalisation, and a linear layer of the logits of all attributes."""

    @dataclass(frozen=True)
    class Config:
        """Sizes of an AttributeClassifier, and the regularisation of its training."""

        values: tuple[Size, ...] = (2,)
        """Number of values of each attribute."""
        channels: tuple[Size, Size, Size, Size] = (16, 32, 64, 64)
        """Channels of the four convolutions (64 -> 32, 16, 8, 4 pixels)."""
        shift: Count = 2
        """Training images are shifted by up to this many pixels along each axis."""
        noise: Factor = 0.05
        """Most noise in training, as a standard deviation of pixels in [0, 1]; less on most images."""
        label_smoothing: Share = 0.05
        """Share of the target probability that is spread over all values of an attribute."""

        def build(self) -> "AttributeClassifier":
            """The model with initial weights."""
            return AttributeClassifier(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        before = 3
        for after in config.channels:
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            before = after
        self.convolutions = nn.Sequential(*layers)
        self.to_values = nn.Linear(before * 4 * 4, sum(config.values))

    def forward(self, images: Float[Tensor, "n 3 64 64"]) -> tuple[Float[Tensor, "n _"], ...]:
        """The logits of each attribute's values for images in [0, 1]."""
        logits = cast(Tensor, self.to_values(self.convolutions(images).flatten(1)))
        return torch.split(logits, list(self.config.values), dim=1)

    @torch.no_grad()
    def classify(self, images: Float[Tensor, "n 3 64 64"]) -> Int64[Tensor, "n attributes"]:
        """The most probable value of each attribute, for images in [0, 1]."""
        return torch.stack([logits.argmax(1) for logits in self(images)], dim=1)

    def loss(self, images: Float[Tensor, "n 3 64 64"], condition: Float[Tensor, "n values"], draws: Draws) -> LossTerms:
        """Mean cross-entropy, in nats, summed over the attributes that a caption names.

        ``condition`` has a one-hot part for each attribute, zeros where it is not named. In training the images are
        shifted at random, and get noise.
        """
        seen = self._disturbed(images, draws) if self.training else images
        smoothing = self.config.label_smoothing if self.training else 0.0
        total, wrong = images.new_zeros(len(images)), images.new_zeros(len(images))
        for logits, target in zip(self(seen), torch.split(condition, list(self.config.values), dim=1), strict=True):
            named = target.sum(1)
            label = target.argmax(1)
            errors = F.cross_entropy(logits.float(), label, label_smoothing=smoothing, reduction="none")
            total = total + named * errors
            wrong = wrong + named * (logits.argmax(1) != label)
        mean = total.mean()
        return LossTerms(mean, {"cross_entropy": mean.detach(), "error_rate": (wrong > 0).float().mean()})

    def _disturbed(self, images: Tensor, draws: Draws) -> Tensor:
        shift = self.config.shift
        padded = F.pad(images, (shift, shift, shift, shift), mode="replicate")
        down, right = draws.integers(2 * shift + 1, 2, 1).unbind(1)
        side = torch.arange(images.shape[-1], device=images.device)
        index = torch.arange(len(images), device=images.device)[:, None, None]
        moved = padded[index, :, (down + side)[:, :, None], (right + side)[:, None, :]].permute(0, 3, 1, 2)
        noise = self.config.noise * draws.uniform(1, 1, 1) * draws.normal(*images.shape[1:])
        return (moved + noise).clamp(0, 1).contiguous(memory_format=torch.channels_last)

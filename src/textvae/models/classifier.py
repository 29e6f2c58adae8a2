"""Classifier: a small network for 28-pixel images, trained on real images, that judges generated ones."""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.models.base import Trainable
from textvae.models.layers import Dropout
from textvae.models.losses import LossTerms
from textvae.utils.config import Count, Share, Size
from textvae.utils.random import Draws


class Classifier(Trainable):
    """Convolutions with batch normalisation in three stages, a layer of features, and a layer of class logits."""

    @dataclass(frozen=True)
    class Config:
        """Sizes of a Classifier, and the regularisation of its training."""

        num_classes: Size = 10
        """Number of classes."""
        channels: tuple[Size, Size, Size] = (32, 64, 128)
        """Channels of the three stages (28 -> 14 -> 7 pixels)."""
        features: Size = 128
        """Width of the last hidden layer: the features of the Fréchet distance "judge"."""
        shift: Count = 2
        """Training images are shifted by up to this many pixels along each axis."""
        dropout: Share = 0.3
        """Dropout rate of the features in training."""
        label_smoothing: Share = 0.05
        """Share of the target probability that is spread over all classes."""

        def build(self) -> "Classifier":
            """The model with initial weights."""
            return Classifier(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        first, second, third = config.channels
        self.convolutions = nn.Sequential(
            *_stage(1, first),
            nn.MaxPool2d(2),
            *_stage(first, second),
            *_stage(second, second),
            nn.MaxPool2d(2),
            *_stage(second, third),
        )
        self.to_features = nn.Linear(third * 7 * 7, config.features)
        self.dropout = Dropout(config.dropout)
        self.to_classes = nn.Linear(config.features, config.num_classes)

    def features(self, images: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, "n features"]:
        """The last hidden layer before its ReLU, whose distribution is closer to a Gaussian than after it."""
        return cast(Tensor, self.to_features(self.convolutions(images).flatten(1)))

    def forward(self, images: Float[Tensor, "n 1 28 28"], draws: Draws | None = None) -> Float[Tensor, "n classes"]:
        """Class logits for images in [0, 1]; dropout in training needs ``draws``."""
        return cast(Tensor, self.to_classes(self.dropout(F.relu(self.features(images)), draws)))

    @torch.no_grad()
    def classify(self, images: Float[Tensor, "n 1 28 28"]) -> Int64[Tensor, "n"]:
        """The most probable class of each image, for images in [0, 1]."""
        return cast(Tensor, self(images)).argmax(1)

    def loss(
        self, images: Float[Tensor, "n 1 28 28"], condition: Float[Tensor, "n classes"], draws: Draws
    ) -> LossTerms:
        """Cross-entropy with the one-hot label, in nats; in training the images are shifted at random."""
        logits = self(self._shifted(images, draws) if self.training else images, draws).float()
        smoothing = self.config.label_smoothing if self.training else 0.0
        cross_entropy = F.cross_entropy(logits, condition, label_smoothing=smoothing)
        errors = (logits.argmax(1) != condition.argmax(1)).float().mean()
        return LossTerms(cross_entropy, {"cross_entropy": cross_entropy.detach(), "error_rate": errors})

    def _shifted(self, images: Tensor, draws: Draws) -> Tensor:
        n, shift = len(images), self.config.shift
        padded = F.pad(images, (shift, shift, shift, shift))
        down, right = draws.integers(2 * shift + 1, 2, 1).unbind(1)
        side = torch.arange(images.shape[-1], device=images.device)
        rows, columns = down + side, right + side
        index = torch.arange(n, device=images.device)[:, None, None]
        moved = padded[index, 0, rows[:, :, None], columns[:, None, :]]
        return moved.unsqueeze(1).contiguous(memory_format=torch.channels_last)


def _stage(before: int, after: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    return nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()

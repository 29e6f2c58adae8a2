"""Colour histograms of images, and a linear classifier of colours on them.

There are no fixed pixel values for what people call a red flower: leaves surround it and light varies. So the
classifier is fitted to real images of known colour. It sees the colours near the centre of an image and no shapes.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor

from textvae.evaluation.metrics.chunks import chunks

HUES, VALUES = 18, 4
WINDOWS = (0.15, 0.3)
"""Standard deviations of the Gaussian windows around the centre, as fractions of the image's sides."""
SHRINKAGE = 0.1


@dataclass(frozen=True)
class ColourClassifier:
    """A linear discriminant on colour histograms: equal prior probabilities, one covariance for all colours."""

    weights: Float64[Tensor, "features colours"]
    offsets: Float64[Tensor, "colours"]

    @classmethod
    def fit(
        cls, histograms: Float64[Tensor, "n features"], colours: Int64[Tensor, "n"], num_colours: int
    ) -> "ColourClassifier":
        """Fits the discriminant to histograms of images whose colours are known.

        Raises:
            ValueError: a colour has fewer than two images.
        """
        counts = colours.bincount(minlength=num_colours)
        if int(counts.min()) < 2:
            raise ValueError(f"colour {int(counts.argmin())} has {int(counts.min())} images, and needs at least two")
        means = torch.stack([histograms[colours == number].mean(0) for number in range(num_colours)])
        centred = histograms - means[colours]
        covariance = centred.T @ centred / len(centred)
        ridge = covariance.trace() / len(covariance) * torch.eye(len(covariance), dtype=torch.float64)
        weights = torch.linalg.solve((1 - SHRINKAGE) * covariance + SHRINKAGE * ridge, means.T)
        return cls(weights, -0.5 * (means.T * weights).sum(0))

    def predict(self, histograms: Float64[Tensor, "n features"]) -> Int64[Tensor, "n"]:
        """The index of the colour of each image."""
        return (histograms @ self.weights + self.offsets).argmax(1)


def colour_histograms(images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, "n features"]:
    """Square roots of histograms under two windows: hue and value weighted by saturation, and grey for the rest.

    Each pixel is divided linearly between neighbouring bins, so that no colour lies at an edge.
    """
    return torch.cat([_histograms(batch) for batch in chunks(images)]).sqrt().double()


def _histograms(images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n features"]:
    hue, saturation, value = hue_saturation_value(images.float() / 255)
    hue = hue * HUES
    first_hue, hue_rest = hue.long() % HUES, hue.frac()
    value = value * (VALUES - 1)
    first_value = value.long().clamp(max=VALUES - 2)
    value_rest = value - first_value
    hues = [
        (first_hue, saturation * (1 - hue_rest)),
        ((first_hue + 1) % HUES, saturation * hue_rest),
        (torch.full_like(first_hue, HUES), 1 - saturation),
    ]
    found = []
    for width in WINDOWS:
        window = _window(images.shape[2], width)[:, None] * _window(images.shape[3], width)
        bins = torch.zeros(len(images), (HUES + 1) * VALUES)
        for hue_bin, hue_weight in hues:
            for value_bin, value_weight in ((first_value, 1 - value_rest), (first_value + 1, value_rest)):
                weight = window * hue_weight * value_weight
                bins.scatter_add_(1, (hue_bin * VALUES + value_bin).flatten(1), weight.flatten(1))
        found.append(bins)
    return torch.cat(found, dim=1)


def hue_saturation_value(
    images: Float[Tensor, "n 3 h w"],
) -> tuple[Float[Tensor, "n h w"], Float[Tensor, "n h w"], Float[Tensor, "n h w"]]:
    """Hue in [0, 1) with red at 0, green at 1/3 and blue at 2/3; saturation and value in [0, 1] (Smith 1978)."""
    red, green, blue = images.unbind(1)
    value, spread = images.amax(1), images.amax(1) - images.amin(1)
    divisor = spread.clamp_min(1e-6)
    of_red, of_green, of_blue = (green - blue) / divisor, (blue - red) / divisor + 2, (red - green) / divisor + 4
    hue = torch.where(value == red, of_red, torch.where(value == green, of_green, of_blue)) / 6 % 1
    return hue, spread / value.clamp_min(1e-6), value


def _window(side: int, width: float) -> Float[Tensor, "side"]:
    place = (torch.arange(side) - (side - 1) / 2) / side
    weights = (-0.5 * (place / width).square()).exp()
    return weights / weights.sum()

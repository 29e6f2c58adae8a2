"""Does a picture show the colour that its caption names? A reader of colours, calibrated on real photographs.

What people call a red flower has no fixed pixel values: leaves surround it, light varies, pink begins somewhere. So the
measure is fitted, on real training images whose captions name exactly one colour, and its accuracy on real test images
is the rate against which drawn images are to be read. It sees colours near the middle of the image and nothing else,
so it can't mistake a shape for a colour.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages

_WORDS = {
    *("beige", "black", "blue", "bronze", "brown", "burgundy", "charcoal", "copper", "cream", "gold", "golden", "gray"),
    *("green", "grey", "khaki", "lavender", "magenta", "maroon", "navy", "olive", "orange", "peach", "pink", "purple"),
    *("red", "rust", "silver", "tan", "teal", "turquoise", "violet", "white", "yellow"),
}
"""Whatever else names a colour: a caption with two of these names none."""

HUES, VALUES = 18, 4
WINDOWS = (0.15, 0.3)
"""Standard deviations of the Gaussian windows around the middle, as shares of the image's sides."""
SHRINKAGE = 0.1


def named_colour(captions: Sequence[str], colours: Sequence[str]) -> Int64[Tensor, "n"]:
    """The number of the one colour that each caption names; -1 where it names none, several, or another."""
    found = []
    for caption in captions:
        named = _WORDS.intersection(re.findall(r"[a-z]+", caption.casefold()))
        found.append(colours.index(next(iter(named))) if len(named) == 1 and named <= set(colours) else -1)
    return torch.tensor(found, dtype=torch.int64)


@dataclass(frozen=True)
class ColourReport:
    """How often the named colour is seen."""

    accuracy: float
    """Share of the images whose caption names one colour that show it."""
    count: int
    """Of those images."""
    by_colour: Mapping[str, float]
    """The same for each colour that a caption names."""


@dataclass(frozen=True)
class ColourReader:
    """A linear discriminant on histograms of hue and value: colours equally likely, one covariance for all."""

    colours: tuple[str, ...]
    weights: Float64[Tensor, "features colours"]
    offsets: Float64[Tensor, "colours"]

    @classmethod
    def fit(cls, train: CaptionedImages, colours: tuple[str, ...]) -> "ColourReader":
        """Calibrates on the images of which all captions together name exactly one colour.

        Raises:
            ValueError: a colour has fewer than two such images.
        """
        captions = [" ".join(train.captions[start:stop]) for start, stop in train.caption_range.tolist()]
        named = named_colour(captions, colours)
        chosen = (named >= 0).nonzero().flatten()
        counts = named[chosen].bincount(minlength=len(colours))
        if int(counts.min()) < 2:
            raise ValueError(f"only {int(counts.min())} images are called {colours[int(counts.argmin())]}")
        features, which = colour_features(train.images[chosen]), named[chosen]
        means = torch.stack([features[which == number].mean(0) for number in range(len(colours))])
        centred = features - means[which]
        covariance = centred.T @ centred / len(centred)
        ridge = covariance.trace() / len(covariance) * torch.eye(len(covariance), dtype=torch.float64)
        weights = torch.linalg.solve((1 - SHRINKAGE) * covariance + SHRINKAGE * ridge, means.T)
        return cls(colours, weights, -0.5 * (means.T * weights).sum(0))

    def read(self, images: UInt8[Tensor, "n 3 h w"]) -> Int64[Tensor, "n"]:
        """The colour that each image shows, by number."""
        return (colour_features(images) @ self.weights + self.offsets).argmax(1)

    def report(self, images: UInt8[Tensor, "n 3 h w"], captions: Sequence[str]) -> ColourReport | None:
        """How often an image shows the colour that its caption names; None where no caption names one."""
        named = named_colour(captions, self.colours)
        chosen = (named >= 0).nonzero().flatten()
        if not len(chosen):
            return None
        right = (self.read(images[chosen]) == named[chosen]).double()
        by_colour = {
            colour: float(right[named[chosen] == number].mean())
            for number, colour in enumerate(self.colours)
            if (named == number).any()
        }
        return ColourReport(float(right.mean()), len(chosen), by_colour)


def colour_features(images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, "n features"]:
    """Square roots of histograms under two windows: hue and value, weighted by saturation, and grey for the rest.

    Each pixel is shared linearly between neighbouring bins, so that no colour lies at an edge.
    """
    return torch.cat([_histograms(batch) for batch in torch.split(images, 500)]).sqrt().double()


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
        for hue_bin, hue_share in hues:
            for value_bin, value_share in ((first_value, 1 - value_rest), (first_value + 1, value_rest)):
                share = window * hue_share * value_share
                bins.scatter_add_(1, (hue_bin * VALUES + value_bin).flatten(1), share.flatten(1))
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

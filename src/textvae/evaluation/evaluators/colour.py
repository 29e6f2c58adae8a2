"""Whether generated images show the colour that their caption names."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from textvae import data
from textvae.data.captioned_images import CaptionedImages
from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.measurement import Measurement
from textvae.evaluation.metrics.chunks import chunk_rows
from textvae.evaluation.metrics.colour import ColourClassifier, colour_histograms

_COLOUR_WORDS = {
    *("beige", "black", "blue", "bronze", "brown", "burgundy", "charcoal", "copper", "cream", "gold", "golden", "gray"),
    *("green", "grey", "khaki", "lavender", "magenta", "maroon", "navy", "olive", "orange", "peach", "pink", "purple"),
    *("red", "rust", "silver", "tan", "teal", "turquoise", "violet", "white", "yellow"),
}
"""All words that name a colour: a caption with two of them is not used."""
PLAIN = ("black", "white", "red", "blue", "green", "yellow", "orange", "pink", "purple", "brown")
"""Colours that are judged of pictures about which nothing is known."""
LEAST_NAMED = 20
"""Training images that must show a colour for it to be judged: a set may be a small part of a known one."""


@dataclass(frozen=True)
class ColourReport:
    """How often the named colour is seen."""

    accuracy: float
    """Fraction of the images whose caption names one colour that show it."""
    count: int
    """Number of those images."""
    by_colour: Mapping[str, float]
    """The accuracy for each colour that a caption names."""


@dataclass(frozen=True)
class ColourJudge:
    """A classifier of colours, fitted to the training images whose captions name exactly one colour."""

    colours: tuple[str, ...]
    classifier: ColourClassifier

    @classmethod
    def fit(cls, train: CaptionedImages, colours: tuple[str, ...]) -> "ColourJudge":
        """Fits the classifier; an image counts if all its captions together name exactly one colour.

        Raises:
            ValueError: a colour has fewer than two such images.
        """
        named = named_colours(train.texts(), colours)
        chosen = (named >= 0).nonzero().flatten()
        return cls(colours, ColourClassifier.fit(_histograms(train.images, chosen), named[chosen], len(colours)))

    def classify(self, images: UInt8[Tensor, "n 3 h w"]) -> Int64[Tensor, "n"]:
        """The index of the colour that each image shows."""
        return self.classifier.predict(colour_histograms(images))

    def report(self, images: UInt8[Tensor, "n 3 h w"], captions: Sequence[str]) -> ColourReport | None:
        """How often an image shows the colour that its caption names; None if no caption names one."""
        named = named_colours(captions, self.colours)
        chosen = (named >= 0).nonzero().flatten()
        if not len(chosen):
            return None
        right = (self.classifier.predict(_histograms(images, chosen)) == named[chosen]).double()
        by_colour = {
            colour: float(right[named[chosen] == number].mean())
            for number, colour in enumerate(self.colours)
            if (named == number).any()
        }
        return ColourReport(float(right.mean()), len(chosen), by_colour)


def colour(context: EvaluationContext) -> Measurement:
    """``colour``: how often generated images show the named colour, and ``real`` images for comparison."""
    if not context.in_colour:
        return Measurement()
    colours = judged_colours(context.run.recipe.data, context.train)
    if len(colours) < 2:
        return Measurement()
    judge = ColourJudge.fit(context.train, colours)
    generated = judge.report(context.generated.images, context.captions)
    real = judge.report(context.images.images, context.captions)
    if generated is None or real is None:
        return Measurement()
    return Measurement({"colour": dict(vars(generated)) | {"real": real.accuracy}})


def colours_of(data_name: str) -> tuple[str, ...]:
    """The colours that are judged of a data set; empty if there are none."""
    photographs = data.photographs(data_name)
    return photographs.colours if photographs else ()


def judged_colours(data_name: str, train: CaptionedImages) -> tuple[str, ...]:
    """The colours of a data set, or ``PLAIN`` ones, that enough images have as the only colour in their captions."""
    known = colours_of(data_name) if data.photographs(data_name) else PLAIN
    counts = torch.bincount(named_colours(train.texts(), known) + 1, minlength=len(known) + 1)[1:]
    return tuple(colour for colour, count in zip(known, counts.tolist(), strict=True) if count >= LEAST_NAMED)


def named_colours(captions: Iterable[str], colours: Sequence[str]) -> Int64[Tensor, "n"]:
    """The index of the one colour that each caption names; -1 if it names none, several, or one not in ``colours``."""
    found = []
    for caption in captions:
        named = _COLOUR_WORDS.intersection(re.findall(r"[a-z]+", caption.casefold()))
        found.append(colours.index(next(iter(named))) if len(named) == 1 and named <= set(colours) else -1)
    return torch.tensor(found, dtype=torch.int64)


def _histograms(images: UInt8[Tensor, "n 3 h w"], chosen: Int64[Tensor, "m"]) -> Float64[Tensor, "m features"]:
    """Histograms of some images; only a chunk of them is copied at a time."""
    return torch.cat([colour_histograms(images[part]) for part in torch.split(chosen, chunk_rows(images))])

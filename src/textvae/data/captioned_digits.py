"""MNIST with captions that mean its digits: ``digits-label``, ``-sentence``, ``-logic`` and ``-arithmetic``.

Those that end in ``-60k`` divide the images as paper d's authors do in their program.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from textvae.data.caption_splits import FAMILIES, Family
from textvae.data.captioned_images import CaptionedImages
from textvae.data.download import to_stderr
from textvae.data.mirrors import RemoteFile, Say
from textvae.data.mnist import MNIST

TRAIN_IMAGES = 55_000
"""Of MNIST's 60,000 training images; the others are for validation. The paper does not state its division."""


def mnist_part(split: str) -> CaptionedImages:
    """MNIST divided into train (the first 55,000), val (the 5,000 after them) and test (10,000, as published).

    Any split whose name begins with "test" has the test images.

    Raises:
        UserError: MNIST cannot be fetched, or is damaged.
    """
    if split.startswith("test"):
        return MNIST.load("test")
    images = MNIST.load("train")
    return images.first(TRAIN_IMAGES) if split == "train" else _last(images, len(images) - TRAIN_IMAGES)


@dataclass(frozen=True)
class MadeOfMnist:
    """The facts that all data sets made from MNIST's files have in common."""

    home = MNIST.home
    terms = MNIST.terms
    files: tuple[RemoteFile, ...] = MNIST.files
    mirrors: tuple[str, ...] = MNIST.mirrors

    def find(self) -> Path | None:
        """MNIST's folder; None before it is fetched."""
        return MNIST.find()

    def fetch(self, say: Say = to_stderr) -> Path:
        """Fetches MNIST if it is not there; returns its folder."""
        return MNIST.fetch(say)


@dataclass(frozen=True)
class CaptionedDigits(MadeOfMnist):
    """Digits, each with all captions of one kind that mean it; training draws one of them a step.

    Source: Angelard-Gontier et al., "Variational Encoder Decoder for Image Generation Conditioned on Captions",
    section 3.1. The images stay grey, as in MNIST; the paper calls them binary.
    """

    family: Family = FAMILIES["label"]
    validates_on_test: bool = False
    """Train on all 60,000 training images and validate on the test images, as the paper's authors' program does."""

    @property
    def name(self) -> str:
        """As on the command line."""
        return f"digits-{self.family.name}" + ("-60k" if self.validates_on_test else "")

    @property
    def title(self) -> str:
        """The images and the kind of captions, in one line."""
        images = "all 60,000 training images of MNIST" if self.validates_on_test else "MNIST"
        return f"{images} with captions: {self.family.summary}"

    @property
    def splits(self) -> tuple[str, ...]:
        """Train, val, test, and the kinds of test captions, each with all test images."""
        return self.family.splits

    def load(self, split: str) -> CaptionedImages:
        """The images of ``mnist_part`` (or of MNIST's own division) with the family's captions of that split.

        Raises:
            UserError: MNIST cannot be fetched, or is damaged.
        """
        digits = MNIST.load("train" if split == "train" else "test") if self.validates_on_test else mnist_part(split)
        assert digits.labels is not None
        captions = self.family.captions(split)
        counts = torch.bincount(torch.tensor([digit for _, digit in captions]), minlength=10)
        stop = counts.cumsum(0)
        ranges = torch.stack([stop - counts, stop], dim=1)
        return CaptionedImages(
            self.name,
            split,
            digits.images,
            tuple(caption for caption, _ in captions),
            ranges[digits.labels],
            digits.labels,
            digits.class_names,
        )


CAPTIONED_DIGITS = tuple(
    CaptionedDigits(family=family, validates_on_test=on_test)
    for on_test in (False, True)
    for family in FAMILIES.values()
)


def _last(images: CaptionedImages, count: int) -> CaptionedImages:
    return CaptionedImages(
        images.name,
        images.split,
        images.images[-count:],
        images.captions,
        images.caption_range[-count:],
        None if images.labels is None else images.labels[-count:],
        images.class_names,
    )

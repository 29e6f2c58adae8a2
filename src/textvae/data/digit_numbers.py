"""``digit-numbers``: numbers from 0 to 99 in MNIST's digits on a canvas of 60 x 60 pixels, captioned by calculations.

Source: ours, after the future work of paper d, section 5 ("more complex arithmetic operations"). All random choices
have fixed seeds.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from textvae.data.captioned_digits import MadeOfMnist, mnist_part
from textvae.data.captioned_images import CaptionedImages
from textvae.data.digit_scenes import CANVAS, PATCH, halves, paint
from textvae.data.expression_splits import expressions
from textvae.text.expression_grammar import LARGEST

JITTER = 2
"""How many pixels a digit may be off its place, in each direction."""

SIZES = {"train": 55_000, "val": 5_000, "test": 10_000, "test-unseen": 10_000, "test-longer": 10_000}
"""Images by split; all tests have MNIST's test digits."""


@dataclass(frozen=True)
class DigitNumbers(MadeOfMnist):
    """Numbers on black, the units in the right half; the left half of a number below ten is empty."""

    name: str = "digit-numbers"
    title: str = "Numbers from 0 to 99 in MNIST's digits on a 60-pixel canvas, captioned by calculations with brackets"
    splits: tuple[str, ...] = tuple(SIZES)
    most: int = 0
    """Calculations for each number, if fewer than ``expression_splits.MOST``."""

    def load(self, split: str) -> CaptionedImages:
        """Composes the images of a split, always the same ones, all numbers equally often (for train, 15 seconds).

        Raises:
            UserError: MNIST cannot be fetched, or is damaged.
        """
        digits = mnist_part(split)
        assert digits.labels is not None
        rng = np.random.default_rng([99, list(SIZES).index(split)])
        numbers = rng.permutation(np.arange(SIZES[split]) % (LARGEST + 1))
        captions = expressions(split, self.most)
        stop = torch.bincount(torch.tensor([value for _, value in captions]), minlength=LARGEST + 1).cumsum(0)
        ranges = torch.stack([torch.cat([stop.new_zeros(1), stop[:-1]]), stop], dim=1)
        images = compose_numbers(digits.images[:, 0], digits.labels, torch.from_numpy(numbers), rng)
        captioned = tuple(caption for caption, _ in captions)
        return CaptionedImages(self.name, split, images, captioned, ranges[torch.from_numpy(numbers)])


DIGIT_NUMBERS = DigitNumbers()


def compose_numbers(
    digits: UInt8[Tensor, "m 28 28"], labels: Int64[Tensor, "m"], numbers: Int64[Tensor, "n"], rng: np.random.Generator
) -> UInt8[Tensor, "n 1 60 60"]:
    """A picture of each number, its digits drawn from ``digits`` with the right label."""
    canvas = np.zeros((len(numbers), 1, CANVAS, CANVAS), np.uint8)
    by_label = [np.flatnonzero(labels.numpy() == label) for label in range(10)]
    for place, (wanted, shown) in enumerate(
        ((numbers // 10, numbers > 9), (numbers % 10, torch.ones_like(numbers, dtype=torch.bool)))
    ):
        chosen = np.array([by_label[label][int(rng.random() * len(by_label[label]))] for label in wanted.tolist()])
        top, left = ((CANVAS - PATCH) // 2, (CANVAS // 2 - PATCH) // 2 + place * CANVAS // 2)
        off = rng.integers(-JITTER, JITTER, (2, len(numbers)), endpoint=True)
        half = np.zeros_like(canvas[:, 0])
        paint(half, digits.numpy(), chosen, top + off[0], left + off[1])
        half[~shown.numpy()] = 0
        canvas[:, 0] = np.maximum(canvas[:, 0], half)
    return torch.from_numpy(canvas)


def digit_halves(
    images: UInt8[Tensor, "n 1 60 60"],
) -> tuple[UInt8[Tensor, "n 1 28 28"], UInt8[Tensor, "n 1 28 28"], Bool[Tensor, "n"]]:
    """The tens and the units of numbers, cut out for a classifier, and whether there are tens at all.

    A half without any pixel brighter than half of white counts as empty.
    """
    tens, units = halves(images, ["left"] * len(images))
    return tens, units, images[..., : CANVAS // 2].flatten(1).amax(1) > 127

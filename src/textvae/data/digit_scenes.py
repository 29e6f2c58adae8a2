"""``digit-scenes``: two MNIST digits on a canvas of 60 x 60 pixels, one beside the other, with pairs held out.

Source: the task of Mansimov et al., "Generating Images from Captions with Attention" (2016). Pictures, sizes of splits
and held-out pairs are ours. All random choices have fixed seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, Shaped, UInt8
from torch import Tensor

from textvae.data.captioned_digits import MadeOfMnist, mnist_part
from textvae.data.captioned_images import CaptionedImages
from textvae.text.scene_grammar import Relation, Scene, scene_caption

CANVAS = 60
"""Pixels a side."""

PATCH = 28
"""Pixels a side of one digit's picture."""

JITTER = 6
"""How many pixels a digit may be off the middle across the relation, so that "left of" is never "above" too."""

SIZES = {"train": 60_000, "val": 5_000, "test": 10_000, "test-seen": 10_000}
"""Images by split. "test" has the held-out pairs, the others all other pairs; both tests have MNIST's test digits."""

HELD_OUT: frozenset[frozenset[int]] = frozenset(
    frozenset(pair) for pair in ((0, 5), (5, 3), (3, 8), (8, 1), (1, 6), (6, 9), (9, 2), (2, 7), (7, 4), (4, 0))
)
"""Pairs that training never has, in any order or relation: 10 of 45, each digit in two of them."""


@dataclass(frozen=True)
class DigitScenes(MadeOfMnist):
    """Two digits on black. Every image has its two true captions ("3 left of 9" and "9 right of 3", in words)."""

    name: str = "digit-scenes"
    title: str = "Two MNIST digits on a 60-pixel canvas, captioned; 10 of 45 pairs of digits are held out"
    splits: tuple[str, ...] = tuple(SIZES)

    def load(self, split: str) -> CaptionedImages:
        """Composes the images of a split, always the same ones (for train, two seconds and 216 MB).

        There are no class labels; ``parse_scene`` reads the captions.

        Raises:
            UserError: MNIST cannot be fetched, or is damaged.
        """
        digits = mnist_part(split)
        assert digits.labels is not None
        scenes = scenes_of(split)
        rng = np.random.default_rng([60, list(SIZES).index(split)])
        number = rng.permutation(np.arange(SIZES[split]) % len(scenes))
        images = compose(digits.images[:, 0], digits.labels, [scenes[n] for n in number], rng)
        start = torch.from_numpy(number * 2)
        return CaptionedImages(
            self.name,
            split,
            images,
            tuple(caption for scene in scenes for caption in captions_of(scene)),
            torch.stack([start, start + 2], dim=1),
        )


DIGIT_SCENES = DigitScenes()


def scenes_of(split: str) -> list[Scene]:
    """The distinct scenes of a split, each once, with "left" or "above"."""
    held_out = split == "test"
    return [
        Scene(first, second, relation)
        for relation in _SAID_WITH
        for first in range(10)
        for second in range(10)
        if (frozenset((first, second)) in HELD_OUT) == held_out
    ]


def captions_of(scene: Scene) -> tuple[str, str]:
    """The two true captions of a scene, its own first."""
    first, second, relation = scene
    return scene_caption(scene), scene_caption(Scene(second, first, _OPPOSITE[relation]))


def compose(
    digits: UInt8[Tensor, "m 28 28"], labels: Int64[Tensor, "m"], scenes: Sequence[Scene], rng: np.random.Generator
) -> UInt8[Tensor, "n 1 60 60"]:
    """A picture of each scene, its digits drawn from ``digits`` with the right label.

    Each digit is wholly in its half, at least a pixel away from the middle line, so the two never touch.
    """
    beside = np.array([relation in ("left", "right") for _, _, relation in scenes])
    swapped = np.array([relation in ("right", "below") for _, _, relation in scenes])
    pairs = np.array([(first, second) for first, second, _ in scenes]).reshape(-1, 2)
    pairs[swapped] = pairs[swapped, ::-1]

    by_label = np.argsort(labels.numpy(), kind="stable")
    counts = np.bincount(labels.numpy(), minlength=10)
    chosen = by_label[(np.cumsum(counts) - counts)[pairs] + (rng.random(pairs.shape) * counts[pairs]).astype(int)]

    ink = digits > 0
    columns, rows = ink.any(1).numpy(), ink.any(2).numpy()
    canvas = np.zeros((len(scenes), 1, CANVAS, CANVAS), np.uint8)
    for side in (0, 1):
        patches = chosen[:, side]
        along = np.where(beside[:, None], columns[patches], rows[patches])
        begin, end = along.argmax(1), PATCH - along[:, ::-1].argmax(1)
        # The ink occupies [begin, end) of the patch; its half of the canvas is [0, 29) or [31, 60).
        half = CANVAS // 2
        low, high = (0, half - 1) if side == 0 else (half + 1, CANVAS)
        main = rng.integers(low - begin, high - end, endpoint=True)
        middle = (CANVAS - PATCH) // 2
        cross = rng.integers(middle - JITTER, middle + JITTER, len(scenes), endpoint=True)
        paint(canvas[:, 0], digits.numpy(), patches, np.where(beside, cross, main), np.where(beside, main, cross))
    return torch.from_numpy(canvas)


def paint(canvas: np.ndarray, digits: np.ndarray, patches: np.ndarray, top: np.ndarray, left: np.ndarray) -> None:
    """Adds a patch to each canvas; ``top`` and ``left`` may lie outside by less than a patch, where there is no ink."""
    # In chunks, because the border for the overhang would double the memory of all canvases.
    for start in range(0, len(canvas), 4096):
        part = slice(start, start + 4096)
        bordered = np.zeros((len(canvas[part]), CANVAS + 2 * PATCH, CANVAS + 2 * PATCH), np.uint8)
        windows = np.lib.stride_tricks.sliding_window_view(bordered, (PATCH, PATCH), (1, 2), writeable=True)
        windows[np.arange(len(bordered)), top[part] + PATCH, left[part] + PATCH] = digits[patches[part]]
        canvas[part] += bordered[:, PATCH:-PATCH, PATCH:-PATCH]


def halves(
    images: Shaped[Tensor, "n c 60 60"], relations: Sequence[Relation]
) -> tuple[Shaped[Tensor, "n c 28 28"], Shaped[Tensor, "n c 28 28"]]:
    """The first and the second digit of each scene, cut out for a classifier of 28-pixel digits.

    Args:
        images: scenes, real or generated, black at zero, integers or in [0, 1].
        relations: of each image's first digit to its second.

    Each window is centred, as in MNIST, on the centre of mass of the pixels brighter than a quarter of the brightest
    one of its half; for a black half, on its middle.
    """
    beside = torch.tensor([relation in ("left", "right") for relation in relations], device=images.device)
    swapped = torch.tensor([relation in ("right", "below") for relation in relations], device=images.device)
    # Transposed, a scene of one above the other is one of left and right.
    turned = torch.where(beside[:, None, None, None], images, images.mT)
    crops = [_centred(half) for half in turned.chunk(2, dim=3)]
    crops = [torch.where(beside[:, None, None, None], crop, crop.mT) for crop in crops]
    first = torch.where(swapped[:, None, None, None], crops[1], crops[0])
    second = torch.where(swapped[:, None, None, None], crops[0], crops[1])
    return first, second


_SAID_WITH: tuple[Relation, ...] = ("left", "above")

_OPPOSITE: dict[Relation, Relation] = {"left": "right", "right": "left", "above": "below", "below": "above"}


def _centred(half: Shaped[Tensor, "n c 60 30"]) -> Shaped[Tensor, "n c 28 28"]:
    bright = half.float().sum(1)
    bright = bright * (bright > bright.amax((1, 2), keepdim=True) / 4)
    mass = bright.sum((1, 2))
    window = []
    for dim, size in ((2, CANVAS), (1, CANVAS // 2)):
        places = torch.arange(size, device=half.device) + 0.5
        centre = (bright.sum(dim) * places).sum(1) / mass.clamp_min(1e-9)
        # The window may overhang by the border added below, as wide as half a window.
        window.append(torch.where(mass > 0, centre, size / 2).round().long().clamp(0, size))
    bordered = torch.nn.functional.pad(half, (PATCH // 2,) * 4)
    windows = bordered.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
    return windows[torch.arange(len(half), device=half.device), :, window[0], window[1]]

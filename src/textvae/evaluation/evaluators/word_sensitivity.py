"""Word sensitivity: whether a word in the prompt changes generated images as it distinguishes real ones.

Paper c (Results) claims: "When 'grass' is mentioned, green appears; if 'sky' is not mentioned, there is not
consistently a blue bar at the top". Here it becomes a number. For each word, real training images tell which simple
statistic distinguishes images with that word best (for snow, little colour below; for sky, blue above), and in which
direction. Then images are generated from real test captions without the word, and from the same captions with the word
added and the same noise; the difference is the effect of the word.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.measurement import Measurement
from textvae.evaluation.metrics.image_statistics import STATISTICS, image_statistics
from textvae.pipeline import TextToImage
from textvae.text.sprout_grammar import SproutVectors
from textvae.utils.progress import without_notices

WORDS = (
    *("grass", "sky", "snow", "beach", "ocean", "water", "field", "forest", "mountain", "street", "night", "sunset"),
    *("kitchen", "bathroom", "pizza", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"),
    *("black", "white"),
)
"""Scenes and colours; those that real captions rarely name are left out."""
LEAST_IMAGES = 20
"""Real images whose captions must contain a word for it to be measured."""
PROMPTS = 16
"""Prompts that each word is added to."""


@dataclass(frozen=True)
class WordShift:
    """The effect of a word on generated images, in the statistic that distinguishes it best among real ones."""

    word: str
    statistic: str
    real: float
    """Mean of the real images whose captions contain the word, minus the mean of the others; pixels in [0, 1]."""
    drawn: float
    """Mean over prompts of the generated image with the word minus the one without it."""
    standard_error: float
    """Of ``drawn``."""

    @property
    def right(self) -> bool:
        """Whether generated images change in the direction of real ones."""
        return self.real * self.drawn > 0

    @property
    def clear(self) -> bool:
        """Whether they change by more than two standard errors, in either direction."""
        return abs(self.drawn) > 2 * self.standard_error


@dataclass(frozen=True)
class WordSensitivity:
    """The effects of all words that real captions contain often enough."""

    words: tuple[WordShift, ...]

    @property
    def right_sign(self) -> float:
        """Fraction of words that change generated images in the direction of real ones; chance is one half."""
        return sum(word.right for word in self.words) / len(self.words)

    @property
    def clearly_right(self) -> float:
        """Fraction of words that do so by more than two standard errors; chance is one fortieth."""
        return sum(word.right and word.clear for word in self.words) / len(self.words)

    @property
    def strength(self) -> float:
        """Size of the effects along real differences: 1 if adding a word changes images as much as real ones differ."""
        along = sum(word.drawn * word.real for word in self.words)
        return along / sum(word.real**2 for word in self.words)

    def to_dict(self) -> dict[str, Any]:
        """As in metrics.json."""
        return {
            "right_sign": self.right_sign,
            "clearly_right": self.clearly_right,
            "strength": self.strength,
            "words": {word.word: {k: v for k, v in asdict(word).items() if k != "word"} for word in self.words},
        }


def word_sensitivity(context: EvaluationContext) -> Measurement:
    """``word_sensitivity`` of colour images; nothing if no word is frequent enough, or the captions have a grammar.

    A caption of sprouts with a word added is no caption of sprouts; ``attribute_accuracy`` says what a model obeys.
    """
    if not context.in_colour or isinstance(context.pipeline.text, SproutVectors):
        return Measurement()
    with without_notices():  # unknown words of the captions were named when ``conditions`` were encoded
        found = word_shifts(context.pipeline, context.train, context.captions, seed=context.seed)
    return Measurement({"word_sensitivity": found.to_dict()} if found else {})


def word_shifts(
    generator: TextToImage,
    train: CaptionedImages,
    prompts: Sequence[str],
    words: Sequence[str] = WORDS,
    num_prompts: int = PROMPTS,
    seed: int = 0,
) -> WordSensitivity | None:
    """Measures how words change generated images.

    Args:
        generator: the model.
        train: real images with captions, which tell how images with a word differ from others.
        prompts: captions to add words to, of images that were not trained on.
        words: the words to try; those in the captions of fewer than ``LEAST_IMAGES`` real images, or of nearly all,
            are left out, and those that fewer than two prompts lack.
        num_prompts: for each word, so many of the first prompts that do not contain it.
        seed: prompt i is generated with ``seed + i``.

    Returns:
        The effects, or None if no word is frequent enough.
    """
    statistics = image_statistics(train.images)
    # Different words use nearly the same prompts, so images of unchanged prompts are generated once.
    unchanged: dict[int, Tensor] = {}
    shifts = []
    for word in words:
        contains = _contains(word)
        named = torch.tensor([contains(caption) for caption in train.texts()])
        if not LEAST_IMAGES <= int(named.sum()) <= len(named) - LEAST_IMAGES:
            continue
        having, lacking = statistics[named], statistics[~named]
        real = having.mean(0) - lacking.mean(0)
        # Welch's t: the statistic with the most significant difference, not the largest.
        error = (having.var(0) / len(having) + lacking.var(0) / len(lacking)).sqrt().clamp_min(1e-9)
        best = int((real / error).abs().argmax())
        plain = [number for number, prompt in enumerate(prompts) if not contains(prompt)][:num_prompts]
        if len(plain) < 2:
            continue
        if new := [number for number in plain if number not in unchanged]:
            drawn = generator.draw(generator.text.encode([prompts[n] for n in new]), [seed + n for n in new])
            unchanged |= dict(zip(new, image_statistics(drawn), strict=True))
        added = [f"{prompts[number].rstrip(' .')}, {word}" for number in plain]
        within = generator.draw(generator.text.encode(added), [seed + number for number in plain])
        moved = (image_statistics(within) - torch.stack([unchanged[number] for number in plain]))[:, best]
        shifts.append(
            WordShift(
                word,
                STATISTICS[best],
                float(real[best]),
                float(moved.mean()),
                float(moved.std()) / len(moved) ** 0.5,
            )
        )
    return WordSensitivity(tuple(shifts)) if shifts else None


def _contains(word: str) -> Callable[[str], bool]:
    """Whether a caption contains the word, singular or plural."""
    pattern = re.compile(rf"\b{re.escape(word)}(?:e?s|y)?\b")
    return lambda caption: pattern.search(caption.casefold()) is not None

"""Paper c's claim as a number: does a word in the prompt move the picture where real pictures with that word lie?

"When 'grass' is mentioned, green appears; if 'sky' is not mentioned, there is not consistently a blue bar at the top"
(Results). For each word, real training images say which simple statistic tells it best (of snow: little colour below;
of sky: blue above), and in which direction. Prompts are real test captions without the word, drawn as they are and
with the word added, from the same noise: the difference is the word's doing.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.pipeline import TextToImage

WORDS = (
    *("grass", "sky", "snow", "beach", "ocean", "water", "field", "forest", "mountain", "street", "night", "sunset"),
    *("kitchen", "bathroom", "pizza", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"),
    *("black", "white"),
)
"""Scenes and colours; those that real captions rarely name are left out."""

LEAST_IMAGES = 20
"""Real images that must name a word before its direction is believed."""

_REGIONS = ("above", "in the middle", "below", "overall")
_QUALITIES = ("brightness", "red", "green", "blue", "colourfulness")
STATISTICS = tuple(f"{quality} {region}" for region in _REGIONS for quality in _QUALITIES)


@dataclass(frozen=True)
class WordShift:
    """What a word does to drawn images, in the statistic that tells it best among real ones."""

    word: str
    statistic: str
    real: float
    """Mean of the real images whose captions name it, less the mean of the others; pixels in [0, 1]."""
    drawn: float
    """Mean over prompts of the image with the word less the image without it."""
    standard_error: float
    """Of ``drawn``."""

    @property
    def right(self) -> bool:
        """Whether drawn images move as real ones do."""
        return self.real * self.drawn > 0

    @property
    def clear(self) -> bool:
        """Whether they move by more than two standard errors, either way."""
        return abs(self.drawn) > 2 * self.standard_error


@dataclass(frozen=True)
class WordSensitivity:
    """Over all words that real captions name often enough."""

    words: tuple[WordShift, ...]

    @property
    def right_sign(self) -> float:
        """Share of words that move drawn images as they do real ones; one half is chance."""
        return sum(word.right for word in self.words) / len(self.words)

    @property
    def clearly_right(self) -> float:
        """Share of words that do so by more than two standard errors; a fortieth is chance."""
        return sum(word.right and word.clear for word in self.words) / len(self.words)

    @property
    def strength(self) -> float:
        """Of drawn shifts along real ones: 1 where a word moves drawn images as far as naming it moves real ones."""
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


def word_sensitivity(
    generator: TextToImage,
    train: CaptionedImages,
    prompts: Sequence[str],
    words: Sequence[str] = WORDS,
    num_prompts: int = 16,
    seed: int = 0,
) -> WordSensitivity | None:
    """Measures how words move drawn images.

    Args:
        generator: what draws.
        train: real images with captions, which say how a word's pictures differ from others.
        prompts: captions to add words to, of images that were not trained on.
        words: to try; those named by fewer than ``LEAST_IMAGES`` real images, or by nearly all, are left out.
        num_prompts: for each word, the first so many of the prompts that do not name it.
        seed: of the first prompt's noise; the others count on, those that some word leaves out too.

    Returns:
        The shifts, or None where no word is named often enough.
    """
    statistics = image_statistics(train.images)
    captions = [" ".join(train.captions[start:stop]) for start, stop in train.caption_range.tolist()]
    # Most words leave out few prompts: what those draw as they are is drawn once.
    plainly: dict[int, Tensor] = {}
    shifts = []
    for word in words:
        names = _names(word)
        named = torch.tensor([names(caption) for caption in captions])
        if not LEAST_IMAGES <= int(named.sum()) <= len(named) - LEAST_IMAGES:
            continue
        having, lacking = statistics[named], statistics[~named]
        real = having.mean(0) - lacking.mean(0)
        # Welch's t: the statistic whose difference is surest, not the largest.
        error = (having.var(0) / len(having) + lacking.var(0) / len(lacking)).sqrt().clamp_min(1e-9)
        telling = int((real / error).abs().argmax())
        plain = [number for number, prompt in enumerate(prompts) if not names(prompt)][:num_prompts]
        if new := [number for number in plain if number not in plainly]:
            drawn = generator.draw(generator.text.encode([prompts[n] for n in new]), [seed + n for n in new])
            plainly |= dict(zip(new, image_statistics(drawn), strict=True))
        added = [f"{prompts[number].rstrip(' .')}, {word}" for number in plain]
        within = generator.draw(generator.text.encode(added), [seed + number for number in plain])
        moved = (image_statistics(within) - torch.stack([plainly[number] for number in plain]))[:, telling]
        shifts.append(
            WordShift(
                word,
                STATISTICS[telling],
                float(real[telling]),
                float(moved.mean()),
                float(moved.std()) / len(moved) ** 0.5,
            )
        )
    return WordSensitivity(tuple(shifts)) if shifts else None


def image_statistics(images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, "n statistics"]:
    """``STATISTICS`` of each image, pixels in [0, 1].

    Red, green and blue are each taken against the mean of the other two, so that a bright image is not all three.
    """
    rows = []
    for batch in torch.split(images, 1000):
        red, green, blue = (batch.double() / 255).unbind(1)
        qualities = torch.stack(
            [
                (red + green + blue) / 3,
                red - (green + blue) / 2,
                green - (red + blue) / 2,
                blue - (red + green) / 2,
                torch.stack([red, green, blue]).amax(0) - torch.stack([red, green, blue]).amin(0),
            ],
            dim=1,
        )
        thirds = [third.mean((2, 3)) for third in qualities.tensor_split(3, dim=2)]
        rows.append(torch.cat([*thirds, qualities.mean((2, 3))], dim=1))
    return torch.cat(rows)


def _names(word: str) -> Any:
    """Whether a caption has the word, singular or plural."""
    pattern = re.compile(rf"\b{re.escape(word)}(?:e?s|y)?\b")
    return lambda caption: pattern.search(caption.casefold()) is not None

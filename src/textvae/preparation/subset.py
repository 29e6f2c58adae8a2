"""Which part of a photograph set is prepared: a random fraction, a theme, words left out, and the splits."""

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from textvae.preparation.layouts import Part, Photographs, slug
from textvae.preparation.record import Record
from textvae.utils.errors import UserError

TEST_FRACTION, MOST_TEST_IMAGES = 0.1, 5000
"""What becomes the test split of a set that has none."""

_PASTORAL = (
    "cow", "sheep", "mountain", "hill", "countryside", "grass", "forest", "farm", "alpaca", "horse", "landscape",
    "fence",
)  # fmt: skip
THEMES: Mapping[str, tuple[str, ...]] = {
    # Paper c's two sets: 3,400 and about 20,000 images of MS-COCO.
    "livestock": _PASTORAL[:2],
    "pastoral": _PASTORAL,
    # More of the kind, for sets smaller than MS-COCO: 3,376 training images of coco-mini and flickr8k together.
    "nature": (
        *_PASTORAL, "field", "meadow", "pasture", "snow", "beach", "ocean", "sea", "lake", "river", "desert", "cliff",
        "valley", "sky", "woods", "sand", "shore", "pond", "waterfall", "giraffe", "zebra", "elephant",
    ),
}  # fmt: skip
"""Themes with a name, which stands for their words."""


@dataclass(frozen=True)
class Subset:
    """A part of a photograph set."""

    fraction: float = 1.0
    """Share of the images of every split, drawn at random (10 % in paper a, 20 % in paper b)."""
    theme: tuple[str, ...] = ()
    """Only images with a caption that has one of these words, singular or plural (paper c)."""
    seed: int = 0
    """Seed of the random fraction."""
    without: tuple[str, ...] = ()
    """Training captions with one of these words, singular or plural, are left out; so are images without others."""

    def __post_init__(self) -> None:
        """Refuses fractions that select nothing, or more than all.

        Raises:
            UserError: the fraction is outside (0, 1].
        """
        if not 0 < self.fraction <= 1:
            raise UserError(f"the fraction {self.fraction:g} is out of range", "Choose it from (0, 1]")

    @classmethod
    def about(cls, theme: str, fraction: float = 1.0, seed: int = 0, without: str = "") -> "Subset":
        """The subset of a theme: a name in ``THEMES``, or words with commas between them; empty: all images.

        ``without`` is such words as well.
        """
        return cls(fraction, THEMES.get(theme, _listed(theme)), seed, _listed(without))

    @property
    def suffix(self) -> str:
        """What it adds to the set's name; empty for the whole."""
        named = [name for name, words in THEMES.items() if words == self.theme]
        parts = named or [*map(slug, self.theme)]
        if self.fraction < 1:
            parts.append(f"{self.fraction:g}")
            parts += [f"seed{self.seed}"] if self.seed else []
        parts += ["without", *map(slug, self.without)] if self.without else []
        return "".join(f"-{part}" for part in parts)

    def of(self, records: Iterable[Record]) -> list[Record]:
        """The records that belong to it, in their order; the same ones for the same seed."""
        kept = list(records)
        if self.theme:
            mentions = _mentions(self.theme)
            kept = [record for record in kept if any(mentions(caption) for caption in record.captions)]
        if self.fraction < 1:
            chosen = random.Random(self.seed).sample(range(len(kept)), round(self.fraction * len(kept)))
            kept = [kept[number] for number in sorted(chosen)]
        return kept

    def trained_on(self, records: Iterable[Record]) -> list[Record]:
        """Training records without the captions that are left out; in their order."""
        if not self.without:
            return list(records)
        mentions = _mentions(self.without)
        kept = []
        for record in records:
            captions = tuple(caption for caption in record.captions if not mentions(caption))
            if captions or not record.captions:  # one that has none is reported later
                kept.append(replace(record, captions=captions))
        return kept


class Splits(dict[str, list[Record]]):
    """The records of each split: "train", "test" and perhaps "val"."""

    held_out: tuple[str, ...] = ()
    """The places without test images, of whose training images some became the test split."""


def splits_of(photographs: Photographs, subset: Subset) -> Splits:
    """The chosen records of each split. The val split of a source without test images is its test split; one with
    neither gets a tenth of train, at most 5,000 images.

    Several sources keep their splits, and their order within a split; their names are put before the keys.

    Raises:
        UserError: a source cannot be read, or nothing is left to train or test on.
    """
    splits = Splits()
    for part in photographs.parts:
        prefix = f"{part.about.name}/" if len(photographs.parts) > 1 else ""
        divided = _divided(part, subset)
        splits.held_out += divided.held_out
        for split, records in divided.items():
            own = (replace(record, key=f"{prefix}{record.key}", fit=part.about.fit) for record in records)
            splits.setdefault(split, []).extend(own)
    for split, records in splits.items():
        if not records:
            raise UserError(
                f"nothing of {photographs.about.name} is left for {split}",
                "Choose a larger fraction, another theme, or more images",
            )
    return splits


def _divided(part: Part, subset: Subset) -> Splits:
    splits = Splits({split: subset.of(records) for split, records in part.layout.splits().items()})
    if "train" not in splits:
        raise UserError(
            f"{part.about.name} has no training images, only {' and '.join(splits)}",
            "Put them into a folder called train, or leave the splits out",
        )
    if "val" in splits and "test" not in splits:
        splits["test"] = splits.pop("val")
    if "test" not in splits:
        records, splits.held_out = splits["train"], (part.place,)
        count = min(max(round(TEST_FRACTION * len(records)), min(len(records) - 1, 1)), MOST_TEST_IMAGES)
        # By a hash of each key: all over the folder, and a picture more or less hardly changes where the others are.
        ranked = sorted(range(len(records)), key=lambda number: sha256(records[number].key.encode()).digest())
        chosen = set(ranked[:count])
        splits["test"] = [record for number, record in enumerate(records) if number in chosen]
        splits["train"] = [record for number, record in enumerate(records) if number not in chosen]
    splits["train"] = subset.trained_on(splits["train"])
    return splits


def _listed(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(",") if word.strip())


def _mentions(words: tuple[str, ...]) -> Callable[[str], bool]:
    pattern = re.compile(rf"\b(?:{'|'.join(re.escape(word.casefold()) for word in words)})(?:e?s)?\b")
    return lambda caption: pattern.search(caption.casefold()) is not None

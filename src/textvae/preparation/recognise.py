"""What sources of captioned images hold, as far as that is known without opening an image."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from textvae.preparation.layouts import Photographs
from textvae.preparation.record import clean
from textvae.preparation.subset import Splits
from textvae.utils.printable import printable


@dataclass(frozen=True)
class Recognised:
    """What was found in one source or in several."""

    name: str
    """The first part of the names of its prepared sets."""
    layouts: Mapping[str, str]
    """How the images of each place are arranged, and by what their captions are told."""
    images: Mapping[str, int]
    """Images with captions in each split."""
    captions: int
    """Distinct ones."""
    words: int
    """Distinct ones in the captions."""
    skipped: Mapping[str, int]
    """How many images and entries cannot be used, by reason."""
    held_out: tuple[str, ...]
    """Places of which test images are drawn, as they have none of their own."""

    def lines(self) -> list[str]:
        """For people."""
        shown = [f"{printable(place)}: {title}" for place, title in self.layouts.items()]
        shown.append(
            f"{sum(self.images.values()):,} images ({listed(self.images)}), {self.captions:,} different captions of "
            f"{self.words:,} words"
        )
        if self.held_out:
            shown.append(f"no test images in {', '.join(map(printable, self.held_out))}: a tenth is set aside")
        if self.skipped:
            shown.append(f"not usable: {sum(self.skipped.values()):,} ({listed(self.skipped)})")
        return shown


def listed(counts: Mapping[str, int]) -> str:
    """Counts of things, for people: "6,989 train, 1,200 test"."""
    return ", ".join(f"{count:,} {thing}" for thing, count in counts.items())


def summary(photographs: Photographs, splits: Splits) -> Recognised:
    """What ``splits_of`` found."""
    images, skipped = Counter[str](), Counter[str]()
    captions: set[str] = set()
    words: set[str] = set()
    for split, records in splits.items():
        for record in records:
            kept, _ = clean(record.captions)
            if record.image is None or not kept:
                skipped[kind_of(record.problem or "no caption")] += 1
                continue
            images[split] += 1
            for caption in kept:
                if caption not in captions:
                    captions.add(caption)
                    words.update(re.findall(r"\w+", caption.casefold()))
    return Recognised(
        photographs.about.name,
        {part.place: part.about.title for part in photographs.parts},
        {split: images[split] for split in splits},
        len(captions),
        len(words),
        dict(skipped.most_common()),
        splits.held_out,
    )


def kind_of(why: str) -> str:
    """The kind of a reason: without its numbers and details."""
    return re.sub(r"\d[\d,]* ", "", re.split(r":| from \d", why)[0])

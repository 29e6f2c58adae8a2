"""The photograph sources: four by name, and any folder of the user's in one of three layouts."""

import difflib
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from textvae.preparation.layouts.coco import CocoCaptions
from textvae.preparation.layouts.image_folder import ImageFolder
from textvae.preparation.layouts.webdataset import Shards
from textvae.preparation.records import PhotoSource, Record
from textvae.utils.errors import UserError
from textvae.utils.paths import data_folders

Layout = type[CocoCaptions] | type[ImageFolder] | type[Shards]

LAYOUTS: tuple[Layout, ...] = (CocoCaptions, ImageFolder, Shards)

_HERE = Path()

PHOTOS: dict[str, CocoCaptions | ImageFolder | Shards] = {
    source.name: source
    for source in (
        CocoCaptions(
            "coco",
            _HERE,
            "MS-COCO: photographs of everyday scenes, five captions each",
            "https://cocodataset.org",
            "captions CC BY 4.0, the COCO consortium; photographs Flickr, each under its own licence",
        ),
        CocoCaptions(
            "coco-mini",
            _HERE,
            "2,145 + 400 images of MS-COCO 2017 with captions, short side 256",
            "https://cocodataset.org",
            "captions CC BY 4.0, the COCO consortium; photographs Flickr, each under its own licence; for research",
        ),
        ImageFolder(
            "flowers102",
            _HERE,
            "Oxford Flowers 102 with a descriptive sentence each",
            "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
            "Nilsback and Zisserman (2008); sentences Reed et al. (2016); for research",
        ),
        Shards(
            "products",
            _HERE,
            "catalogue photographs of fashion products with their titles, 60x80 pixels",
            "https://github.com/aishwaryab27/FashionWebsite",
            "the makers' own; for research",
            # A 60x80 picture cut square loses heads, hems and soles; its ground is white, and so is the padding.
            fit="pad",
        ),
    )
}
"""By name; found in $TEXTVAE_DATA/NAME, or where textvae keeps data."""


def photo_source(name: str) -> PhotoSource:
    """A source by its name, or a folder by its path, whose layout is recognised.

    Raises:
        UserError: there is neither, or the folder has none of the layouts.
    """
    if name in PHOTOS:
        places = data_folders(name)
        for folder in places:
            if folder.is_dir():
                return replace(PHOTOS[name], folder=folder)
        raise UserError(
            f"{name} is not here: looked for {' and '.join(map(str, places))}",
            f"Put it there, or set TEXTVAE_DATA to the folder that holds {name}",
        )
    folder = Path(name).expanduser()
    if not folder.is_dir():
        near = difflib.get_close_matches(name, PHOTOS, n=1)
        raise UserError(
            f'there are no photographs called "{name}", nor is that a folder',
            f"Did you mean {near[0]}?" if near else f"There are: {', '.join(PHOTOS)}; or give a folder's path",
        )
    for layout in LAYOUTS:
        if layout.recognises(folder):
            return layout(_slug(folder.resolve().name), folder)
    raise UserError(
        f"{folder} holds captioned images in no layout that is known",
        "It needs metadata.jsonl (file_name, text), or .tar shards, or COCO's annotations/; see docs/data.md",
    )


@dataclass(frozen=True)
class Subset:
    """Which part of a source."""

    fraction: float = 1.0
    """Share of the images of every split, drawn at random (10 % in paper a, 20 % in paper b)."""
    theme: tuple[str, ...] = ()
    """Only images of which a caption has one of these words, singular or plural (paper c)."""
    seed: int = 0
    """Of the fraction's draw."""

    def __post_init__(self) -> None:
        """Refuses what selects nothing."""
        if not 0 < self.fraction <= 1:
            raise UserError(f"a fraction of {self.fraction:g} is no part of anything", "Choose it from (0, 1]")

    @property
    def suffix(self) -> str:
        """What it adds to a source's name; empty for the whole."""
        parts = [*map(_slug, self.theme)]
        if self.fraction < 1:
            parts.append(f"{self.fraction:g}")
            parts += [f"seed{self.seed}"] if self.seed else []
        return "".join(f"-{part}" for part in parts)

    def of(self, records: Iterable[Record]) -> list[Record]:
        """The records that belong to it, in their order; the same ones for the same seed."""
        kept = list(records)
        if self.theme:
            speaks = _speaks_of(self.theme)
            kept = [record for record in kept if any(speaks(caption) for caption in record.captions)]
        if self.fraction < 1:
            chosen = random.Random(self.seed).sample(range(len(kept)), round(self.fraction * len(kept)))
            kept = [kept[number] for number in sorted(chosen)]
        return kept


TEST_FRACTION, TEST_MOST = 0.1, 5000


def splits_of(source: PhotoSource, subset: Subset) -> dict[str, list[Record]]:
    """The chosen records of each split. Where a source has no test split, a tenth of train (at most 5,000) becomes one.

    Raises:
        UserError: the source can't be read, or nothing is left to train or test on.
    """
    splits = {split: subset.of(records) for split, records in source.splits().items()}
    if "test" not in splits:
        records = splits["train"]
        count = min(round(TEST_FRACTION * len(records)), TEST_MOST)
        # Not by position: a folder's order is often that of a class or a day.
        chosen = set(random.Random(0).sample(range(len(records)), count))
        splits["test"] = [record for number, record in enumerate(records) if number in chosen]
        splits["train"] = [record for number, record in enumerate(records) if number not in chosen]
    for split, records in splits.items():
        if not records:
            raise UserError(
                f"nothing of {source.name} is left for {split}",
                "Choose a larger fraction, another theme, or more images",
            )
    return splits


def _speaks_of(words: tuple[str, ...]) -> Callable[[str], bool]:
    pattern = re.compile(rf"\b(?:{'|'.join(re.escape(word.casefold()) for word in words)})(?:e?s)?\b")
    return lambda caption: pattern.search(caption.casefold()) is not None


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "photos"

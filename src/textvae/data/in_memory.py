"""Data sets in memory: your own pictures and captions, without files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from PIL import Image

from textvae.data.captioned_images import CaptionedImages
from textvae.data.download import to_stderr
from textvae.data.mirrors import RemoteFile, Say
from textvae.utils.errors import UserError
from textvae.utils.pixels import fit_image


@dataclass(frozen=True)
class InMemory:
    """A data set whose splits are in memory."""

    name: str
    images: Mapping[str, CaptionedImages] = field(repr=False)
    """By split: "train", "test" and perhaps "val"."""
    title: str = "images of the user's own"
    home: str = "no public address"
    terms: str = "the user's own"
    files: tuple[RemoteFile, ...] = ()
    mirrors: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self.images)

    def find(self) -> Path | None:
        """None: there are no files."""
        return None

    def fetch(self, say: Say = to_stderr) -> Path:
        """Refuses: there are no files.

        Raises:
            UserError: always.
        """
        raise UserError(f"{self.name} is in memory: there is nothing to fetch", "use textvae.load_data")

    def load(self, split: str) -> CaptionedImages:
        """A split."""
        return replace(self.images[split], name=self.name, split=split)


def captioned_images(
    pictures: Sequence[Image.Image], captions: Sequence[str | Sequence[str]], size: tuple[int, int] | None = None
) -> CaptionedImages:
    """Captioned images from PIL images.

    Examples:
        >>> images = textvae.captioned_images([red, blue], ["a red circle", ["a blue square", "something blue"]])

    Args:
        pictures: grey images, or colour images, which become RGB; cropped and scaled where their sizes differ.
        captions: for each picture, a caption or a list of captions, from which training draws one a step.
        size: (width, height) of the result; default: that of the first picture.

    Raises:
        UserError: there are no pictures, or not as many captions, or a picture has none.
    """
    if not pictures or len(pictures) != len(captions):
        raise UserError(f"{len(pictures)} pictures and {len(captions)} captions", "give as many captions as pictures")
    width, height = size or pictures[0].size
    channels = 1 if all(picture.mode in ("1", "L") for picture in pictures) else 3
    pixels = torch.stack([fit_image(picture, (channels, height, width)) for picture in pictures])
    groups = [(texts,) if isinstance(texts, str) else tuple(texts) for texts in captions]
    if not all(groups):
        raise UserError(f"picture {groups.index(())} has no caption", 'give each picture one; "none" says nothing')
    texts: list[str] = []
    ranges: dict[tuple[str, ...], tuple[int, int]] = {}
    for group in groups:
        if group not in ranges:
            ranges[group] = (len(texts), len(texts) + len(group))
            texts += group
    return CaptionedImages(
        "", "", pixels, tuple(texts), torch.tensor([ranges[group] for group in groups], dtype=torch.int64)
    )

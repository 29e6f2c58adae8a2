"""Captioned images in memory: what every data source gives and everything downstream reads."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor


@dataclass(frozen=True, eq=False)
class CaptionedImages:
    """Images with the captions that may describe them.

    The captions are one list of distinct texts, and every image owns a contiguous stretch of it, from which training
    draws one caption a step. The one rule covers a class name for every image (a stretch of one), five captions an
    image (COCO) and "any sentence that means five" (a stretch shared by all images of a digit), and lets a frozen or
    trained text encoder run once per text instead of once per image.
    """

    name: str
    """Which data, in the words of the command line, such as "fashion-mnist"."""
    split: str
    """"train", "val" or "test"."""
    images: UInt8[Tensor, "n channels height width"]
    """Pixels, 0 to 255."""
    captions: Sequence[str]
    """Distinct texts."""
    caption_range: Int64[Tensor, "n 2"]
    """First and one-past-last caption of each image."""
    labels: Int64[Tensor, "n"] | None = None
    """The class of each image, where the data has classes."""
    class_names: Sequence[str] = ()
    """What the labels mean."""

    def __post_init__(self) -> None:
        """Refuses stretches that point outside the captions: they would surface as wrong text, silently."""
        start, stop = self.caption_range.unbind(1)
        if len(self.images) != len(self.caption_range):
            raise ValueError(f"{len(self.images)} images but {len(self.caption_range)} caption ranges")
        if len(self.images) and (
            int(start.min()) < 0 or int(stop.max()) > len(self.captions) or bool((start >= stop).any())
        ):
            raise ValueError("every image needs a non-empty stretch of the caption list")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def fingerprint(self) -> str:
        """SHA-256 over pixels, captions and their assignment, shortened to 16 digits; stands in metrics.json."""
        digest = hashlib.sha256()
        digest.update(repr(tuple(self.images.shape)).encode())
        digest.update(self.images.contiguous().numpy().tobytes())
        digest.update("\0".join(self.captions).encode())
        digest.update(self.caption_range.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def draw_captions(self, index: Int64[Tensor, "b"], uniform: Tensor) -> Int64[Tensor, "b"]:
        """One caption number for each of the given images; ``uniform`` holds b draws from [0, 1)."""
        start, stop = self.caption_range[index].unbind(1)
        return start + (uniform * (stop - start)).long()

    def first(self, count: int) -> "CaptionedImages":
        """The first ``count`` images, with the same caption list."""
        return CaptionedImages(
            self.name,
            self.split,
            self.images[:count],
            self.captions,
            self.caption_range[:count],
            None if self.labels is None else self.labels[:count],
            self.class_names,
        )

    def followed_by(self, other: "CaptionedImages") -> "CaptionedImages":
        """These images and then those, each with the captions it has; other's classes must be the same."""
        labels = None
        if self.labels is not None and other.labels is not None:
            labels = torch.cat([self.labels, other.labels])
        return CaptionedImages(
            self.name,
            f"{self.split}+{other.split}",
            torch.cat([self.images, other.images]),
            (*self.captions, *other.captions),
            torch.cat([self.caption_range, other.caption_range + len(self.captions)]),
            labels,
            self.class_names,
        )


def labelled_images(
    name: str,
    split: str,
    images: UInt8[Tensor, "n channels height width"],
    labels: Int64[Tensor, "n"],
    class_names: Sequence[str],
) -> CaptionedImages:
    """Images whose only caption is the name of their class."""
    return CaptionedImages(
        name,
        split,
        images,
        tuple(class_names),
        torch.stack([labels, labels + 1], dim=1),
        labels,
        tuple(class_names),
    )

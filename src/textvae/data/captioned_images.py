"""``CaptionedImages``: the form in which every data set is loaded."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from textvae.data.stored_captions import READ_AT_ONCE, StoredCaptions
from textvae.utils.errors import UserError
from textvae.utils.memory import zeros


@dataclass(frozen=True, eq=False)
class CaptionedImages:
    """Images with the captions that may describe them.

    The captions are one list of distinct texts, and every image has a contiguous range of it, from which training
    draws one caption a step. This covers a class name for every image (a range of one), five captions an image (COCO)
    and "any sentence that means five" (a range shared by all images of a digit), and a text encoder runs once for each
    text instead of once for each image.
    """

    name: str
    """Name of the data set, as on the command line, such as "fashion-mnist"."""
    split: str
    """"train", "val" or "test"."""
    images: UInt8[Tensor, "n channels height width"] | Float[Tensor, "n features 1 1"]
    """Pixels, 0 to 255; or features in the place of images, for models that are trained on those."""
    captions: Sequence[str]
    """Distinct texts; of prepared sets they are not in memory."""
    caption_range: Int64[Tensor, "n 2"]
    """First and one-past-last caption of each image."""
    labels: Int64[Tensor, "n"] | None = None
    """The class of each image, if the data has classes."""
    class_names: Sequence[str] = ()
    """The name of each class."""
    conditions: Float[Tensor, "captions *condition"] | None = None
    """The embedding of each caption by a frozen text encoder, if it has been computed before."""
    image_conditions: Float[Tensor, "n d"] | None = None
    """The embedding of each image by a frozen image encoder, if it has been computed before."""
    encoder: str = ""
    """The text encoder of ``conditions``, with the version of its weights."""
    declared: str = ""
    """The fingerprint that the data set declares of this split; empty where it declares none."""

    def __post_init__(self) -> None:
        """Checks ranges and lengths, since a wrong range would silently pair images with wrong captions.

        Raises:
            ValueError: they do not fit each other.
        """
        if len(self.images) != len(self.caption_range):
            raise ValueError(f"{len(self.images)} images but {len(self.caption_range)} caption ranges")
        for some in torch.split(self.caption_range, 1 << 16):  # they may be in a mapped file
            start, stop = some.unbind(1)
            if len(some) and (
                int(start.min()) < 0 or int(stop.max()) > len(self.captions) or bool((start >= stop).any())
            ):
                raise ValueError("every image needs a non-empty range of the caption list")
        if self.conditions is not None and len(self.conditions) != len(self.captions):
            raise ValueError(f"{len(self.captions)} captions but {len(self.conditions)} conditions")
        if self.image_conditions is not None and len(self.image_conditions) != len(self.images):
            raise ValueError(f"{len(self.images)} images but {len(self.image_conditions)} image conditions")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def fingerprint(self) -> str:
        """The first 16 digits of the SHA-256 over all that training uses; recorded in metrics.json."""
        digest = hashlib.sha256()
        digest.update(repr(tuple(self.images.shape)).encode())
        _hash_rows(digest, self.images)
        for start in range(0, len(self.captions), READ_AT_ONCE):
            text = "\0".join(self.captions[start : start + READ_AT_ONCE])
            digest.update(f"\0{text}".encode() if start else text.encode())
        _hash_rows(digest, self.caption_range)
        for name, embeddings in (("text", self.conditions), ("image", self.image_conditions)):
            if embeddings is not None:
                digest.update(f"{name} {tuple(embeddings.shape)}".encode())
                _hash_rows(digest, embeddings)
        return digest.hexdigest()[:16]

    def checked_fingerprint(self) -> str:
        """``fingerprint``, compared with the one that the data set declares.

        Raises:
            UserError: it declares another one: its files were changed.
        """
        found = self.fingerprint()
        if self.declared not in ("", found):
            raise UserError(
                f"{self.name} is damaged: its {self.split} split is not the one that its manifest declares",
                "delete that data set and prepare it again",
            )
        return found

    def draw_captions(self, index: Int64[Tensor, "b"], uniform: Tensor) -> Int64[Tensor, "b"]:
        """One caption number for each of the given images; ``uniform`` holds b draws from [0, 1)."""
        start, stop = self.caption_range[index].unbind(1)
        return start + (uniform * (stop - start)).long()

    def one_caption_each(self, seed: int) -> Int64[Tensor, "n"]:
        """The number of one caption of each image, drawn at random."""
        uniform = torch.rand(len(self), generator=torch.Generator().manual_seed(seed))
        return self.draw_captions(torch.arange(len(self)), uniform)

    def times_shown(self) -> Iterator[int]:
        """The number of images of each caption, in the order of the captions."""
        # Ranges begun, less ranges ended before; of many captions, in a file.
        counts = zeros((len(self.captions) + 1,), torch.int64)
        for some in torch.split(self.caption_range, 1 << 16):
            begun, ended = some.unbind(1)
            one = torch.ones_like(begun)
            counts.index_add_(0, begun, one).index_add_(0, ended, -one)
        for some in torch.split(counts.cumsum_(0)[:-1], READ_AT_ONCE):
            yield from some.tolist()

    def texts(self) -> Iterator[str]:
        """All captions of each image in one text."""
        for some in torch.split(self.caption_range, READ_AT_ONCE):
            for start, stop in some.tolist():
                yield " ".join(self.captions[start:stop])

    def first(self, count: int) -> "CaptionedImages":
        """The first ``count`` images, with the same caption list."""
        return replace(
            self,
            declared=self.declared if count >= len(self) else "",
            images=self.images[:count],
            caption_range=self.caption_range[:count],
            labels=None if self.labels is None else self.labels[:count],
            image_conditions=None if self.image_conditions is None else self.image_conditions[:count],
        )

    def followed_by(self, other: "CaptionedImages") -> "CaptionedImages":
        """Concatenates two sets with their captions. Labels and conditions are kept if both have them.

        Raises:
            ValueError: the captions were embedded by different encoders.
        """
        if self.encoder != other.encoder:
            raise ValueError(f"captions encoded by {self.encoder!r} and by {other.encoder!r} do not mix")
        ranges = _in_one(self.caption_range, other.caption_range)
        ranges[len(self) :] += len(self.captions)
        return CaptionedImages(
            self.name,
            f"{self.split}+{other.split}",
            _in_one(self.images, other.images),
            _captions_in_one(self.captions, other.captions),
            ranges,
            _joined(self.labels, other.labels),
            self.class_names,
            _joined(self.conditions, other.conditions),
            _joined(self.image_conditions, other.image_conditions),
            self.encoder,
        )


def _joined(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else _in_one(first, second)


def _captions_in_one(first: Sequence[str], second: Sequence[str]) -> Sequence[str]:
    if not isinstance(first, StoredCaptions) or not isinstance(second, StoredCaptions):
        return (*first, *second)
    ends = _in_one(first.ends, second.ends)
    ends[len(first) :] += len(first.texts)
    return StoredCaptions(_in_one(first.texts, second.texts), ends)


def _in_one(first: Tensor, second: Tensor) -> Tensor:
    """Both arrays in one, in a file if that is large."""
    count, shape = len(first) + len(second), first.shape[1:]
    if first.dim() == 4:  # channels last, as prepared sets are stored
        joined = zeros((count, *shape[1:], shape[0]), first.dtype).permute(0, 3, 1, 2)
    else:
        joined = zeros((count, *shape), first.dtype)
    some = max(1, (1 << 24) // max(1, shape.numel()))  # rows that are copied at once
    for place, rows in ((0, first), (len(first), second)):
        for part in torch.split(rows, some):
            joined[place : place + len(part)] = part
            place += len(part)
    return joined


def _hash_rows(digest: "hashlib._Hash", rows: Tensor) -> None:
    # In chunks, since memory-mapped rows may exceed the memory.
    for stretch in torch.split(rows, 4096):
        digest.update(stretch.contiguous().numpy().tobytes())


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

"""Sets in parts, at a URL: what ``textvae data publish`` writes, and training reads with a few parts at hand.

manifest.json    that of the prepared set, and the files of the parts of each split with their checksums; written last
words.json       how often each word occurs in the captions of the training split
{split}-{number}-{checksum}.safetensors    the parts (``textvae.data.parts``)
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.data.download import to_stderr
from textvae.data.manifest import MANIFEST, MOST_MANIFEST_BYTES, OfManifest, SetContents, check_manifest, contents_of
from textvae.data.mirrors import RemoteFile, Say
from textvae.data.part_cache import Bucket, PartCache
from textvae.data.parts import Part, PartFacts, open_part
from textvae.utils.errors import UserError
from textvae.utils.paths import data_root

PARTS, WORDS = "parts", "words.json"
"""Key of the manifest, and a file."""
WINDOW = 4
"""Number of parts whose rows are shuffled together. At most twice as many, plus one, are on disk."""
LOADED = 20_000
"""Minimum number of training images that ``load`` fetches, for comparison in the evaluation."""
MOST_WORDS_BYTES = 1 << 26
MOST_PART_BYTES = 1 << 32
PART_FILE = re.compile(r"[a-z][a-z0-9-]{0,40}-\d{6}-[0-9a-f]{8}\.safetensors")
"""The name of a part."""
_URL = re.compile(r"[a-z][a-z0-9+.-]*://")


def is_url(name: str) -> bool:
    """Whether the name of a data set is a URL."""
    return _URL.match(name) is not None


@dataclass(frozen=True, eq=False)
class ImagesInParts:
    """The images of a split that is in parts, or the first of them; see ``CaptionedImages``."""

    name: str
    split: str
    stored: SetContents
    parts: tuple[PartFacts, ...]
    cache: PartCache
    bucket: Bucket
    count: int

    def __len__(self) -> int:
        return self.count

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return 3, self.stored.side, self.stored.side

    @property
    def encoder(self) -> str:
        """The text encoder whose embeddings are stored, with the version of its weights; empty for none."""
        return self.stored.text.identity

    def first(self, count: int) -> "ImagesInParts":
        """The first ``count`` images."""
        return replace(self, count=min(count, self.count))

    def checked_fingerprint(self) -> str:
        """The first 16 digits of the SHA-256 over the checksums of the parts, which are compared when they are read."""
        text = " ".join(["parts", *(part.sha256 for part in self.parts), str(self.count)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def _ends(self) -> Int64[Tensor, "parts"]:
        return torch.tensor([part.images for part in self.parts]).cumsum(0)

    @cached_property
    def sizes(self) -> list[int]:
        """The images of each part, of those that count."""
        sizes = self._ends.clamp_max(self.count).diff(prepend=torch.zeros(1, dtype=torch.int64))
        return [size for size in sizes.tolist() if size]

    def places(self, numbers: Int64[Tensor, "b"]) -> tuple[Int64[Tensor, "b"], Int64[Tensor, "b"]]:
        """In which part images are, and as which of its rows."""
        which = torch.searchsorted(self._ends, numbers, right=True)
        before = torch.cat([torch.zeros(1, dtype=torch.int64), self._ends])
        return which, numbers - before[which]

    def __getitem__(self, numbers: Int64[Tensor, "b"]) -> UInt8[Tensor, "b 3 side side"]:
        """Copies of images."""
        which, rows = self.places(numbers)
        found = torch.empty((len(numbers), *self.image_shape), dtype=torch.uint8)
        found = found.contiguous(memory_format=torch.channels_last)
        for number in which.unique().tolist():  # type: ignore[no-untyped-call]
            mine = which == number
            found[mine] = self.cache.part(number).images[rows[mine]]
        return found

    def some_captions(self, count: int) -> list[str]:
        """Captions of the first part."""
        captions = self.cache.part(0).captions
        return captions[:: -(-len(captions) // count)]

    def words(self) -> dict[str, tuple[int, int]]:
        """See ``caption_words.WordCounts``, of all captions of the split.

        Raises:
            UserError: they cannot be read.
        """
        content = self.bucket.read(WORDS, MOST_WORDS_BYTES)
        try:
            counts = json.loads(content.decode())
            return {str(word): (int(count), int(images)) for word, (count, images) in counts.items()}
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            raise UserError(f"{self.name}/{WORDS} is damaged", "publish the set again, with --overwrite") from None


@dataclass(frozen=True)
class RemoteSet(OfManifest):
    """A set in parts as a data source, by its URL."""

    name: str
    bucket: Bucket = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)
    parts: Mapping[str, tuple[PartFacts, ...]] = field(repr=False)
    """Of each split."""
    files: tuple[RemoteFile, ...] = ()
    mirrors: tuple[str, ...] = ()

    @property
    def contents(self) -> SetContents:
        """What the manifest declares."""
        return contents_of(self.name, self.manifest)

    @property
    def title(self) -> str:
        """The photographs, and how they were prepared."""
        made = self.manifest
        return f"{made['source']['title']}; {made['side']} pixels, captions by {made['text']['name']}, in parts"

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self.parts)

    def find(self) -> Path | None:
        """None: it is elsewhere."""
        return None

    def fetch(self, say: Say = to_stderr) -> Path:
        """Refuses.

        Raises:
            UserError: always.
        """
        raise UserError(f"{self.name} is read where it is", f"textvae train RECIPE --data {self.name}")

    def in_parts(self, split: str) -> ImagesInParts:
        """A split for training, of which a few parts are at hand at a time."""
        contents, parts = self.contents, self.parts[split]
        shape, width = contents.text.shape, 0 if contents.image is None else contents.image.width

        def opened(path: Path, facts: PartFacts) -> Part:
            return open_part(path, facts, contents.side, shape, width)

        key = hashlib.sha256(" ".join([split, *(part.sha256 for part in parts)]).encode()).hexdigest()[:16]
        cache = PartCache(self.bucket, parts, data_root().parent / "parts" / key, opened)
        count = sum(part.images for part in parts)
        return ImagesInParts(self.name, split, contents, parts, cache, self.bucket, count)

    def load(self, split: str) -> CaptionedImages:
        """A split, fetched whole; of the training split, which may be large, only the first ``LOADED`` images or so."""
        images = self.in_parts(split)
        numbers = range(len(images.first(LOADED).sizes if split == "train" else images.parts))
        parts = [images.cache.part(number) for number in numbers]
        offsets = torch.tensor([0, *(len(part.captions) for part in parts)]).cumsum(0).tolist()
        ranges = [part.caption_range + offset for part, offset in zip(parts, offsets, strict=False)]
        return CaptionedImages(
            self.name,
            split,
            torch.cat([part.images for part in parts]),
            [caption for part in parts for caption in part.captions],
            torch.cat(ranges),
            conditions=_joined([part.text for part in parts]),
            image_conditions=_joined([part.image for part in parts]),
            encoder=images.encoder,
        )


def _joined(arrays: Sequence[Tensor | None]) -> Tensor | None:
    there = [array for array in arrays if array is not None]
    return torch.cat(there) if there else None


@lru_cache(maxsize=4)
def remote_set(url: str) -> RemoteSet:
    """The set in parts at a URL.

    Raises:
        UserError: there is none, it cannot be read, or its manifest is damaged.
    """
    bucket = Bucket(url)
    content = bucket.read(MANIFEST, MOST_MANIFEST_BYTES)
    try:
        manifest = json.loads(content.decode())
        check_manifest(manifest)
        parts = {split: tuple(_facts(row) for row in manifest[PARTS][split]) for split in manifest["splits"]}
        if not all(parts.values()) or "train" not in parts:
            raise ValueError("a split has no parts")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{bucket.url}/{MANIFEST} is no manifest of a set in parts: {error!r:.200}",
            "textvae data publish writes sets in parts",
        ) from None
    return RemoteSet(url, bucket, manifest, parts)


def _facts(row: Any) -> PartFacts:
    facts = PartFacts(*row)
    if not isinstance(facts.file, str) or not PART_FILE.fullmatch(facts.file) or not isinstance(facts.sha256, str):
        raise ValueError("a part has no such name")
    if type(facts.images) is not int or type(facts.size) is not int:
        raise ValueError("a part has no size")
    if facts.images < 1 or not 0 < facts.size <= MOST_PART_BYTES:
        raise ValueError("the size of a part is out of range")
    return facts

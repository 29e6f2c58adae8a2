"""Prepared photographs: square pixels, captions and frozen embeddings in files that are mapped into memory, not read.

A set is a folder, written by ``textvae data prepare``:

manifest.json           what it holds, and how it was made (``textvae.data.manifest``); written last, so that a folder
                        without it is no set
{split}-images.npy      uint8 (n, side, side, 3)
{split}-captions.npy    uint8: all captions in UTF-8, one after another
{split}-ends.npy        int64 (captions,): where each caption ends
{split}-ranges.npy      int64 (n, 2): first and one-past-last caption of each image
{split}-keys.json       the name of each image in its source
{split}-text.npy        one embedding a caption: float32 (captions, d), or float16 (captions, tokens, d)
{split}-image.npy       float32 (n, d): an embedding of each image
report.jsonl            one line for every image or caption that was skipped or changed
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.data.catalog import PHOTOGRAPHS, photograph_set
from textvae.data.download import to_stderr
from textvae.data.manifest import (
    MANIFEST,
    TEXT_KINDS,
    ImageContents,
    ImageName,
    OfManifest,
    SetContents,
    TextContents,
    TextName,
    contents_of,
    read_manifest,
)
from textvae.data.mirrors import RemoteFile, Say
from textvae.data.stored_captions import StoredCaptions
from textvae.text.embedding_length import EmbeddingLength
from textvae.utils.errors import UserError
from textvae.utils.files import read_json
from textvae.utils.memory import copy_on_write
from textvae.utils.paths import prepared_root

REPORT = "report.jsonl"

MOST_CAPTIONS_BYTES = 1 << 32

FEATURES = "-features"
"""NAME-features is the prepared set NAME with its image embeddings in the place of pixels: what trains a pair."""


@dataclass(frozen=True)
class PreparedSet(OfManifest):
    """A prepared set as a data source, by its name or by the path of its folder."""

    name: str
    folder: Path
    manifest: dict[str, Any] = field(repr=False)
    features: bool = False
    """Whether image embeddings stand in the place of pixels."""
    files: tuple[RemoteFile, ...] = ()
    mirrors: tuple[str, ...] = ()

    @property
    def contents(self) -> SetContents:
        """What the manifest declares."""
        return contents_of(self.name, self.manifest, self.features)

    @property
    def title(self) -> str:
        """The photographs, and how they were prepared."""
        made = self.manifest
        return f"{made['source']['title']}; {made['side']} pixels, captions as {made['text']['name']}"

    @property
    def splits(self) -> tuple[str, ...]:
        """At least "train" and "test"."""
        return tuple(self.manifest["splits"])

    @property
    def command(self) -> str:
        """A command that makes such a set, of what the manifest declares.

        The command line that the manifest records is not offered: whoever wrote the set could have put anything there.
        """
        contents = self.contents
        words = ["textvae data prepare", contents.source if contents.source in PHOTOGRAPHS else "SOURCE"]
        words += [f"--size {contents.side}"]
        words += [f"--text {contents.text.name}"] if contents.text.name in get_args(TextName) else []
        if contents.image is not None and contents.image.name in get_args(ImageName):
            words += [f"--image-encoder {contents.image.name}"]
        return " ".join(words)

    def find(self) -> Path:
        """Its folder."""
        return self.folder

    def fetch(self, say: Say = to_stderr) -> Path:
        """Its folder: there is nothing to fetch."""
        return self.folder

    def load(self, split: str) -> CaptionedImages:
        """A split, mapped into memory: pages of the arrays are read when they are used.

        Raises:
            UserError: a file is missing or not what the manifest says.
        """
        facts = self.manifest["splits"][split]
        images = self._mapped(f"{split}-images.npy", facts["images"], np.uint8)
        captions: Sequence[str]
        if (self.folder / f"{split}-captions.json").is_file():
            captions, ranges = self._listed(split, facts)
        else:
            captions = self._stored(split, facts)
            ranges = self._mapped(f"{split}-ranges.npy", [facts["images"][0], 2], np.int64)
        text, image = facts.get("text"), facts.get("image")
        vectors = None if image is None else self._mapped(f"{split}-image.npy", image, np.float32)
        if self.features and vectors is None:
            raise UserError(f"{self.name} needs image features", f"{self.command} --image-encoder efficientnet")
        try:
            return CaptionedImages(
                self.name,
                split,
                # Stored as picture files have it, viewed as networks want it: channels last is their fastest layout.
                images.permute(0, 3, 1, 2) if vectors is None or not self.features else vectors[:, :, None, None],
                captions,
                ranges,
                conditions=None if text is None else self._mapped(f"{split}-text.npy", text, np.float32, np.float16),
                image_conditions=None if self.features else vectors,
                encoder=self.manifest["text"]["identity"],
                declared="" if self.features else str(facts.get("fingerprint", "")),
            )
        except ValueError as error:
            raise self._damaged(str(error)) from None

    def _stored(self, split: str, facts: Mapping[str, Any]) -> StoredCaptions:
        try:
            return stored_captions(self.folder, split, int(facts["captions"]))
        except (ValueError, LookupError) as error:
            raise self._damaged(f"{split}-captions.npy: {error!s:.200}") from None

    def _listed(self, split: str, facts: Mapping[str, Any]) -> tuple[list[str], Tensor]:
        """Captions and ranges of a set that was prepared when the captions were a list in a JSON file."""
        try:
            texts = read_json(self.folder / f"{split}-captions.json", MOST_CAPTIONS_BYTES)
            captions = texts["captions"]
            # Sets that were prepared before there was a file for the ranges have them beside the captions.
            ranges = torch.tensor(texts["ranges"], dtype=torch.int64).view(-1, 2) if "ranges" in texts else None
            if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
                raise TypeError("captions are no list of texts")
            if ranges is None:
                ranges = self._mapped(f"{split}-ranges.npy", [facts["images"][0], 2], np.int64)
            return captions, ranges
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, OverflowError) as error:
            raise self._damaged(f"{split}-captions.json: {error!s:.200}") from None

    def _mapped(self, name: str, shape: list[int], *kinds: type[np.generic]) -> Tensor:
        try:
            return _mapped(self.folder / name, shape, *kinds)
        except ValueError as error:
            raise self._damaged(str(error)) from None

    def _damaged(self, what: str) -> UserError:
        return UserError(f"{self.folder} is damaged: {what}", f"{self.command} --overwrite")


def stored_captions(folder: Path, split: str, count: int | None = None) -> StoredCaptions:
    """The captions of a split, mapped.

    Args:
        folder: that of the set, which may be unfinished.
        split: "train", "val" or "test".
        count: how many there must be; None: any number.

    Raises:
        ValueError: a file is missing or damaged.
    """
    ends = _mapped(folder / f"{split}-ends.npy", None if count is None else [count], np.int64)
    size = int(ends[-1]) if ends.dim() == 1 and len(ends) else 0
    return StoredCaptions(_mapped(folder / f"{split}-captions.npy", [size], np.uint8), ends)


def _mapped(file: Path, shape: list[int] | None, *kinds: type[np.generic]) -> Tensor:
    """An array in a file, mapped.

    Raises:
        ValueError: it is missing, damaged, of another kind or of another shape.
    """
    try:
        if not file.is_file():  # opening a pipe would wait for a writer
            raise FileNotFoundError("there is no such file")
        rows = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:
        # For a damaged header, numpy raises whatever its parsing runs into.
        raise ValueError(f"{file.name}: {error!s:.200}") from None
    if rows.dtype.type not in kinds:
        raise ValueError(f"{file.name} holds {rows.dtype}")
    if shape not in (None, list(rows.shape)):
        raise ValueError(f"{file.name} is of shape {list(rows.shape)}, not {shape}")
    return copy_on_write(rows)


def prepared_set(name: str) -> PreparedSet | None:
    """The prepared set of that name, or in that folder; None if there is none.

    Raises:
        UserError: its manifest cannot be read.
    """
    for whole, features in ((name, False), (name.removesuffix(FEATURES), name.endswith(FEATURES))):
        for folder in (prepared_root() / whole, Path(whole)):
            with contextlib.suppress(OSError):  # a name that no file can have
                if (folder / MANIFEST).is_file():
                    return PreparedSet(name, folder, read_manifest(folder), features)
    return None


def prepared_names() -> list[str]:
    """The sets that have been prepared on this machine."""
    root = prepared_root()
    return sorted(path.parent.name for path in root.glob(f"*/{MANIFEST}")) if root.is_dir() else []


_CONVENTIONAL = re.compile(rf"(.+)-(\d+)-({'|'.join(get_args(TextName))})(?:-({'|'.join(get_args(EmbeddingLength))}))?")


def conventional_contents(name: str) -> SetContents | None:
    """What a set called SOURCE-SIZE-ENCODER or SOURCE-SIZE-ENCODER-LENGTH would hold, going by its name alone; None for
    other names.

    A set that is there is never read by its name. This serves sets that are not: the message that says how to prepare
    one, and run folders written before ``config.json`` declared what they were trained on.
    """
    whole = name.removesuffix(FEATURES)
    named = _CONVENTIONAL.fullmatch(whole)
    if named is None:
        return None
    part, side, encoder = named[1], int(named[2]), named[3]
    shape: tuple[int, ...] = {
        "words": (), "sentence": (384,), "sentence-tokens": (32, 384), "clip": (512,), "clip-tokens": (77, 512),
        "pair": (128,),
    }[encoder]  # fmt: skip
    # The longest match: coco-mini is no subset of coco.
    sources = [source for source in PHOTOGRAPHS if part == source or part.startswith(f"{source}-")]
    image = ImageContents(encoder, "", shape[0]) if encoder in ("clip", "pair") else None
    length: Any = named[4] or "unit"
    text = TextContents(encoder, "", TEXT_KINDS[encoder], shape, length=length)
    return SetContents(name, max(sources, key=len, default=part), side, text, image, name != whole)


def not_prepared(name: str) -> UserError | None:
    """The error for photographs that have not been prepared, with the command that does it; None for other names."""
    if name in PHOTOGRAPHS:
        return UserError(
            f"{name} has photographs of various sizes, which must be prepared before use",
            f"textvae data prepare {name} --size 64 --text sentence makes the data set {name}-64-sentence",
        )
    wanted = conventional_contents(name)
    about = photograph_set(wanted.source) if wanted else None
    if wanted is None or about is None:
        return None
    sources = about.name if about.name in PHOTOGRAPHS else " ".join(about.parts)
    how = f"textvae data prepare {sources} --size {wanted.side} --text {wanted.text.name}"
    if wanted.features:
        how += " --image-encoder efficientnet"
    named = _CONVENTIONAL.fullmatch(name.removesuffix(FEATURES))
    assert named is not None
    how += f" --embedding-length {named[4]}" if named[4] else ""
    subset = named[1].removeprefix(wanted.source)
    if subset:
        how += f", with the --fraction, --theme or --without that {subset.lstrip('-')!r} stands for"
    return UserError(f"{name} has not been prepared", f"Prepare it: {how}")

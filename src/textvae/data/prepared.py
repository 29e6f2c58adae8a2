"""Prepared photographs: square pixels, captions and frozen embeddings in files that are mapped into memory, not read.

A set is a folder, written by ``textvae data prepare``:

manifest.json           what it was made of, by which settings and encoders; written last, so that half a set is none
{split}-images.npy      uint8 (n, side, side, 3)
{split}-captions.json   captions, the stretch of them that each image owns, the images' keys
{split}-text.npy        one embedding a caption: float32 (captions, d), or float16 (captions, tokens, d)
{split}-image.npy       float32 (n, d): an embedding of each image
report.jsonl            a line for everything that was skipped or treated specially
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.data.download import to_stderr
from textvae.data.mirrors import RemoteFile, Say
from textvae.preparation.sources import PHOTOS
from textvae.utils.errors import UserError
from textvae.utils.paths import prepared_root

MANIFEST, REPORT = "manifest.json", "report.jsonl"

TEXT_ENCODERS = ("words", "sentence", "sentence-tokens", "clip", "clip-tokens", "pair")
"""What ``--text`` takes: the last part of a set's name. ``words`` leaves the captions as they are, for models that
learn to read."""


FEATURES = "-features"
"""NAME-features is the prepared set NAME with its image embeddings in the place of the pixels: what a pair sees."""


@dataclass(frozen=True)
class PreparedSet:
    """A prepared set as a data source. It is called SOURCE-SIZE-ENCODER, or by the path of its folder."""

    name: str
    folder: Path
    manifest: dict[str, Any] = field(repr=False)
    features: bool = False
    """Whether image embeddings stand in the place of the pixels."""
    files: tuple[RemoteFile, ...] = ()
    carriers: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What the photographs are, and how they were prepared."""
        made = self.manifest
        return f"{made['source']['title']}; {made['side']} pixels, captions by {made['text']['name']}"

    @property
    def home(self) -> str:
        """The source's."""
        return str(self.manifest["source"]["home"])

    @property
    def terms(self) -> str:
        """The source's."""
        return str(self.manifest["source"]["terms"])

    @property
    def splits(self) -> tuple[str, ...]:
        """At least train and test."""
        return tuple(self.manifest["splits"])

    def find(self) -> Path:
        """Its folder."""
        return self.folder

    def fetch(self, say: Say = to_stderr) -> Path:
        """Its folder: there is nothing to fetch."""
        return self.folder

    def load(self, split: str) -> CaptionedImages:
        """A split, mapped into memory: opening it costs reading its captions, and pages are read when they are used.

        Raises:
            UserError: a file is missing or not what the manifest says.
        """
        facts = self.manifest["splits"][split]
        images = self._mapped(f"{split}-images.npy", facts["images"])
        try:
            texts = json.loads((self.folder / f"{split}-captions.json").read_bytes())
            captions, ranges = texts["captions"], torch.tensor(texts["ranges"], dtype=torch.int64).view(-1, 2)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise self._damaged(f"{split}-captions.json: {error}") from None
        text, image = facts.get("text"), facts.get("image")
        vectors = None if image is None else self._mapped(f"{split}-image.npy", image)
        if self.features and vectors is None:
            raise UserError(f"{self.name} needs image features", f"{self.command} --image-encoder efficientnet")
        try:
            return CaptionedImages(
                self.name,
                split,
                # Stored as picture files have it, seen as networks want it: channels last is their fastest layout.
                images.permute(0, 3, 1, 2) if vectors is None or not self.features else vectors[:, :, None, None],
                captions,
                ranges,
                conditions=None if text is None else self._mapped(f"{split}-text.npy", text),
                image_conditions=None if self.features else vectors,
                encoder=self.manifest["text"]["identity"],
            )
        except ValueError as error:
            raise self._damaged(str(error)) from None

    def _mapped(self, name: str, shape: list[int]) -> Tensor:
        try:
            # Copy on write: torch wants memory it may write to, the file never changes.
            rows = np.load(self.folder / name, mmap_mode="c", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise self._damaged(f"{name}: {error}") from None
        if list(rows.shape) != shape:
            raise self._damaged(f"{name} is of shape {list(rows.shape)}, not {shape}")
        return torch.from_numpy(rows)

    def _damaged(self, what: str) -> UserError:
        return UserError(f"{self.folder} is damaged: {what}", f"Delete that folder, then: {self.command}")

    @property
    def command(self) -> str:
        """How it was made."""
        return str(self.manifest["command"])


def prepared_set(name: str) -> PreparedSet | None:
    """The prepared set of that name, or in that folder; None where there is none and the name promises none.

    Raises:
        UserError: the name is that of a set that has not been prepared, or its manifest can't be read.
    """
    features = name.endswith(FEATURES)
    whole = name.removesuffix(FEATURES)
    for folder in (prepared_root() / whole, Path(whole)):
        if (folder / MANIFEST).is_file():
            return PreparedSet(name, folder, read_manifest(folder), features)
    named = re.fullmatch(rf"(.+)-(\d+)-({'|'.join(TEXT_ENCODERS)})", whole)
    if named and any(named[1] == source or named[1].startswith(f"{source}-") for source in PHOTOS):
        # The longest name: coco-mini is no part of coco.
        source = max((source for source in PHOTOS if named[1].startswith(source)), key=len)
        part = named[1].removeprefix(source).lstrip("-")
        how = f"textvae data prepare {source} --size {named[2]} --text {named[3]}"
        if features:
            how += " --image-encoder efficientnet"
        if part:
            how += f", with the --fraction or --theme that {part!r} stands for"
        raise UserError(f"{name} has not been prepared", f"Prepare it: {how}")
    return None


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json, checked for what a reader relies on.

    Raises:
        UserError: it can't be read.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        for key, kind in {"source": dict, "splits": dict, "text": dict, "side": int, "command": str}.items():
            if not isinstance(manifest[key], kind):
                raise ValueError(f"{key} is of the wrong kind")
        return manifest
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / MANIFEST} can't be read: {error}", "Delete that folder and prepare the set again"
        ) from None


def prepared_names() -> list[str]:
    """The sets that have been prepared on this machine."""
    root = prepared_root()
    return sorted(path.parent.name for path in root.glob(f"*/{MANIFEST}")) if root.is_dir() else []

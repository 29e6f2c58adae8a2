"""A record: one captioned image file as it lies on a disk, before it is decoded; and what every layout yields."""

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from textvae.preparation.decode import Fit, ImageBytes, Place

MOST_CAPTION_BYTES = 1 << 16
"""Longer captions are not read."""


@dataclass(frozen=True, slots=True)
class Record:
    """One image with all its captions."""

    key: str
    """Identifies it within its split."""
    image: ImageBytes | None
    """None if there is a ``problem``."""
    captions: tuple[str, ...]
    problem: str = ""
    """Why this image cannot be used, as far as that is known without opening it."""
    fit: Fit = "crop"


@runtime_checkable
class Layout(Protocol):
    """A folder of captioned images whose arrangement is known.

    Its class has a ``TITLE``, an ``EXAMPLE`` of its files, and ``recognises(folder)``.
    """

    def splits(self) -> dict[str, Iterable[Record]]:
        """The records of each split, read when iterated. "train" is always there.

        Raises:
            UserError: the folder is not there, or its index cannot be read.
        """


def inside(folder: Path, name: str) -> Place | None:
    """The file ``name`` in ``folder``; None if the name leads out of it, as one in an untrusted index may."""
    # Plain string work: a Path for each of COCO's names takes longer than parsing its annotations.
    if not name or os.path.isabs(name) or ".." in name.replace("\\", "/").split("/") or "\0" in name:
        return None
    return Place(f"{folder}{os.sep}{name}")


def clean(captions: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
    """Captions on one line each, without control characters, empty ones and repetitions; and notes on what was dropped.

    Nothing else is changed: case, punctuation, alphabet and length are left to the text encoder.
    """
    kept: dict[str, None] = {}
    notes = []
    for caption in captions:
        visible = "".join(c if unicodedata.category(c) not in ("Cc", "Cs") else " " for c in caption)
        text = " ".join(unicodedata.normalize("NFC", visible).split())
        if not text:
            notes.append("empty caption dropped")
        elif text in kept:
            notes.append("repeated caption dropped")
        else:
            kept[text] = None
    return tuple(kept), notes


def digest(records: Iterable[Record]) -> str:
    """The first 16 digits of the SHA-256 over keys and captions in their order. No image is opened."""
    running = hashlib.sha256()
    for record in records:
        running.update("\0".join((record.key, record.problem, *record.captions, "\n")).encode("utf-8", "replace"))
    return running.hexdigest()[:16]


def digest_of_files(records: Iterable[Record]) -> str:
    """The first 16 digits of the SHA-256 over size and time of change of each image's file. No image is opened."""
    running = hashlib.sha256()
    path = state = ""
    for record in records:
        if record.image is None:
            continue
        if record.image.path != path:  # many images are in one shard
            path = record.image.path
            try:
                about = os.stat(path)
                state = f"{about.st_size} {about.st_mtime_ns}\n"
            except (OSError, ValueError):  # ValueError: the name has characters that no file name has
                state = "not there\n"
        running.update(state.encode())
    return running.hexdigest()[:16]

"""Captioned image files as they lie on a disk: what every photograph source yields, before anything is decoded."""

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from textvae.preparation.decode import Fit, Place


@dataclass(frozen=True, slots=True)
class Record:
    """One image with all its captions."""

    key: str
    """Names it within its split."""
    image: Place | None
    """None where ``problem`` says why."""
    captions: tuple[str, ...]
    problem: str = ""
    """Why this can't be used, found without looking at the image."""


class Described(Protocol):
    """What is said of data to people: a ``PhotoSource``, or a ``Source`` that is ready for training."""

    @property
    def name(self) -> str:
        """As on the command line; of photographs, the first part of the prepared set's name."""

    @property
    def title(self) -> str:
        """A line for people."""

    @property
    def home(self) -> str:
        """Where its makers describe it."""

    @property
    def terms(self) -> str:
        """Under which licence, and whose work it is."""


@runtime_checkable
class PhotoSource(Described, Protocol):
    """Captioned photographs in a folder. ``textvae data prepare`` makes a data set of them."""

    @property
    def fit(self) -> Fit:
        """How its pictures become square."""

    def splits(self) -> dict[str, Iterable[Record]]:
        """The records of each split, read when iterated. "train" is always there.

        Raises:
            UserError: the folder is not there, or its index can't be read.
        """


def inside(folder: Path, name: str) -> Place | None:
    """The file ``name`` in ``folder``; None where the name leads out of it, as an index from a stranger may."""
    # Plain string work: a Path for each of COCO's names takes longer than parsing its annotations.
    if not name or os.path.isabs(name) or ".." in name.replace("\\", "/").split("/") or "\0" in name:
        return None
    return Place(f"{folder}{os.sep}{name}")


def clean(captions: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
    """Captions on one line each, without invisible control characters, empty ones and repetitions; and what was done.

    Nothing else is touched: case, punctuation, alphabet and length are the encoder's business.
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
    """SHA-256 over keys and captions in their order, shortened to 16 digits. It opens no image."""
    running = hashlib.sha256()
    for record in records:
        running.update("\0".join((record.key, record.problem, *record.captions, "\n")).encode("utf-8", "replace"))
    return running.hexdigest()[:16]

"""The data sets by name: ``load`` gives a split, ``source`` the facts. ``SOURCES`` lists those that are fetched."""

import difflib
from pathlib import Path
from typing import Protocol, runtime_checkable

from textvae.data.captioned_digits import CAPTIONED_DIGITS
from textvae.data.captioned_images import CaptionedImages
from textvae.data.catalog import Described, PhotographSet, photograph_set
from textvae.data.digit_numbers import DIGIT_NUMBERS
from textvae.data.digit_scenes import DIGIT_SCENES
from textvae.data.download import to_stderr
from textvae.data.manifest import SetContents
from textvae.data.mirrors import RemoteFile, Say
from textvae.data.mnist import FASHION_MNIST, MNIST
from textvae.data.prepared import not_prepared, prepared_names, prepared_set
from textvae.data.remote import ImagesInParts, RemoteSet, is_url, remote_set
from textvae.data.sprouts import SPROUTS
from textvae.utils.errors import UserError


@runtime_checkable
class Source(Described, Protocol):
    """A data set that the command line knows by name."""

    @property
    def splits(self) -> tuple[str, ...]:
        """What ``load`` takes."""

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """The files that are fetched, with checksums."""

    @property
    def mirrors(self) -> tuple[str, ...]:
        """Where the files are fetched from, in the order of trying."""

    def find(self) -> Path | None:
        """The folder that holds the files, unverified; None before they are fetched."""

    def fetch(self, say: Say = to_stderr) -> Path:
        """Fetches the files that are not there, verifies all, and returns their folder."""

    def load(self, split: str) -> CaptionedImages:
        """One of ``splits``, fetched if it is not there."""


_ALL: tuple[Source, ...] = (FASHION_MNIST, MNIST, *CAPTIONED_DIGITS, DIGIT_SCENES, DIGIT_NUMBERS, SPROUTS)

SOURCES: dict[str, Source] = {source.name: source for source in _ALL}


def source(name: str) -> Source:
    """The data set of that name: one of ``SOURCES``, or a prepared set of photographs.

    Raises:
        UserError: there is none.
    """
    if name in SOURCES:
        return SOURCES[name]
    if is_url(name):
        return remote_set(name)
    if prepared := prepared_set(name):
        return prepared
    if error := not_prepared(name):
        raise error
    known = [*SOURCES, *prepared_names()]
    near = difflib.get_close_matches(name.casefold(), known, n=1)
    hint = f"Did you mean {near[0]}? There are: " if near else "There are: "
    raise UserError(f'no data set is called "{name}"', hint + ", ".join(known))


def load(name: str, split: str) -> CaptionedImages:
    """A split of a data set, fetched (with progress on stderr) if it is not there.

    Raises:
        UserError: there is no such data set or split, it cannot be fetched, or its files are damaged.
    """
    chosen = source(name)
    if split not in chosen.splits:
        raise UserError(f'{name} has no split "{split}"', f"It has: {', '.join(chosen.splits)}")
    return chosen.load(split)


def training_images(name: str) -> CaptionedImages | ImagesInParts:
    """The training images of a data set; of a set in parts, with a few parts at hand at a time.

    Raises:
        UserError: as ``load``.
    """
    chosen = source(name)
    return chosen.in_parts("train") if isinstance(chosen, RemoteSet) else load(name, "train")


def contents(name: str) -> SetContents | None:
    """What a prepared set declares that it holds; None for the other data sets, and for one that is not there."""
    chosen = SOURCES[name] if name in SOURCES else remote_set(name) if is_url(name) else prepared_set(name)
    return getattr(chosen, "contents", None)


def photographs(name: str) -> PhotographSet | None:
    """The named photograph set that a data set was prepared from; None if it was not, or is not there."""
    found = contents(name)
    return photograph_set(found.source) if found else None

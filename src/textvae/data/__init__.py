"""Where images with captions come from. A new source is one new file here and one line in ``SOURCES``."""

import difflib
from pathlib import Path
from typing import Protocol, runtime_checkable

from textvae.data.captioned_digits import CAPTIONED_DIGITS
from textvae.data.captioned_images import CaptionedImages
from textvae.data.digit_scenes import DIGIT_SCENES
from textvae.data.download import to_stderr
from textvae.data.mirrors import RemoteFile, Say
from textvae.data.mnist import FASHION_MNIST, MNIST
from textvae.data.prepared import prepared_names, prepared_set
from textvae.preparation.records import Described
from textvae.preparation.sources import PHOTOS
from textvae.utils.errors import UserError


@runtime_checkable
class Source(Described, Protocol):
    """A data set that the command line knows by name."""

    @property
    def splits(self) -> tuple[str, ...]:
        """What ``load`` takes."""

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """What is fetched, with checksums."""

    @property
    def carriers(self) -> tuple[str, ...]:
        """Where it can be fetched from, the first choice first."""

    def find(self) -> Path | None:
        """The folder that holds the files, unverified; None before they are fetched."""

    def fetch(self, say: Say = to_stderr) -> Path:
        """Makes sure that the files are there and right; returns their folder."""

    def load(self, split: str) -> CaptionedImages:
        """One of ``splits``, fetched if it is not there."""


_ALL: tuple[Source, ...] = (FASHION_MNIST, MNIST, *CAPTIONED_DIGITS, DIGIT_SCENES)

SOURCES: dict[str, Source] = {source.name: source for source in _ALL}


def source(name: str) -> Source:
    """The source of that name: one of ``SOURCES``, or a prepared set of photographs.

    Raises:
        UserError: there is none.
    """
    if name in SOURCES:
        return SOURCES[name]
    if prepared := prepared_set(name):
        return prepared
    if name in PHOTOS:
        raise UserError(
            f"{name} are photographs of all sizes: they are prepared before use",
            f"textvae data prepare {name} --size 64 --text sentence makes the data set {name}-64-sentence",
        )
    known = [*SOURCES, *prepared_names()]
    near = difflib.get_close_matches(name.casefold(), known, n=1)
    hint = f"Did you mean {near[0]}? There are: " if near else "There are: "
    raise UserError(f'no data set is called "{name}"', hint + ", ".join(known))


def load(name: str, split: str) -> CaptionedImages:
    """A split of a data set, fetched (and announced on stderr) if it is not there.

    Raises:
        UserError: there is no such data set or split, or it can't be fetched, or its files are damaged.
    """
    chosen = source(name)
    if split not in chosen.splits:
        raise UserError(f'{name} has no split "{split}"', f"It has: {', '.join(chosen.splits)}")
    return chosen.load(split)

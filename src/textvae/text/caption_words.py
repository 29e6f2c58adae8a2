"""A word vocabulary learned from the training captions and stored with the model that uses it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from jaxtyping import Int64

from textvae.text.base import NONE, RowEncoder
from textvae.text.related_words import related_words
from textvae.utils.config import Range, Size
from textvae.utils.errors import UserError
from textvae.utils.progress import say

REPEATED = 30
"""A word that occurs with this many images is learned even if few distinct captions contain it (class names, for
example)."""
NAMED = 8
"""Number of words that a notice lists; the rest are only counted."""


@dataclass(frozen=True)
class CaptionWords(RowEncoder):
    """Encodes free-form captions as token ids.

    A word of a prompt that is not in the vocabulary is read as one or two known words of related meaning, or ignored
    where there is none; both with a notice.

    The vocabulary is part of a run's config.json, so a run folder or a bundled model can encode prompts without its
    training data.
    """

    words: tuple[str, ...] = ()
    """Lower case, distinct, most frequent first; word i has token id i + 1. Empty until training starts."""
    length: Annotated[int, Range(1, 1024)] = 24
    """Maximum number of words per caption; longer captions are truncated."""
    least: Annotated[int, Range(0, 10**9)] = 3
    """Minimum number of occurrences over distinct training captions; ``REPEATED`` images are enough as well."""
    most: Size = 2000
    """Maximum vocabulary size."""

    def __post_init__(self) -> None:
        """Rejects duplicates, which an edited config.json may contain."""
        if len(set(self.words)) < len(self.words):
            raise UserError(
                "a model's vocabulary contains a word twice", "use an unmodified run folder written by textvae"
            )

    @property
    def num_tokens(self) -> int:
        """Rows of an embedding table: the words and the padding token."""
        return len(self.words) + 1

    def learned_from(self, captions: Iterable[str], images: Iterable[int]) -> "CaptionWords":
        """Builds the vocabulary in one pass over the captions.

        Args:
            captions: distinct training captions.
            images: number of images that each caption belongs to.
        """
        return self.learned_from_counts(word_counts(captions, images))

    def learned_from_counts(self, counts: "WordCounts") -> "CaptionWords":
        """As ``learned_from``, for captions whose words have been counted."""
        common = [word for word, (count, shown) in counts.items() if count >= self.least or shown >= REPEATED]
        return replace(self, words=tuple(sorted(common, key=lambda word: (-counts[word][0], word))[: self.most]))

    def rows(self, captions: Sequence[str]) -> Int64[np.ndarray, "n {self.length}"]:
        """Encodes captions as token ids, one row per caption, padded with zeros.

        ``NONE`` and captions of unknown words alone become zeros. Words read as related ones, ignored words and
        truncated captions are reported on stderr, in one line each for all captions.

        Raises:
            UserError: none of the captions contains a known word, or one of related meaning.
        """
        reading = self._read(captions, related=True)
        if captions and not reading.understood:
            raise UserError(
                f'no known word in "{captions[0]}"',
                f"the model knows {len(self.words)} words, such as: {' '.join(self.words[:40])}; "
                f'"{NONE}" draws without a prompt',
            )
        if reading.related:
            pairs = [f'"{word}" as "{" ".join(others)}"' for word, others in reading.related.items()]
            say(f"words read as related ones: {_listed(pairs)}")
        if reading.ignored:
            words = [f'"{word}"' for word, _ in reading.ignored.most_common()]
            say(f"unknown words ignored: {_listed(words)}")
        if reading.cut:
            say(f"captions truncated to {self.length} words: {reading.cut}")
        return reading.rows

    def training_rows(self, captions: Sequence[str]) -> Int64[np.ndarray, "n {self.length}"]:
        """As ``rows``, for some of the training captions.

        Rare words are left out, not read as related ones. Nothing is reported, and unknown words alone are no error.
        """
        return self._read(captions, related=False).rows

    def _read(self, captions: Sequence[str], related: bool) -> "_Reading":
        number = {word: i for i, word in enumerate(self.words, start=1)}
        reading = _Reading(np.zeros((len(captions), self.length), np.int64))
        for row, caption in zip(reading.rows, captions, strict=True):
            words = words_of(caption)
            if words == [NONE]:
                reading.understood = True
                continue
            for word in words if related else ():
                if word in number or word in reading.related or word in reading.ignored:
                    continue
                if others := related_words(word, number):
                    reading.related[word] = others
            read = [one for word in words for one in reading.related.get(word, (word,))]
            known = [number[word] for word in read if word in number]
            reading.ignored.update(word for word in read if word not in number)
            reading.cut += len(known) > self.length
            reading.understood = reading.understood or bool(known)
            known = known[: self.length]
            row[: len(known)] = known
        return reading


@dataclass
class _Reading:
    """How captions were encoded, for notices."""

    rows: Int64[np.ndarray, "n length"]
    """Token ids."""
    related: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Words that were read as known ones of related meaning, and as which."""
    ignored: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    """Truncated captions."""
    understood: bool = False
    """Whether a caption had a word that was read, or was ``NONE``."""


WordCounts = Mapping[str, tuple[int, int]]
"""Of each word, how often it occurs in distinct captions, and with how many images."""


def word_counts(captions: Iterable[str], images: Iterable[int]) -> WordCounts:
    """The words of distinct captions, given the number of images that each caption belongs to."""
    count, shown = Counter[str](), Counter[str]()
    for caption, number in zip(captions, images, strict=True):
        for word in words_of(caption):
            count[word] += 1
            shown[word] += number
    return {word: (count[word], shown[word]) for word in count}


def words_of(caption: str) -> list[str]:
    """The words of a caption, in lower case, without punctuation."""
    return re.findall(r"\w+", caption.casefold())


def _listed(found: Sequence[str]) -> str:
    return ", ".join(found[:NAMED]) + (f", and {len(found) - NAMED} more" if len(found) > NAMED else "")

"""A word vocabulary learned from the training captions and stored with the model that uses it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from jaxtyping import Int64

from textvae.text.base import NONE, RowEncoder
from textvae.utils.config import Range, Size
from textvae.utils.errors import UserError
from textvae.utils.progress import say

REPEATED = 30
"""A word that occurs with this many images is learned even if few distinct captions contain it (class names, for
example)."""
NAMED = 8
"""Number of unknown words that a notice lists; the rest are only counted."""


@dataclass(frozen=True)
class CaptionWords(RowEncoder):
    """Encodes free-form captions as token ids. Words outside the vocabulary are dropped with a notice.

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

        ``NONE`` and captions of unknown words alone become zeros. Ignored words and truncated captions are reported on
        stderr, in one line each for all captions.

        Raises:
            UserError: none of the captions contains a known word.
        """
        rows, unknown, cut, understood = self._read(captions)
        if captions and not understood:
            raise UserError(
                f'no known word in "{captions[0]}"',
                f"the model knows {len(self.words)} words, such as: {' '.join(self.words[:40])}; "
                f'"{NONE}" draws without a prompt',
            )
        if unknown:
            say(f"unknown words ignored: {_listed(unknown)}")
        if cut:
            say(f"captions truncated to {self.length} words: {cut}")
        return rows

    def training_rows(self, captions: Sequence[str]) -> Int64[np.ndarray, "n {self.length}"]:
        """As ``rows``, for some of the training captions: nothing is reported, and unknown words alone are no error."""
        return self._read(captions)[0]

    def _read(self, captions: Sequence[str]) -> tuple[Int64[np.ndarray, "n {self.length}"], Counter[str], int, bool]:
        """Token ids, ignored words, the number of truncated captions, and whether anything was understood."""
        number = {word: i for i, word in enumerate(self.words, start=1)}
        rows = np.zeros((len(captions), self.length), np.int64)
        unknown: Counter[str] = Counter()
        cut, understood = 0, False
        for row, caption in zip(rows, captions, strict=True):
            words = words_of(caption)
            if words == [NONE]:
                understood = True
                continue
            known = [number[word] for word in words if word in number]
            unknown.update(word for word in words if word not in number)
            cut += len(known) > self.length
            understood = understood or bool(known)
            known = known[: self.length]
            row[: len(known)] = known
        return rows, unknown, cut, understood


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


def _listed(words: Counter[str]) -> str:
    named = ", ".join(f'"{word}"' for word, _ in words.most_common(NAMED))
    return named + (f", and {len(words) - NAMED} more" if len(words) > NAMED else "")

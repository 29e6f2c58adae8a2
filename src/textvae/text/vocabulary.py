"""A closed word vocabulary: captions to sequences of token ids."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from textvae.text.base import NONE, RowEncoder
from textvae.utils.errors import UserError

PADDING, START, END = 0, 1, 2
"""Ids of special tokens. Padding is 0, so that the all-zero condition means that no text is given."""


@dataclass(frozen=True)
class Vocabulary(RowEncoder):
    """A closed list of words, one token each.

    A caption becomes ``<start> words <end>`` (as in Angelard-Gontier et al., "Variational Encoder Decoder for Image
    Generation Conditioned on Captions", section 3.1), padded with zeros on the right. ``NONE`` becomes zeros.
    """

    words: tuple[str, ...]
    """Lower case, distinct; word i has token id i + 3."""
    length: int
    """Length of an encoded caption: the words of the longest caption, and two markers."""

    def __post_init__(self) -> None:
        if len(set(self.words)) < len(self.words):
            raise ValueError("the vocabulary contains a word twice")

    @property
    def num_tokens(self) -> int:
        """Rows of an embedding table: the words, padding, start and end."""
        return len(self.words) + 3

    def rows(self, captions: Sequence[str]) -> Int64[np.ndarray, "n {self.length}"]:
        """Encodes captions as token ids, one row per caption. Case and the marks . , ; : ! ? " are ignored.

        Raises:
            UserError: a word is unknown, or a caption is empty or too long.
        """
        number = {word: i for i, word in enumerate(self.words, start=3)}
        rows = np.zeros((len(captions), self.length), np.int64)
        for row, caption in zip(rows, captions, strict=True):
            words = re.sub(r'[.,;:!?"]', " ", caption.casefold()).split()
            if words == [NONE]:
                continue
            if not words:
                raise UserError("the caption is empty", f'write a caption, or "{NONE}" to draw without one')
            require_known(words, self.words)
            if len(words) + 2 > self.length:
                raise UserError(
                    f'"{caption}" has {len(words)} words',
                    f"this model reads at most {self.length - 2} words; shorten the caption",
                )
            row[: len(words) + 2] = [START, *(number[word] for word in words), END]
        return rows


def require_known(words: Iterable[str], known: Sequence[str]) -> None:
    """Checks that all words are known.

    Raises:
        UserError: a word is unknown; the message lists similar words and all known words.
    """
    for word in words:
        if word not in known:
            near = " or ".join(f'"{other}"' for other in difflib.get_close_matches(word, known, n=3))
            raise UserError(
                f'unknown word "{word}"',
                (f"did you mean {near}? " if near else "") + f"known words: {' '.join(known)}",
            )

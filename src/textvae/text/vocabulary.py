"""Words to token ids: the text side of a model that reads a caption word by word."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from textvae.text.base import NONE
from textvae.utils.errors import UserError

PADDING, START, END = 0, 1, 2
"""Token ids that are no words; padding is zero so that a condition of nothing but zeros says nothing."""


@dataclass(frozen=True)
class Vocabulary:
    """A closed list of words, each a token of its own.

    A caption becomes ``<start> words <end>`` (as in Angelard-Gontier et al., "Variational Encoder Decoder for Image
    Generation Conditioned on Captions", section 3.1), padded with zeros on the right. ``NONE`` is all zeros.
    """

    words: tuple[str, ...]
    """Lower case, distinct; word i is token i + 3."""
    length: int
    """Tokens a caption, markers and padding included: two more than the words of the longest caption."""

    def __post_init__(self) -> None:
        if len(set(self.words)) < len(self.words):
            raise ValueError("a word stands twice in the vocabulary")

    @property
    def num_tokens(self) -> int:
        """Rows of an embedding table: the words, and padding, start and end."""
        return len(self.words) + 3

    def encode(self, captions: Sequence[str]) -> Int64[Tensor, "n {self.length}"]:
        """Token ids, a row a caption; case and the marks . , ; : ! ? " are nothing to it.

        Raises:
            UserError: a word is unknown, or a caption is empty or too long.
        """
        number = {word: i for i, word in enumerate(self.words, start=3)}
        rows = torch.zeros(len(captions), self.length, dtype=torch.int64)
        for row, caption in zip(rows, captions, strict=True):
            words = re.sub(r'[.,;:!?"]', " ", caption.casefold()).split()
            if words == [NONE]:
                continue
            if not words:
                raise UserError("an empty caption says nothing", f'say something, or "{NONE}" if that is meant')
            require_known(words, self.words)
            if len(words) + 2 > self.length:
                raise UserError(
                    f'"{caption}" has {len(words)} words',
                    f"this model reads at most {self.length - 2} words: say it in fewer",
                )
            row[: len(words) + 2] = torch.tensor([START, *(number[word] for word in words), END])
        return rows


def require_known(words: Iterable[str], known: Sequence[str]) -> None:
    """Lets pass what is made of known words only.

    Raises:
        UserError: names the first unknown word, its nearest known ones, and all known words.
    """
    for word in words:
        if word not in known:
            near = " or ".join(f'"{other}"' for other in difflib.get_close_matches(word, known, n=3))
            raise UserError(
                f'unknown word "{word}"',
                (f"did you mean {near}? " if near else "") + f"known words: {' '.join(known)}",
            )

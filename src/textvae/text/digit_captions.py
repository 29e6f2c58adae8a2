"""Captions that denote a digit, encoded as token ids; captions whose value is not a digit are rejected."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from textvae.text.base import NONE, RowEncoder
from textvae.text.digit_grammar import digit_of, longest, normalised, vocabulary
from textvae.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class DigitCaptions(RowEncoder):
    """Text encoder for one caption family. The value of a caption is only validated; the model sees the words."""

    family: str
    """ "label", "sentence", "logic" or "arithmetic"."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The words of the family, with room for its longest caption."""
        return Vocabulary(vocabulary(self.family), longest(self.family) + 2)

    @property
    def num_tokens(self) -> int:
        """Rows of an embedding table, special tokens included."""
        return self.vocabulary.num_tokens

    def rows(self, captions: Sequence[str]) -> Int64[np.ndarray, "n length"]:
        """Encodes captions as token ids, one row per caption; ``NONE`` becomes zeros.

        Raises:
            UserError: a caption has a word outside the family's vocabulary, is too long, is ungrammatical, or has a
                value outside 0 to 9.
        """
        plain = [normalised(caption) for caption in captions]
        # Check the words first: the grammar accepts the words of all families, this model only those of its own.
        tokens = self.vocabulary.rows(plain)
        for caption in plain:
            if caption != NONE:
                digit_of(caption)
        return tokens

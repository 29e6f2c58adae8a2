"""Captions that mean a digit, as token ids: a vocabulary that also does the sum, to refuse what can't be drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Int64
from torch import Tensor

from textvae.text.base import NONE
from textvae.text.digit_grammar import digit_of, longest, normalised, vocabulary
from textvae.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class DigitCaptions:
    """The text side of a model of one caption family. The value is only checked; the model reads the words."""

    family: str
    """ "label", "sentence", "logic" or "arithmetic"."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The family's words, as long as its longest caption."""
        return Vocabulary(vocabulary(self.family), longest(self.family) + 2)

    @property
    def num_tokens(self) -> int:
        """Rows of an embedding table."""
        return self.vocabulary.num_tokens

    def encode(self, captions: Sequence[str]) -> Int64[Tensor, "n length"]:
        """Token ids, a row a caption; ``NONE`` is all zeros.

        Raises:
            UserError: a word that this family has not, too many of them, words that make no caption, or a caption
                whose value is no digit (the cause says which value).
        """
        plain = [normalised(caption) for caption in captions]
        # Words first: the grammar knows the words of all families, this model only its own.
        tokens = self.vocabulary.encode(plain)
        for caption in plain:
            if caption != NONE:
                digit_of(caption)
        return tokens

"""Grammar, parser and token ids of captions that describe the positions of two digits.

The task is that of Mansimov et al., "Generating Images from Captions with Attention" (2016); the wording is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int64

from textvae.text.base import NONE, RowEncoder
from textvae.text.digit_grammar import DIGIT_WORDS, normalised
from textvae.text.vocabulary import Vocabulary, require_known
from textvae.utils.errors import UserError

Relation = Literal["left", "right", "above", "below"]
"""Position of the first digit relative to the second."""

PHRASES: dict[Relation, str] = {
    "left": "on the left of",
    "right": "on the right of",
    "above": "above",
    "below": "below",
}

MEANINGS: dict[str, Relation] = {
    "left": "left",
    "right": "right",
    "above": "above",
    "over": "above",
    "top": "above",
    "below": "below",
    "under": "below",
    "beneath": "below",
    "bottom": "below",
}

FILLERS = ("a", "an", "the", "digit", "number", "is", "on", "to", "at", "in", "of", "side")


class Scene(NamedTuple):
    """Two digits and their relation: (3, 9, "left") is a three on the left of a nine."""

    first: int
    second: int
    relation: Relation


def scene_caption(scene: Scene) -> str:
    """Returns the canonical caption of a scene: "the digit three is on the left of the digit nine"."""
    first, second = DIGIT_WORDS[scene.first], DIGIT_WORDS[scene.second]
    return f"the digit {first} is {PHRASES[scene.relation]} the digit {second}"


def parse_scene(caption: str) -> Scene:
    """Parses a caption; shorter forms such as "3 left of 9" and "a three over a nine" are accepted.

    Raises:
        UserError: a word is unknown, or the caption is not a digit, a relation and a digit, in this order.
    """
    words = normalised(caption).split()
    require_known(words, (*DIGIT_WORDS, *MEANINGS, *FILLERS))
    match [word for word in words if word not in FILLERS]:
        case [first, where, second] if first in DIGIT_WORDS and second in DIGIT_WORDS and where in MEANINGS:
            return Scene(DIGIT_WORDS.index(first), DIGIT_WORDS.index(second), MEANINGS[where])
    raise UserError(
        f'"{" ".join(words)}" does not describe two digits',
        'write a digit, a relation and a digit, such as "the digit three is on the left of the digit nine"; '
        "relations: left, right, above, below",
    )


@dataclass(frozen=True)
class SceneCaptions(RowEncoder):
    """Text encoder of two-digit scenes. Every caption is first rewritten to its canonical form (``scene_caption``)."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The words of canonical captions, digits first; the longest caption has eleven words."""
        words = " ".join(["the digit is", *PHRASES.values()]).split()
        return Vocabulary(tuple(dict.fromkeys([*DIGIT_WORDS, *words])), 13)

    @property
    def num_tokens(self) -> int:
        """Rows of an embedding table, special tokens included."""
        return self.vocabulary.num_tokens

    def rows(self, captions: Sequence[str]) -> Int64[np.ndarray, "n 13"]:
        """Encodes captions as token ids, one row per caption; ``NONE`` becomes zeros.

        Raises:
            UserError: as ``parse_scene``.
        """
        plain = [NONE if normalised(c) == NONE else scene_caption(parse_scene(c)) for c in captions]
        return self.vocabulary.rows(plain)

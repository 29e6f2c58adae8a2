"""Class labels as conditions, and the reader that finds one in a short phrase.

A condition is a tensor whose zero means that nothing was said. A label is a one-hot row, so the zero row is the
"Invalid" class of paper a (section 5.2): no class at all.
"""

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from textvae.text.base import NONE
from textvae.utils.errors import UserError

Words = tuple[str, ...]


@dataclass(frozen=True)
class LabelText:
    """Phrases to one-hot rows: the text side of a recipe whose condition is a class.

    Training captions (class names) and prompts (short phrases) are read by the same function, since a class name is a
    phrase too.
    """

    class_names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]
    """Per class, the key words and key phrases besides its name. Plurals are understood by themselves."""

    def __post_init__(self) -> None:
        """Refuses key words of two classes, which no phrase could ever name."""
        if len(self.class_names) != len(self.synonyms):
            raise ValueError(f"{len(self.class_names)} classes but synonyms for {len(self.synonyms)}")
        owner: dict[Words, int] = {}
        for number, keys in enumerate(self._keys):
            for key in keys:
                words = _words(key)
                if not words or words == (NONE,) or owner.setdefault(words, number) != number:
                    raise ValueError(f"{key!r} can't be a key word of {self.class_names[number]}")

    def encode(self, captions: Sequence[str]) -> Float[Tensor, "n classes"]:
        """One row a caption: one-hot by ``read``, or zero where the caption is ``NONE`` to the letter.

        Raises:
            UserError: a caption names no class, or more than one.
        """
        rows = torch.zeros(len(captions), len(self.class_names))
        for row, caption in zip(rows, captions, strict=True):
            if caption != NONE:
                row[self.read(caption)] = 1.0
        return rows

    def read(self, phrase: str) -> int:
        """The class that a short phrase names, in any case, spelling of hyphens, singular or plural.

        The longest key phrase wins where several begin at the same word: a "t-shirt" is no "shirt". Other words are
        passed over, and a class may be named twice ("a coat or jacket").

        Raises:
            UserError: the phrase names no class, or more than one.

        Source: paper b, section 3.1.
        """
        words = _words(phrase)
        found = self._find(words)
        classes = {number for _, number in found}
        if len(classes) == 1:
            return classes.pop()
        if not found:
            why = "none of its words is known" if words else "it has no words"
            raise UserError(f"{_quoted(phrase)} names no class: {why}", self._help(words))
        understood = ", ".join(
            dict.fromkeys(f'"{" ".join(key)}" as {self.class_names[number]}' for key, number in found)
        )
        raise UserError(
            f"{_quoted(phrase)} names {len(classes)} classes, a picture shows one: understood {understood}",
            f"Name one class only; known words: {self._known}",
        )

    def _find(self, words: Words) -> list[tuple[Words, int]]:
        """Key phrases in their order of appearance, with their class."""
        found, position = [], 0
        while position < len(words):
            for length in range(self._longest, 0, -1):
                key = words[position : position + length]
                if len(key) == length and key in self._class_of:
                    found.append((key, self._class_of[key]))
                    position += length
                    break
            else:
                position += 1
        return found

    @property
    def _keys(self) -> list[tuple[str, ...]]:
        return [(name, *more) for name, more in zip(self.class_names, self.synonyms, strict=True)]

    @cached_property
    def _class_of(self) -> dict[Words, int]:
        # Exact key words go in last: should an inflected form of one class be a key word of another, that one wins.
        keys = [(_words(key), number) for number, keys in enumerate(self._keys) for key in keys]
        table = {(*words[:-1], form): number for words, number in keys for form in _inflected(words[-1])}
        return table | dict(keys)

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._class_of))

    @property
    def _known(self) -> str:
        classes = zip(self.class_names, self.synonyms, strict=True)
        return "; ".join(f"{name} ({', '.join(more)})" if more else name for name, more in classes)

    def _help(self, words: Words) -> str:
        spelled = {" ".join(key): key for key in self._class_of}
        near: dict[str, None] = {}
        # Pairs first: "t-shrit" is nearer to "t-shirt" than its second half to "shirt". A prompt may be a novel; its
        # first words are enough for a guess.
        for length in (2, 1):
            for start in range(min(len(words) - length + 1, 12)):
                spoken = " ".join(words[start : start + length])[:24]
                near |= dict.fromkeys(difflib.get_close_matches(spoken, spelled, n=1, cutoff=0.75))
            if near:
                break
        meant = f"Did you mean {' or '.join(near)}? " if near else ""
        return f"{meant}Known words: {self._known}; or {NONE} for no class"


def _words(text: str) -> Words:
    """Letters and digits in lower case, as words: hyphens, commas and full-width forms make no difference."""
    # Twice, since case folding can undo the normal form.
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # Apostrophes and invisible characters (soft hyphens, joiners) belong to the word around them.
    text = "".join(c for c in text if c not in "'’‘ʼ`´" and unicodedata.category(c) != "Cf")
    return tuple(re.findall(r"[^\W_]+", text))


def _inflected(word: str) -> list[str]:
    """Other numbers of a word: the singular of a plural, the plural (or both spellings of it) of a singular."""
    if word.endswith("s") and not word.endswith("ss"):
        return [word[:-1]]
    if re.search(r"[^aeiou\d]y$", word):
        return [f"{word[:-1]}ies"]
    if re.search(r"(ss|x|z|ch|sh)$", word):
        return [f"{word}es"]
    return [f"{word}s", f"{word}es"] if word.endswith("o") else [f"{word}s"]


def _quoted(phrase: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in phrase[:80])
    return f'"{line}…"' if len(phrase) > 80 else f'"{line}"'


FASHION = LabelText(
    class_names=(
        "t-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
    # Compounds of two classes' words are listed by their last word, which says what the thing is.
    synonyms=(
        ("tee", "tee shirt", "tshirt", "top", "tank top"),
        ("pants", "jeans", "slacks", "leggings", "chinos", "dress pants"),
        ("sweater", "jumper", "hoodie", "sweatshirt", "sweat shirt", "jersey"),
        ("gown", "frock", "sundress", "shirt dress", "t-shirt dress", "sweater dress"),
        ("jacket", "parka", "blazer", "overcoat", "raincoat", "jeans jacket", "jean jacket"),
        ("flip-flop", "flipflop", "heel", "slipper"),
        ("blouse", "dress shirt", "button-up", "button-down"),
        ("trainer", "tennis shoe", "running shoe", "gym shoe"),
        ("handbag", "purse", "backpack", "rucksack", "tote", "clutch", "satchel"),
        ("boot", "bootie", "ankleboot"),
    ),
)
"""The classes of Fashion-MNIST. Source: paper b, section 3.1, which gives coat and jacket as its example."""

DIGITS = LabelText(
    class_names=("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    synonyms=(("0", "nought", "nil"), ("1",), ("2",), ("3",), ("4",), ("5",), ("6",), ("7",), ("8",), ("9",)),
)
"""The classes of MNIST."""

"""Class labels as conditions, and a keyword parser that finds the class in a short phrase.

A label is a one-hot row. The all-zero condition means that no text is given; it is the "Invalid" class of paper a
(section 5.2).
"""

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32

from textvae.text.base import NONE, RowEncoder
from textvae.text.digit_grammar import DIGIT_WORDS
from textvae.utils.errors import UserError

Words = tuple[str, ...]


@dataclass(frozen=True)
class LabelText(RowEncoder):
    """Text encoder of class-conditional recipes: phrases to one-hot rows.

    Training captions (class names) and prompts (short phrases) are parsed by the same method, since a class name is a
    phrase, too.
    """

    class_names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]
    """Keywords and key phrases of each class besides its name. Plurals are derived."""

    def __post_init__(self) -> None:
        """Rejects a keyword that belongs to two classes: it would always be ambiguous."""
        if len(self.class_names) != len(self.synonyms):
            raise ValueError(f"{len(self.class_names)} classes but synonyms for {len(self.synonyms)}")
        owner: dict[Words, int] = {}
        for number, keys in enumerate(self._keys):
            for key in keys:
                words = _words(key)
                if not words or words == (NONE,) or owner.setdefault(words, number) != number:
                    raise ValueError(f"{key!r} cannot be a keyword of {self.class_names[number]}")

    def rows(self, captions: Sequence[str]) -> Float32[np.ndarray, "n classes"]:
        """Encodes captions as one-hot rows; ``NONE`` becomes zeros.

        Raises:
            UserError: a caption names no class, or more than one.
        """
        rows = np.zeros((len(captions), len(self.class_names)), np.float32)
        for row, caption in zip(rows, captions, strict=True):
            if caption != NONE:
                row[self.read(caption)] = 1.0
        return rows

    def read(self, phrase: str) -> int:
        """Returns the index of the class that a phrase names. Case, hyphens and number (singular, plural) are ignored.

        Where several key phrases start at the same word, the longest wins: "t-shirt" is not "shirt". Other words are
        skipped, and a class may be named more than once ("a coat or jacket").

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
            why = "it contains no known keyword" if words else "it contains no words"
            raise UserError(f"{_quoted(phrase)} names no class: {why}", self._help(words))
        understood = ", ".join(
            dict.fromkeys(f'"{" ".join(key)}" as {self.class_names[number]}' for key, number in found)
        )
        raise UserError(
            f"{_quoted(phrase)} names {len(classes)} classes: {understood}",
            f"name exactly one class; known keywords: {self._known}",
        )

    def _find(self, words: Words) -> list[tuple[Words, int]]:
        """Key phrases in order of appearance, each with its class."""
        found, position = [], 0
        while position < len(words):
            for length in range(self.longest, 0, -1):
                key = words[position : position + length]
                if len(key) == length and key in self.phrases:
                    found.append((key, self.phrases[key]))
                    position += length
                    break
            else:
                position += 1
        return found

    @property
    def _keys(self) -> list[tuple[str, ...]]:
        return [(name, *more) for name, more in zip(self.class_names, self.synonyms, strict=True)]

    @cached_property
    def phrases(self) -> dict[Words, int]:
        """The class of each key phrase, plurals and other inflected forms included."""
        # Exact keywords are added last, so that they take precedence over inflected forms of another class's keywords.
        keys = [(_words(key), number) for number, keys in enumerate(self._keys) for key in keys]
        table = {(*words[:-1], form): number for words, number in keys for form in _inflected(words[-1])}
        return table | dict(keys)

    @cached_property
    def longest(self) -> int:
        """Words of the longest key phrase."""
        return max(map(len, self.phrases))

    @property
    def _known(self) -> str:
        classes = zip(self.class_names, self.synonyms, strict=True)
        return "; ".join(f"{name} ({', '.join(more)})" if more else name for name, more in classes)

    def _help(self, words: Words) -> str:
        spelled = {" ".join(key): key for key in self.phrases}
        near: dict[str, None] = {}
        # Word pairs first: "t-shrit" should suggest "t-shirt", not "shirt". Only the first words are searched, as a
        # prompt may be very long.
        for length in (2, 1):
            for start in range(min(len(words) - length + 1, 12)):
                spoken = " ".join(words[start : start + length])[:24]
                near |= dict.fromkeys(difflib.get_close_matches(spoken, spelled, n=1, cutoff=0.75))
            if near:
                break
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        return f"{meant}known keywords: {self._known}; or {NONE} for no class"


def _words(text: str) -> Words:
    """Lower-case words of letters and digits; hyphens, punctuation and full-width forms are normalised."""
    # Normalise twice, as case folding may denormalise.
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # Remove apostrophes and invisible characters (soft hyphens, joiners) without splitting the word.
    text = "".join(c for c in text if c not in "'’‘ʼ`´" and unicodedata.category(c) != "Cf")
    return tuple(re.findall(r"[^\W_]+", text))


def _inflected(word: str) -> list[str]:
    """The singular of a plural, or the plural (in both spellings) of a singular."""
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
    # A compound of keywords of two classes belongs to the class of its last word ("shirt dress" is a dress).
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
"""The classes of Fashion-MNIST. Source: paper b, section 3.1 (its example: coat and jacket)."""

DIGITS = LabelText(
    class_names=DIGIT_WORDS,
    synonyms=(("0", "nought", "nil"), ("1",), ("2",), ("3",), ("4",), ("5",), ("6",), ("7",), ("8",), ("9",)),
)
"""The classes of MNIST."""

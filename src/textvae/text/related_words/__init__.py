"""Words of related meaning, as which a model reads words that its training captions did not have."""

import functools
import gzip
from collections.abc import Collection, Container
from importlib.resources import files

from textvae.text.related_words.colours import COLOURS, THINGS_AS_WELL, nearest_colour

__all__ = ["readings", "related_word", "table"]


def related_word(word: str, known: Container[str]) -> str | None:
    """The known word that is nearest in meaning; None where there is none.

    Another form of the word comes first ("petals", "petal"), then words of related meaning, the nearest first
    ("crimson" is read as "red", "spectacles" as "sunglasses"). The name of a colour is read as the nearest colour,
    unless the table has another name of it ("navy" is "blue").

    Args:
        word: in lower case, not in ``known``.
        known: a model's vocabulary.
    """
    forms = _forms(word)
    for form in forms:
        if form in known:
            return form
    singulars = [form for form in forms if len(form) < len(word)]
    return next((other for form in (word, *singulars) if (other := _nearest(form, known))), None)


def readings(known: Collection[str]) -> dict[str, str]:
    """The words of the table that a vocabulary does not have, by the known word as which each is read.

    The words of a known word are joined by spaces. It is the part of the table that a model needs, for readers in other
    languages, which look for other forms of a word themselves.
    """
    vocabulary = set(known)
    found: dict[str, list[str]] = {word: [] for word in known}
    for word in dict.fromkeys((*table(), *COLOURS)):
        if word not in vocabulary and (other := _nearest(word, vocabulary)):
            found[other].append(word)
    return {word: " ".join(others) for word, others in found.items() if others}


@functools.cache
def table() -> dict[str, tuple[str, ...]]:
    """Words of related meaning, the nearest first, for each of 30,000 English words.

    Source: WordNet 3.0 and all-MiniLM-L6-v2; ``build.py`` beside this file made it.
    """
    text = gzip.decompress((files(__package__) / "words.txt.gz").read_bytes()).decode("ascii")
    lines = [line.split(" ") for line in text.splitlines()]
    words = [line[0] for line in lines]
    return {line[0]: tuple(words[int(number)] for number in line[1:]) for line in lines if len(line) > 1}


def _nearest(word: str, known: Container[str]) -> str | None:
    """The known word nearest to exactly this one, among colours or in the table."""
    found = _in_table(word, known)
    if word not in COLOURS or found in COLOURS or (found and word in THINGS_AS_WELL):
        return found
    return nearest_colour(word, known) or found


def _in_table(word: str, known: Container[str]) -> str | None:
    """The first known one of a word's related words, in either number."""
    for other in table().get(word, ()):
        for form in (other, *_forms(other)):
            if form in known:
                return form
    return None


def _forms(word: str) -> tuple[str, ...]:
    """A noun's possible singulars, or its plural."""
    if word.endswith("ies") and len(word) > 4:
        return (word[:-3] + "y", word[:-1])
    if word.endswith("es") and len(word) > 4:
        return (word[:-1], word[:-2])
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        return (word[:-1], word + "es")
    if word.endswith(("s", "x", "ch", "sh")):
        return (word + "es",)
    if word.endswith("y") and len(word) > 2 and word[-2] not in "aeiou":
        return (word[:-1] + "ies",)
    return (word + "s",)

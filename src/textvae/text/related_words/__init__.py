"""Related words: known words that a model reads in place of words that its training captions did not have."""

import functools
import gzip
from collections.abc import Container, Mapping, Sequence
from importlib.resources import files

from textvae.text.related_words.colours import COLOURS, THINGS_AS_WELL, alike, colour_words

__all__ = ["readings", "related_words", "table"]


COMMON_WORDS, COMMON_SHARE = 100, 1 / 3
"""How many of the most frequent words of a vocabulary are common, at least, and which share of it."""


def related_words(word: str, known: Mapping[str, int]) -> tuple[str, ...]:
    """The one or two known words nearest in meaning, to be read in place of a word; () if there is none.

    Another form of the word comes first ("petals", "petal"), then words of related meaning, the nearest first
    ("crimson" is read as "red", "spectacles" as "sunglasses"). The name of a colour is read as the nearest colour,
    unless the table has another name of it ("navy" is "blue"), or as two that mix to it ("orange" as "red yellow").
    Rare words were seen with few pictures: a colour is looked for among the common ones first, and a rare related word
    is joined by a common one, if there is one ("lavender" is "lilac purple").

    Args:
        word: in lower case, not in ``known``.
        known: a model's vocabulary: the place of each word, 1 for the most frequent.
    """
    forms = _forms(word)
    for form in forms:
        if form in known:
            return (form,)
    singulars = [form for form in forms if len(form) < len(word)]
    return next((others for form in (word, *singulars) if (others := _nearest(form, known))), ())


def readings(words: Sequence[str]) -> dict[str, str]:
    """The words of the table that a vocabulary does not have, by the known words as which each is read.

    Words are joined by spaces, in keys too. It is the part of the table that a model needs, for readers in other
    languages, which look for other forms of a word themselves.

    Args:
        words: the vocabulary, the most frequent first.
    """
    known = {word: place for place, word in enumerate(words, start=1)}
    found: dict[str, list[str]] = {}
    for word in dict.fromkeys((*table(), *COLOURS)):
        if word not in known and (others := _nearest(word, known)):
            found.setdefault(" ".join(others), []).append(word)
    return {reading: " ".join(others) for reading, others in found.items()}


@functools.cache
def table() -> dict[str, tuple[str, ...]]:
    """Words of related meaning, the nearest first, for each of 30,000 English words.

    Source: WordNet 3.0 and all-MiniLM-L6-v2; ``build.py`` beside this file made it.
    """
    text = gzip.decompress((files(__package__) / "words.txt.gz").read_bytes()).decode("ascii")
    lines = [line.split(" ") for line in text.splitlines()]
    words = [line[0] for line in lines]
    return {line[0]: tuple(words[int(number)] for number in line[1:]) for line in lines if len(line) > 1}


def _nearest(word: str, known: Mapping[str, int]) -> tuple[str, ...]:
    """The known words nearest to exactly this one, among colours or in the table."""
    related = _in_table(word, known)
    first = related[0] if related else None
    if word in COLOURS and first not in COLOURS and not (first and word in THINGS_AS_WELL):
        common = [colour for colour in COLOURS if _is_common(colour, known)]
        if colours := colour_words(word, common) or colour_words(word, known):
            return colours
    if first is None or _is_common(first, known):
        return related[:1]
    more = [other for other in related[1:] if _is_common(other, known) and other not in _forms(first)]
    return first, *more[:1]


def _is_common(word: str, known: Mapping[str, int]) -> bool:
    return word in known and known[word] <= max(COMMON_WORDS, COMMON_SHARE * len(known))


def _in_table(word: str, known: Container[str]) -> tuple[str, ...]:
    """The known ones of a word's related words, in either number, the nearest first; of colours, those like it."""
    related = (form for other in table().get(word, ()) for form in (other, *_forms(other)) if form in known)
    unlike = {one for one in COLOURS if not alike(word, one)} if word in COLOURS else frozenset()
    return tuple(dict.fromkeys(one for one in related if one not in unlike))


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

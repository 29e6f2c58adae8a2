"""How well the captions written for pictures recover the true captions: their words, and the named colour."""

from collections.abc import Sequence

from textvae.text.caption_words import words_of


def word_f1(written: Sequence[str], captions: Sequence[str]) -> float:
    """The mean F1 score of the distinct words of each written caption against those of the true one.

    Harmonic mean of precision (words written that the caption has) and recall (words of the caption that are written).
    Captions of one subject share words such as "this flower has", so compare it with the score of shuffled captions.

    Raises:
        ValueError: there are none, or not as many of both.
    """
    scores = []
    for ours, theirs in zip(written, captions, strict=True):
        one, other = set(words_of(ours)), set(words_of(theirs))
        scores.append(2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0)
    if not scores:
        raise ValueError("there are no captions")
    return sum(scores) / len(scores)


def colours_recovered(
    written: Sequence[str], captions: Sequence[str], colours: Sequence[str]
) -> tuple[float, int] | None:
    """How often the one colour that a caption names is also in the written one, and how many captions name just one.

    None if no caption does.
    """
    known = set(colours)
    named = [(ours, known.intersection(words_of(theirs))) for ours, theirs in zip(written, captions, strict=True)]
    found = [colour <= set(words_of(ours)) for ours, colour in named if len(colour) == 1]
    return (sum(found) / len(found), len(found)) if found else None

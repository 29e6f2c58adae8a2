"""Grammar and parser of captions that denote one number.

    caption  = extreme | sum | sentence
    extreme  = ("min" | "max") digit digit {digit}
    sum      = digit {("plus" | "minus") digit}        evaluated from left to right; one digit is a sum, too
    sentence = words of SENTENCES around exactly one digit

The four families are those of Angelard-Gontier et al., "Variational Encoder Decoder for Image Generation Conditioned on
Captions", section 3.1. The parser accepts every caption of the grammar; which of them a model is trained and tested on
is defined by the data (``textvae.data.caption_splits``).
"""

import re

from textvae.text.vocabulary import require_known
from textvae.utils.errors import UserError

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

OPERATORS = ("plus", "minus")

EXTREMES = ("min", "max")

SENTENCES = (
    "this is a black {} on a white background",
    "a handwritten {}",
    "someone wrote the digit {}",
    "here you can see the number {}",
    "the number in this picture is {}",
    "a scan of a handwritten {} from an old form",
    "it looks like a small {} to me",
    "{} is the digit shown here",
    "a thin {} in the middle of the page",
    "somebody drew this {} with a pen",
    "please draw the number {} for me",
    "nothing but the digit {} on paper",
)
"""Sentence templates. The paper prints the first of its twelve; the other eleven are ours."""

SENTENCE_WORDS = tuple(dict.fromkeys(word for sentence in SENTENCES for word in sentence.split() if word != "{}"))

_VOCABULARIES = {
    "label": DIGIT_WORDS,
    "sentence": DIGIT_WORDS + SENTENCE_WORDS,
    "logic": DIGIT_WORDS + EXTREMES,
    "arithmetic": DIGIT_WORDS + OPERATORS,
}

_LONGEST = {
    "label": 1,
    "sentence": max(len(sentence.split()) for sentence in SENTENCES),
    # "min" or "max" and six numbers; nine times "one" and eight times "plus".
    "logic": 7,
    "arithmetic": 17,
}

_KNOWN = tuple(dict.fromkeys(word for words in _VOCABULARIES.values() for word in words))


def value_of(caption: str) -> int:
    """Evaluates a caption; the value need not be a digit: "nine plus nine" is 18.

    Args:
        caption: in words or numerals, as accepted by ``normalised``.

    Raises:
        UserError: a word is unknown, or the caption is ungrammatical (the cause names the position).
    """
    words = normalised(caption).split()
    require_known(words, _KNOWN)
    if not words:
        raise UserError("the caption is empty", 'write one such as "nine minus two"')
    if words[0] in EXTREMES:
        return _extreme(words)
    if any(word in SENTENCE_WORDS for word in words):
        return _sentence(words)
    return _sum(words)


def digit_of(caption: str) -> int:
    """Evaluates a caption to a digit from 0 to 9.

    Raises:
        UserError: as ``value_of``; also if the value is not a digit.
    """
    value = value_of(caption)
    if not 0 <= value <= 9:
        raise UserError(f'"{normalised(caption)}" is {value}, not a digit', "write a caption whose value is 0 to 9")
    return value


def normalised(caption: str) -> str:
    """Normalises a caption to the words of the grammar: "9 - 2, plus 1!" becomes "nine minus two plus one".

    Lower-cases, removes the marks . , ; : ! ? ' " and spells out one-digit numerals, +, - and * (hyphens inside words
    become spaces). Other characters are kept for the parser to reject: dropping a bracket would change the meaning.
    """
    text = re.sub(r"(?<=[^\W\d_])[-\u2010](?=[^\W\d_])", " ", caption.casefold())
    tokens = re.findall(r"\d+(?:[.,]\d+)?|[^\W\d_]+|\S", text)
    return " ".join(_in_words(token) for token in tokens if token not in ".,;:!?'\"\u2019")


def vocabulary(family: str) -> tuple[str, ...]:
    """Words of the family "label", "sentence", "logic" or "arithmetic". Their order is fixed; digits come first."""
    return _VOCABULARIES[family]


def longest(family: str) -> int:
    """Number of words in the longest caption of a family."""
    return _LONGEST[family]


def _in_words(token: str) -> str:
    if len(token) == 1 and token.isdecimal():
        return DIGIT_WORDS[int(token)]
    return {"+": "plus", "-": "minus", "\u2212": "minus", "\u2013": "minus", "*": "times", "\u00d7": "times"}.get(
        token, token
    )


def _extreme(words: list[str]) -> int:
    numbers = [_digit(words, place) for place in range(1, len(words))]
    if len(numbers) < 2:
        raise _malformed(words, len(words), "a number (min and max take at least two)")
    return min(numbers) if words[0] == "min" else max(numbers)


def _sum(words: list[str]) -> int:
    total = _digit(words, 0)
    for place in range(1, len(words), 2):
        if words[place] not in OPERATORS:
            raise _malformed(words, place, '"plus" or "minus"')
        term = _digit(words, place + 1)
        total += term if words[place] == "plus" else -term
    return total


def _sentence(words: list[str]) -> int:
    found: list[int] = []
    for place, word in enumerate(words):
        if word in SENTENCE_WORDS:
            continue
        if found:
            raise _malformed(words, place, f'no second number after "{DIGIT_WORDS[found[0]]}"')
        found.append(_digit(words, place))
    if not found:
        raise _malformed(words, len(words), "a number in the sentence")
    return found[0]


def _digit(words: list[str], place: int) -> int:
    if place >= len(words) or words[place] not in DIGIT_WORDS:
        raise _malformed(words, place, "a number from zero to nine")
    return DIGIT_WORDS.index(words[place])


def _malformed(words: list[str], place: int, expected: str) -> UserError:
    where = f'word {place + 1}, "{words[place]}"' if place < len(words) else "the end"
    return UserError(
        f'"{" ".join(words)}" is not a valid caption: error at {where}',
        f'expected {expected}; valid captions: "five", "nine minus two plus one", "min nine five seven"',
    )

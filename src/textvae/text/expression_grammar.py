"""Grammar, parser and token ids of captions that are calculations with brackets: "three times (four plus five)".

    sum     = product {("plus" | "minus") product}     evaluated from left to right
    product = factor {"times" factor}
    factor  = digit | "(" sum ")"

The value of a caption, and every result on the way to it, is a number from 0 to 99.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from textvae.text.base import NONE, RowEncoder
from textvae.text.digit_grammar import DIGIT_WORDS, normalised
from textvae.text.vocabulary import require_known
from textvae.utils.errors import UserError

OPERATORS = ("plus", "minus", "times")
BRACKETS = ("(", ")")

LARGEST = 99
"""The greatest value of a caption, and of a result on the way to it."""
MOST_NUMBERS = 6
"""In a caption."""


class Operation(NamedTuple):
    """An operator and what it is applied to."""

    operator: str
    left: "Expression"
    right: "Expression"


Expression = int | Operation
"""A digit, or an operation on two expressions."""


def apply(operator: str, left: int, right: int) -> int:
    """The result of an operator of ``OPERATORS``."""
    return left + right if operator == "plus" else left - right if operator == "minus" else left * right


def parse_expression(caption: str) -> Expression:
    """The tree of a caption, in words or in numerals and signs.

    Raises:
        UserError: a word is unknown, or the caption is not of the grammar.
    """
    words = normalised(caption).split()
    require_known(words, (*DIGIT_WORDS, *OPERATORS, *BRACKETS))
    if not words:
        raise UserError("the caption is empty", 'write one such as "three times (four plus five)"')
    tree, place = _sum(words, 0)
    if place < len(words):
        raise _malformed(words, place, "an operator: plus, minus or times")
    return tree


def value_of_expression(expression: Expression) -> int:
    """Evaluates a tree.

    Raises:
        UserError: the value, or a result on the way to it, is not a number from 0 to ``LARGEST``.
    """
    if isinstance(expression, int):
        return expression
    operator, left, right = expression
    value = apply(operator, value_of_expression(left), value_of_expression(right))
    if not 0 <= value <= LARGEST:
        raise UserError(
            f'"{written(expression)}" is {value}',
            f"every result of a calculation, also on the way, must be from 0 to {LARGEST}",
        )
    return value


def written(expression: Expression) -> str:
    """The caption of a tree, with no more brackets than it needs."""
    return " ".join(_written(expression, 0))


def postfix(expression: Expression) -> list[str]:
    """The words of a tree with each operator after what it is applied to: "three four five plus times"."""
    if isinstance(expression, int):
        return [DIGIT_WORDS[expression]]
    return [*postfix(expression.left), *postfix(expression.right), expression.operator]


@dataclass(frozen=True)
class ExpressionCaptions(RowEncoder):
    """Text encoder of calculations: brackets and precedence are resolved here, values are not.

    A caption becomes the token ids of its words in postfix order, padded with zeros: digits have the ids 1 to 10,
    operators follow. The value is only validated.
    """

    @property
    def num_tokens(self) -> int:
        """Rows of an embedding table: padding, digits and operators."""
        return 1 + len(DIGIT_WORDS) + len(OPERATORS)

    def rows(self, captions: Sequence[str]) -> Int64[np.ndarray, "n 11"]:
        """Encodes captions as token ids, one row per caption; ``NONE`` becomes zeros.

        Raises:
            UserError: as ``parse_expression`` and ``value_of_expression``; also if a caption has too many numbers.
        """
        number = {word: i for i, word in enumerate((*DIGIT_WORDS, *OPERATORS), start=1)}
        rows = np.zeros((len(captions), 2 * MOST_NUMBERS - 1), np.int64)
        for row, caption in zip(rows, captions, strict=True):
            if caption.strip().casefold() == NONE:
                continue
            tree = parse_expression(caption)
            value_of_expression(tree)
            words = postfix(tree)
            if len(words) > len(row):
                raise UserError(
                    f'"{caption}" has {len(words) // 2 + 1} numbers', f"this model reads at most {MOST_NUMBERS}"
                )
            row[: len(words)] = [number[word] for word in words]
        return rows


def _sum(words: list[str], place: int) -> tuple[Expression, int]:
    return _chain(words, place, ("plus", "minus"))


def _chain(words: list[str], place: int, operators: tuple[str, ...]) -> tuple[Expression, int]:
    """Operations of equal precedence from left to right, and the place after them."""
    below = _factor if operators == ("times",) else _product
    tree, place = below(words, place)
    while place < len(words) and words[place] in operators:
        right, after = below(words, place + 1)
        tree, place = Operation(words[place], tree, right), after
    return tree, place


def _product(words: list[str], place: int) -> tuple[Expression, int]:
    return _chain(words, place, ("times",))


def _factor(words: list[str], place: int) -> tuple[Expression, int]:
    if place < len(words) and words[place] == "(":
        tree, place = _sum(words, place + 1)
        if place >= len(words) or words[place] != ")":
            raise _malformed(words, place, 'an operator or ")"')
        return tree, place + 1
    if place >= len(words) or words[place] not in DIGIT_WORDS:
        raise _malformed(words, place, 'a number from zero to nine or "("')
    return DIGIT_WORDS.index(words[place]), place + 1


def _written(expression: Expression, least: int) -> list[str]:
    """The words of a tree, in brackets if its operator binds less than ``least``."""
    if isinstance(expression, int):
        return [DIGIT_WORDS[expression]]
    binds = 2 if expression.operator == "times" else 1
    words = [*_written(expression.left, binds), expression.operator, *_written(expression.right, binds + 1)]
    return ["(", *words, ")"] if binds < least else words


def _malformed(words: list[str], place: int, expected: str) -> UserError:
    where = f'word {place + 1}, "{words[place]}"' if place < len(words) else "the end"
    return UserError(
        f'"{" ".join(words)}" is not a valid calculation: error at {where}',
        f'expected {expected}; valid: "seven", "nine minus two times three", "three times (four plus five)"',
    )

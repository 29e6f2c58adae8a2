"""Calculations: captions and trees are two forms of the same, and what cannot be drawn is refused."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textvae.text.digit_grammar import DIGIT_WORDS
from textvae.text.expression_grammar import (
    OPERATORS,
    ExpressionCaptions,
    Operation,
    parse_expression,
    postfix,
    value_of_expression,
    written,
)
from textvae.utils.errors import UserError

digits = st.integers(0, 9)
trees = st.recursive(digits, lambda inner: st.builds(Operation, st.sampled_from(OPERATORS), inner, inner), max_leaves=8)
SIGNS = {"plus": "+", "minus": "-", "times": "*"}


@given(trees)
def test_captions_are_read_as_the_trees_that_they_were_written_from(tree):
    assert parse_expression(written(tree)) == tree


def results(tree):
    """The value of a tree and of all its parts, by ordinary arithmetic."""
    if isinstance(tree, int):
        return [tree]
    left, right = results(tree.left), results(tree.right)
    return [eval(f"{left[0]} {SIGNS[tree.operator]} {right[0]}"), *left, *right]


@given(trees)
def test_values_are_those_of_ordinary_arithmetic(tree):
    if all(0 <= result <= 99 for result in results(tree)):
        assert value_of_expression(tree) == results(tree)[0]
    else:
        with pytest.raises(UserError, match=r"is -?[0-9]+"):
            value_of_expression(tree)


@given(trees)
def test_numerals_and_signs_are_read_as_words_are(tree):
    words = {word: str(digit) for digit, word in enumerate(DIGIT_WORDS)} | SIGNS
    signs = "".join(words.get(word, word) for word in written(tree).split())
    assert parse_expression(signs) == tree


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("Seven", "seven"),
        ("nine minus two times three", "nine two three times minus"),
        ("3 \u00d7 (4 + 5)", "three four five plus times"),
        ("(9 - 2) - 3", "nine two minus three minus"),
        ("9 - (2 - 3)", "nine two three minus minus"),
    ],
)
def test_postfix_puts_operators_behind_what_they_are_applied_to(caption, words):
    assert " ".join(postfix(parse_expression(caption))) == words


@pytest.mark.parametrize(
    ("caption", "cause"),
    [
        ("", "empty"),
        ("three times (four plus five", "the end"),
        ("three times four)", 'word 4, "\\)"'),
        ("three four", 'word 2, "four"'),
        ("three plus plus four", 'word 3, "plus"'),
        ("three divided by four", 'unknown word "divided"'),
        ("12 plus 3", 'unknown word "12"'),
        ("three minus four", "is -1"),
        ("nine times nine times nine minus nine", "is 729"),
        ("one plus one plus one plus one plus one plus one plus one", "7 numbers"),
    ],
)
def test_what_cannot_be_drawn_is_refused(caption, cause):
    with pytest.raises(UserError, match=cause):
        ExpressionCaptions().rows([caption])


def test_rows_are_ids_in_postfix_order():
    rows = ExpressionCaptions().rows(["none", "three times (four plus five)"])
    assert rows.tolist() == [[0] * 11, [4, 5, 6, 11, 13] + [0] * 6]
    longest = "+".join(random.Random(0).choices("0123456789", k=6))
    assert ExpressionCaptions().rows([longest]).max() < ExpressionCaptions().num_tokens

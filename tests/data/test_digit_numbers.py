"""Calculations by split, and the pictures of their results."""

import numpy as np
import pytest
import torch

from textvae import data
from textvae.data.digit_numbers import SIZES, DigitNumbers, compose_numbers, digit_halves
from textvae.data.expression_splits import expressions
from textvae.data.mnist import MNIST
from textvae.text.expression_grammar import Operation, parse_expression, postfix, value_of_expression

needs_mnist = pytest.mark.skipif(MNIST.find() is None, reason="MNIST is not here: textvae data fetch mnist")
FEW = 2


def unordered(tree):
    """A tree in which the sides of sums and products have no order."""
    if isinstance(tree, int):
        return tree
    sides = [unordered(tree.left), unordered(tree.right)]
    return Operation(tree.operator, *(sides if tree.operator == "minus" else sorted(sides, key=repr)))


@pytest.mark.slow
def test_every_number_has_distinct_calculations_of_that_value():
    for split in ("train", "test-unseen", "test-longer"):
        found = expressions(split, FEW)
        assert len({caption for caption, _ in found}) == len(found)
        assert [value for _, value in found] == sorted(value for _, value in found)
        assert {value for _, value in found} == set(range(100))
        trees = [parse_expression(caption) for caption, _ in found]
        assert all(value_of_expression(tree) == value for tree, (_, value) in zip(trees, found, strict=True))
        counts = {len(postfix(tree)) // 2 + 1 for tree in trees}
        assert counts == {"train": {1, 2, 3, 4}, "test-unseen": {3, 4}, "test-longer": {5}}[split]
    assert {*expressions("test", FEW)} == {*expressions("test-unseen", FEW)} | {*expressions("test-longer", FEW)}
    assert expressions("val", FEW) == expressions("train", FEW)


@pytest.mark.slow
def test_no_calculation_of_training_is_tested_in_any_order():
    train = {unordered(parse_expression(caption)) for caption, _ in expressions("train", 10)}
    unseen = {unordered(parse_expression(caption)) for caption, _ in expressions("test-unseen", 10)}
    assert not train & unseen


def test_numbers_are_composed_of_their_digits():
    # Digit d is a box of brightness 20 (d + 1).
    digits = torch.zeros(10, 28, 28, dtype=torch.uint8)
    digits[:, 8:20, 10:18] = 20 * torch.arange(1, 11, dtype=torch.uint8)[:, None, None] + 50
    numbers = torch.tensor([7, 70, 42, 0, 99])
    images = compose_numbers(digits, torch.arange(10), numbers, np.random.default_rng(0))
    left, right = (half.flatten(1).amax(1).tolist() for half in images.chunk(2, dim=3))
    brightness = [20 * (digit + 1) + 50 for digit in range(10)]
    assert left == [0, brightness[7], brightness[4], 0, brightness[9]]
    assert right == [brightness[digit] for digit in (7, 0, 2, 0, 9)]
    tens, units, two = digit_halves(images)
    assert two.tolist() == [False, True, True, False, True]
    assert tens.shape == units.shape == (5, 1, 28, 28)
    assert int(units[2].amax()) == brightness[2]


@needs_mnist
def test_every_image_has_the_calculations_of_its_number():
    few = DigitNumbers(most=FEW)
    assert data.source("digit-numbers").splits == tuple(SIZES)
    images = few.load("val")
    values = dict(expressions("val", FEW))
    numbers = [{values[caption] for caption in images.captions[start:stop]} for start, stop in images.caption_range]
    assert all(len(number) == 1 for number in numbers)
    assert {number for (number,) in numbers} == set(range(100))
    two = digit_halves(images.images)[2].tolist()
    assert two == [number > 9 for (number,) in numbers]
    assert images.fingerprint() == few.load("val").fingerprint()

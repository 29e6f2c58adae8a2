"""Calculations that models are trained and tested on, with the number that each means.

``textvae.text.expression_grammar`` parses and evaluates them. All random choices have fixed seeds.
"""

from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from random import Random
from zlib import crc32

from textvae.text.expression_grammar import LARGEST, OPERATORS, Expression, Operation, apply, written

NUMBERS = {"train": (1, 2, 3, 4), "test-unseen": (3, 4), "test-longer": (5,)}
"""Numbers in a calculation, by split."""
MOST = {"train": 1500, "test-unseen": 20, "test-longer": 20}
"""Calculations of a split for each value and count of numbers; there are fewer of some."""
HELD_OUT = 10
"""Of the calculations with three and four numbers, one in so many is only in "test-unseen"."""


@cache
def expressions(split: str, most: int = 0) -> tuple[tuple[str, int], ...]:
    """Distinct captions of a split with the number that each means, in ascending order of the numbers.

    Every number from 0 to 99 occurs, and every result on the way is one of them, too. "val" has the captions of
    "train", "test" those of both tests. A calculation of "test-unseen" is not in "train", also not with the sides of a
    sum or of a product exchanged. "test-longer" has one number more than any in "train".

    Args:
        split: the split.
        most: in the place of ``MOST``, for tests; 0: as there.
    """
    if split == "test":
        return tuple(
            sorted(expressions("test-unseen", most) + expressions("test-longer", most), key=lambda one: one[1])
        )
    split = "train" if split == "val" else split
    rng = Random(f"expressions {split}")
    return tuple(
        (written(tree), value)
        for value in range(LARGEST + 1)
        for count in NUMBERS[split]
        for tree in _some(rng, count, value, most or MOST[split], split)
    )


def _some(rng: Random, count: int, value: int, most: int, split: str) -> Iterator[Expression]:
    """Distinct random calculations of a split with a count of numbers and a value."""
    drawn: set[Expression] = set()
    # Held-out ones are a tenth; where there are few, most are drawn more than once.
    tries = 3 * most * (HELD_OUT if split == "test-unseen" else 1)
    for _ in range(tries if _counts(count)[value] else 0):
        tree = _draw(rng, count, value)
        if tree in drawn or (count > 2 and _held_out(tree) != (split == "test-unseen") and split != "test-longer"):
            continue
        drawn.add(tree)
        yield tree
        if len(drawn) == most:
            return


def _held_out(tree: Expression) -> bool:
    return crc32(_sorted(tree).encode()) % HELD_OUT == 0


def _sorted(tree: Expression) -> str:
    """The same text for trees that differ in the order of the sides of sums and products only."""
    if isinstance(tree, int):
        return str(tree)
    sides = [_sorted(tree.left), _sorted(tree.right)]
    if tree.operator != "minus":
        sides.sort()
    return f"({sides[0]} {tree.operator} {sides[1]})"


def _draw(rng: Random, count: int, value: int) -> Expression:
    """A calculation, every one with this count of numbers and this value equally likely."""
    if count == 1:
        return value
    operations, weights = _operations(count, value)
    left, operator, first, second = rng.choices(operations, cum_weights=weights)[0]
    return Operation(operator, _draw(rng, left, first), _draw(rng, count - left, second))


@cache
def _counts(count: int) -> tuple[int, ...]:
    """How many calculations have this count of numbers, by value."""
    if count == 1:
        return tuple(int(value < 10) for value in range(LARGEST + 1))
    totals = (_operations(count, value)[1] for value in range(LARGEST + 1))
    return tuple(total[-1] if total else 0 for total in totals)


@cache
def _operations(count: int, value: int) -> tuple[list[tuple[int, str, int, int]], list[int]]:
    """The last operations of such calculations: how many numbers the left side has, the operator, and both sides'
    values; with the cumulative number of calculations that end in each.
    """
    found = [
        (left, operator, first, second, _counts(left)[first] * _counts(count - left)[second])
        for left in range(1, count)
        for operator, first, second in _pairs()[value]
    ]
    found = [one for one in found if one[4]]
    return [one[:4] for one in found], list(accumulate(one[4] for one in found))


@cache
def _pairs() -> tuple[list[tuple[str, int, int]], ...]:
    """The operations on numbers from 0 to 99 by their value."""
    pairs: tuple[list[tuple[str, int, int]], ...] = tuple([] for _ in range(LARGEST + 1))
    for operator in OPERATORS:
        for first in range(LARGEST + 1):
            for second in range(LARGEST + 1):
                if 0 <= (value := apply(operator, first, second)) <= LARGEST:
                    pairs[value].append((operator, first, second))
    return pairs

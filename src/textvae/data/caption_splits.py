"""The captions of digits that models are trained, validated and tested on, with the digit that each means.

Source: the four kinds of captions of Angelard-Gontier et al., "Variational Encoder Decoder for Image Generation
Conditioned on Captions", section 3.1. ``textvae.text.digit_grammar`` parses them; it does not use these lists. All
random choices have fixed seeds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, islice, permutations
from math import factorial
from random import Random

from textvae.text.digit_grammar import DIGIT_WORDS, OPERATORS, SENTENCES

Caption = tuple[str, int]
"""A caption and the digit that it means."""


@dataclass(frozen=True)
class Family:
    """One kind of captions."""

    name: str
    """ "label", "sentence", "logic" or "arithmetic"."""
    summary: str
    """What is trained on and what is tested, in one line."""
    parts: Mapping[str, Callable[[], Iterator[Caption]]]
    """Captions by split: "train", "val", and either "test" or several parts whose names begin with "test-"."""

    @property
    def splits(self) -> tuple[str, ...]:
        """What ``captions`` takes: "train", "val", "test", then the parts of the test."""
        return tuple(dict.fromkeys(["train", "val", "test", *self.parts]))

    def captions(self, split: str) -> tuple[Caption, ...]:
        """Distinct captions, sorted by the digit that they mean; every digit occurs."""
        return _sorted_captions(self.name, split)


def _labels() -> Iterator[Caption]:
    for digit, word in enumerate(DIGIT_WORDS):
        yield word, digit


def _sentences() -> Iterator[Caption]:
    for sentence in SENTENCES:
        for digit, word in enumerate(DIGIT_WORDS):
            yield sentence.format(word), digit


LOGIC_SHARES = {"test": 0.15, "val": 0.10}
"""Shares of the sets of two, three and four numbers; the rest is for training."""


def _logic(split: str, sizes: Sequence[int], most: int) -> Iterator[Caption]:
    """Captions of a split with ``sizes`` numbers, at most ``most`` for each digit and size.

    The limit balances the digits: the smallest of four numbers is a zero far more often than a five.
    """
    rng = Random(f"logic {split}")
    for size in sizes:
        sets = _number_sets(size)[split] if size <= 4 else tuple(combinations(range(10), size))
        orders = factorial(size)
        for digit in range(10):
            meaning = [("min", numbers) for numbers in sets if numbers[0] == digit]
            meaning += [("max", numbers) for numbers in sets if numbers[-1] == digit]
            count = len(meaning) * orders
            for choice in sorted(rng.sample(range(count), min(count, most))):
                operator, numbers = meaning[choice // orders]
                order = next(islice(permutations(numbers), choice % orders, None))
                yield " ".join([operator, *(DIGIT_WORDS[number] for number in order)]), digit


@cache
def _number_sets(size: int) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Ascending sets of numbers by split. A set belongs to one split in all its orders and with both operators."""
    sets = list(combinations(range(10), size))
    Random(f"logic sets of {size}").shuffle(sets)
    test, val = (round(len(sets) * LOGIC_SHARES[split]) for split in ("test", "val"))
    return {"test": tuple(sets[:test]), "val": tuple(sets[test : test + val]), "train": tuple(sets[test + val :])}


def _one_operation() -> Iterator[Caption]:
    for digit, word in enumerate(DIGIT_WORDS):
        yield word, digit
        for other in range(digit + 1):
            yield f"{DIGIT_WORDS[other]} plus {DIGIT_WORDS[digit - other]}", digit
        for other in range(10 - digit):
            yield f"{DIGIT_WORDS[digit + other]} minus {DIGIT_WORDS[other]}", digit
        # "one plus one" is in the list already.
        if digit > 2:
            yield " plus ".join(["one"] * digit), digit


def _longer(within: bool) -> Iterator[Caption]:
    """Sums of three to six numbers, 25 captions for each digit and length.

    Args:
        within: True: every intermediate result is a digit; False: at least one is not.
    """
    rng = Random(f"arithmetic {within}")
    drawn = {caption for caption, _ in _one_operation()}
    for length in range(3, 7):
        room = dict.fromkeys(range(10), 25)
        while any(room.values()):
            total = rng.randrange(10)
            words, always_digit = [DIGIT_WORDS[total]], True
            for _ in range(length - 1):
                operator, term = rng.choice(OPERATORS), rng.randrange(10)
                total += term if operator == "plus" else -term
                words += [operator, DIGIT_WORDS[term]]
                always_digit = always_digit and 0 <= total <= 9
            caption = " ".join(words)
            if always_digit == within and room.get(total) and caption not in drawn:
                drawn.add(caption)
                room[total] -= 1
                yield caption, total


LABEL = Family(
    "label",
    'the digit\'s name, "five"; nothing is held out',
    {"train": _labels, "val": _labels, "test": _labels},
)

SENTENCE = Family(
    "sentence",
    "twelve sentences with the digit inside; nothing is held out",
    {"train": _sentences, "val": _sentences, "test": _sentences},
)

LOGIC = Family(
    "logic",
    "min or max of 2 to 4 numbers, tested on sets of numbers never seen and on 5 to 6 numbers",
    {
        "train": lambda: _logic("train", (2, 3, 4), 200),
        "val": lambda: _logic("val", (2, 3, 4), 20),
        "test-unseen": lambda: _logic("test", (2, 3, 4), 50),
        "test-longer": lambda: _logic("test", (5, 6), 50),
    },
)
"""The smallest or greatest of distinct numbers.

The paper states the kind of captions, not their splits. Ours: train, val and "test-unseen" have 2 to 4 numbers and no
set of numbers in common, in any order and with either operator; "test-longer" has 5 and 6 numbers.
"""

ARITHMETIC = Family(
    "arithmetic",
    "a digit, one plus or minus, or a sum of ones; tested on 3 to 6 numbers never seen",
    {
        "train": _one_operation,
        "val": _one_operation,
        "test-within": lambda: _longer(within=True),
        "test-beyond": lambda: _longer(within=False),
    },
)
"""Sums and differences.

Train and val have the same captions, as in the paper (section 4: one distribution over captions for both): "x", every
"x plus y" and "x minus y" whose result is a digit, and sums of ones; none of two terms is held out. These are 13
captions for each digit from three up, the number in the paper although it lists no "x minus y", and 12 for zero, one
and two, which have no sum of ones of their own.

Test captions are longer, uniformly random for each length and digit, and none is a training caption. In "test-within"
every intermediate result is a digit ("nine minus two plus one"), in "test-beyond" at least one is not ("nine plus nine
minus nine").
"""

FAMILIES: dict[str, Family] = {family.name: family for family in (LABEL, SENTENCE, LOGIC, ARITHMETIC)}


@cache
def _sorted_captions(name: str, split: str) -> tuple[Caption, ...]:
    parts = FAMILIES[name].parts
    chosen = [split] if split in parts else [part for part in parts if part.startswith(f"{split}-")]
    captions = [caption for part in chosen for caption in parts[part]()]
    return tuple(sorted(captions, key=lambda caption: caption[1]))

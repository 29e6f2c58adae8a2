"""Arguments of functions that people call, checked: prompts, seeds, numbers."""

import operator
from collections.abc import Sequence

from textvae.utils.errors import UserError


def prompts_of(prompt: str | Sequence[str]) -> list[str]:
    """A prompt, or several, as a list.

    Raises:
        UserError: they are no texts, or there are none.
    """
    if isinstance(prompt, str):
        return [prompt]
    if not isinstance(prompt, Sequence) or not all(isinstance(one, str) for one in prompt):
        raise UserError(f"a prompt is a {kind_of(prompt)}", 'give a text such as "a dress", or a list of texts')
    if not prompt:
        raise UserError("there are no prompts", "give at least one")
    return list(prompt)


def seeds_of(seed: int | Sequence[int], num_images: int | None) -> list[int]:
    """The seed of each picture of a prompt, from the first seed or all of them, and the number of pictures.

    Raises:
        UserError: a seed is no integer or out of range, or the numbers of seeds and pictures differ or are none.
    """
    if isinstance(seed, Sequence) and not isinstance(seed, str):
        seeds = [integer("a seed", one) for one in seed]
        count = len(seeds) if num_images is None else integer("num_images", num_images)
        if count != len(seeds):
            raise UserError(f"{len(seeds)} seeds for {count} images", "give as many seeds as num_images")
    else:
        count = 1 if num_images is None else integer("num_images", num_images)
        first = integer("seed", seed)
        seeds = [first + i for i in range(count)]
    if not seeds:
        raise UserError(f"{count} images were asked for", "ask for at least one")
    if wrong := [one for one in seeds if not 0 <= one < 2**62]:
        raise UserError(f"seed {wrong[0]} is out of range", "choose an integer from 0 up to 2^62")
    return seeds


def integer(name: str, value: int) -> int:
    """An integer of Python or numpy.

    Raises:
        UserError: it is none.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise UserError(f"{name} is {value!r}, a {kind_of(value)}", "give an integer") from None


def number(name: str, value: float | None) -> float | None:
    """A number, or None.

    Raises:
        UserError: it is neither.
    """
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise UserError(f"{name} is {value!r}, a {kind_of(value)}", "give a number")


def kind_of(value: object) -> str:
    """The type of a value for an error message; of a sequence, that of its elements too."""
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {', '.join(sorted({type(one).__name__ for one in value})) or 'nothing'}"
    return type(value).__name__

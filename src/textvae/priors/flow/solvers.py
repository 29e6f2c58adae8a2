"""Second-order solvers of dx/dt = velocity(x, t), and the ranges of guidance scale and steps."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor

from textvae.utils.errors import UserError

Solver = Literal["heun", "midpoint", "multistep"]


MAX_STEPS, MAX_GUIDANCE = 50, 20.0


def spaced(steps: int, spacing: float = 1.0) -> list[float]:
    """The ``steps + 1`` times from 0 to 1 between which steps lie: (k / steps) to the power ``spacing``.

    A spacing of 1 makes equal steps. More makes the first steps shorter, in which the latents are still noise and it is
    decided what they become.
    """
    return [(step / steps) ** spacing for step in range(steps + 1)]


def solve(velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor, times: Sequence[float], solver: Solver) -> Tensor:
    """Solves dx/dt = velocity(x, t) from the first of these times to the last, in a step between each two."""
    before, length = None, 1.0
    for start, end in pairwise(times):
        h = end - start
        now = x.new_full((len(x),), start)
        first = velocity(x, now)
        if solver == "multistep":  # Adams-Bashforth, for steps of different length
            past = 0.5 * h / length
            x = x + h * (first if before is None else (1 + past) * first - past * before)
            before, length = first, h
        elif solver == "midpoint":
            x = x + h * velocity(x + 0.5 * h * first, now + 0.5 * h)
        else:
            x = x + 0.5 * h * (first + velocity(x + h * first, now + h))
    return x


def check_sampling(guidance: float, steps: int) -> None:
    """Checks the ranges of sampling options.

    Raises:
        UserError: an option is out of range.
    """
    if not 0 <= guidance <= MAX_GUIDANCE:
        raise UserError(f"guidance {guidance:g} is out of range", f"choose a number from 0 to {MAX_GUIDANCE:g}")
    if not 1 <= steps <= MAX_STEPS:
        raise UserError(f"{steps} steps are out of range", f"choose a whole number from 1 to {MAX_STEPS}")

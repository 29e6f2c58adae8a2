"""Second-order solvers of dx/dt = velocity(x, t), and the ranges of guidance scale and steps."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from textvae.utils.errors import UserError

Solver = Literal["heun", "midpoint", "multistep"]


MAX_STEPS, MAX_GUIDANCE = 50, 20.0


def solve(
    velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor, start: float, end: float, steps: int, solver: Solver
) -> Tensor:
    """Solves dx/dt = velocity(x, t) from one time to another in equal steps."""
    h = (end - start) / steps
    before = None
    for step in range(steps):
        now = x.new_full((len(x),), start + step * h)
        first = velocity(x, now)
        if solver == "multistep":
            x = x + h * (first if before is None else 1.5 * first - 0.5 * before)
            before = first
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

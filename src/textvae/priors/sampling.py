"""What may be asked of a prior that can be led."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Sampling:
    """How to draw; what is None is the prior's own."""

    guidance: float | None = None
    """How much is made of the condition: 1 is p(z|c) itself, more is more faithful and less varied."""
    steps: int | None = None
    """Of the solver."""
    negative: Tensor | None = None
    """A condition to be led away from, one a row."""

    def __bool__(self) -> bool:
        """Whether anything is asked."""
        return not (self.guidance is None and self.steps is None and self.negative is None)

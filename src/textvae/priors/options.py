"""What may be asked of a prior that can be led."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class SamplingOptions:
    """How to draw; what is None is the prior's own."""

    guidance: float | None = None
    """How much is made of the condition: 1 is p(z|c) itself, more is more faithful and less varied."""
    steps: int | None = None
    """Of the solver."""
    negative: Tensor | None = None
    """A condition to be led away from, one a row."""
    towards: Tensor | None = None
    """A second condition, one a row, for what lies between two."""
    share: float = 0.0
    """Of the second condition: 0 is the first alone, 1 the second."""
    strides: bool = True
    """Whether strides may be taken where they were learned for just this guidance; else the solver goes its steps."""

    def __bool__(self) -> bool:
        """Whether anything is asked."""
        asked = (self.guidance, self.steps, self.negative, self.towards)
        return any(one is not None for one in asked)

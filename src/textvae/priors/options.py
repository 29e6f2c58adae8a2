"""SamplingOptions: guidance scale, steps and further conditions of a prior that supports guidance."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class SamplingOptions:
    """How a prior samples. Options that are None take the prior's defaults."""

    guidance: float | None = None
    """Classifier-free guidance scale: 1 samples p(z|c) itself, more follows the condition with less variety."""
    steps: int | None = None
    """Number of sampling steps."""
    negative: Tensor | None = None
    """Negative condition, one row per sample, from which guidance moves away; default: the empty condition."""
    second_condition: Tensor | None = None
    """Second condition, one row per sample, for interpolation between two conditions."""
    weight: float = 0.0
    """Weight of the second condition's velocity, from 0 (the first condition alone) to 1 (the second)."""
    few_step: bool = True
    """Whether to use few-step sampling if the prior was trained for it, instead of the solver."""

    def __bool__(self) -> bool:
        """Whether any option is set that needs a prior with guidance."""
        needed = (self.guidance, self.steps, self.negative, self.second_condition)
        return any(option is not None for option in needed)

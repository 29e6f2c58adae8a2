"""SamplingOptions: guidance scale, steps and further conditions of a prior that supports guidance."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class SamplingOptions:
    """How a prior samples. Options that are None take the prior's defaults."""

    guidance: float | None = None
    """Classifier-free guidance scale: 1 samples p(z|c) itself, more follows the condition with less variety."""
    steps: int | None = None
    """Steps of the solver, or of few-step sampling."""
    negative: Tensor | None = None
    """Condition that guidance leads away from, one row for each sample, instead of the empty condition."""
    second_condition: Tensor | None = None
    """Second condition, one row for each sample, for samples between two conditions."""
    weight: float = 0.0
    """Weight of the second condition's velocity, from 0 (the first condition alone) to 1 (the second)."""
    few_step: bool = True
    """Whether few-step sampling may be used where the prior was trained for it; otherwise the solver is."""

    def __bool__(self) -> bool:
        """Whether any option is set that needs a prior with guidance."""
        needed = (self.guidance, self.steps, self.negative, self.second_condition)
        return any(option is not None for option in needed)

"""A training whose loss or weights are not finite."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from textvae.models.losses import LossTerms
from textvae.training.config import TrainerConfig
from textvae.utils.errors import UserError


class TrainingDiverged(UserError):
    """A loss term is infinite or not a number."""

    def __init__(self, step: int, loss: LossTerms, config: TrainerConfig) -> None:
        values = {"total": loss.total.detach(), **loss.terms}
        bad = [name for name, value in values.items() if not torch.isfinite(value)]
        likely = bad[-1] if bad else "total"
        shown = ", ".join(f"{name} {float(value):.4g}" for name, value in values.items())
        hint = (
            "the posterior's log-variance diverged"
            if likely == "kl"
            else "the weights grew too fast, or the data contain values that are not finite"
        )
        super().__init__(
            f"step {step}: the term {likely!r} is not finite ({shown}); likely cause: {hint}",
            f"what was saved before is kept; choose a learning rate below {config.learning_rate:g}, or fp32",
        )


def largest(state: Any) -> Tensor:
    """The largest absolute value of all floating-point tensors in nested mappings; NaN where one has a NaN."""
    found = list(_tensors(state))
    return torch.stack([tensor.detach().abs().amax().float() for tensor in found]).amax() if found else torch.zeros(())


def _tensors(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, Tensor) and state.is_floating_point() and state.numel():
        yield state

"""Muon with its orthogonalisation in the precision of the training."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

COEFFICIENTS = (3.4445, -4.775, 2.0315)
"""Of the polynomial that drives singular values towards one (Jordan et al. 2024)."""
ITERATIONS = 5


class Muon(torch.optim.Muon):
    """``torch.optim.Muon``, which computes in bf16 always, in the precision of the training instead.

    Processors without bf16 multiplication emulate it: there 70 % of a step of the flow priors went into five small
    matrix products for each weight.
    """

    def __init__(self, *args: Any, dtype: torch.dtype, **options: Any) -> None:
        """``dtype`` is that of the orthogonalisation; all else is ``torch.optim.Muon``'s."""
        super().__init__(*args, **options)
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Updates the weights from their gradients; a closure is not supported."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight.grad)
                momentum = state["momentum_buffer"].lerp_(weight.grad, 1 - group["momentum"])
                direction = weight.grad.lerp(momentum, group["momentum"])
                rows, columns = weight.shape
                rate = group["lr"] * math.sqrt(max(1, rows / columns))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(orthogonalised(direction, self._dtype), alpha=-rate)


def orthogonalised(matrix: Float[Tensor, "rows columns"], dtype: torch.dtype) -> Float[Tensor, "rows columns"]:
    """About the nearest matrix whose singular values are one: five Newton-Schulz iterations, computed in ``dtype``.

    Singular values end between about 0.7 and 1.2, which trains as well as an exact one (Jordan et al. 2024).
    """
    a, b, c = COEFFICIENTS
    wide = matrix.to(dtype, copy=True)
    if matrix.shape[0] > matrix.shape[1]:
        wide = wide.T
    wide.div_(wide.norm().clamp(min=1e-7))
    for _ in range(ITERATIONS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide

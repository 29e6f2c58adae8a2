"""Weights in a quarter of their space, as models that ship are stored; computing is done in fp32.

Matrices are kept as 8-bit integers, with one scale for each row (the weights of one output): symmetric, rounded to the
nearest (Jacob et al. 2018, section 2.1, without a zero point; a scale for each row as in Krishnamoorthi 2018, section
2.2). What is small, or has one dimension, is kept in half precision: biases and norms are few, and errors in them are
everybody's.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from textvae.utils.errors import UserError

SCALE = "|scale"
"""Ends the name under which the scales of a matrix are kept; no module can be named so."""
SMALL = 4096
"""A matrix of fewer numbers saves nothing that anybody would see."""


def quantized(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices as int8 [rows, ...] and, under ``name|scale``, fp16 [rows]; the rest of the floating point as fp16.

    Raises:
        UserError: some weight is not finite in half precision.
    """
    matrices = {n: w for n, w in weights.items() if w.is_floating_point() and w.dim() > 1 and w.numel() >= SMALL}
    stored = {}
    for name, weight in matrices.items():
        rows = weight.float().flatten(1)
        scale = _half(name, rows.abs().amax(1) / 127)
        # A row of zeros, or one so small that its scale is nothing in half precision, is zeros.
        steps = torch.where(scale > 0, scale.float(), torch.inf)[:, None]
        stored[name] = (rows / steps).round().clamp(-127, 127).to(torch.int8).view(weight.shape)
        stored[name + SCALE] = scale
    return stored | half_precision({name: weight for name, weight in weights.items() if name not in matrices})


def half_precision(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All floating point as fp16: for a judge, by which others are measured.

    Raises:
        UserError: some weight is not finite in half precision.
    """
    return {name: _half(name, weight) if weight.is_floating_point() else weight for name, weight in weights.items()}


def dequantized(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What was quantized, in half precision or unchanged, as fp32; integers and flags as they are."""
    weights = {}
    for name, weight in stored.items():
        if name.endswith(SCALE):
            continue
        if (scale := stored.get(name + SCALE)) is not None:
            weight = weight.float() * scale.float().view(-1, *[1] * (weight.dim() - 1))
        weights[name] = weight.float() if weight.is_floating_point() else weight
    return weights


def _half(name: str, weight: Tensor) -> Tensor:
    narrow = weight.half()
    if not bool(torch.isfinite(narrow).all()):
        raise UserError(f"{name} holds weights too large for half precision", "ship another training")
    return narrow

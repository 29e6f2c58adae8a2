"""Weights in a quarter of their space, as models that ship are stored; computing is done in fp32.

Matrices are kept as 8-bit integers, with one scale for each row (the weights of one output): symmetric, rounded to the
nearest (Jacob et al. 2018, section 2.1, without a zero point; a scale for each row as in Krishnamoorthi 2018, section
2.2). What is small, or has one dimension, is kept in half precision: biases and norms are few, and errors in them are
everybody's.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from textvae.errors import UserError

SCALE = "|scale"
"""Ends the name under which the scales of a matrix are kept; no module can be named so."""
SMALL = 4096
"""A matrix of fewer numbers saves nothing that anybody would see."""


def packed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices as int8 [rows, ...] and, under ``name|scale``, fp16 [rows]; the rest of the floating point as fp16.

    Raises:
        UserError: some weight is not finite in half precision.
    """
    stored = {}
    for name, weight in weights.items():
        if not weight.is_floating_point():
            stored[name] = weight
        elif weight.dim() < 2 or weight.numel() < SMALL:
            stored[name] = weight.half()
        else:
            rows = weight.float().flatten(1)
            scale = (rows.abs().amax(1) / 127).half()
            # A row of zeros, or one so small that its scale is nothing in half precision, is zeros.
            steps = torch.where(scale > 0, scale.float(), torch.inf)[:, None]
            stored[name] = (rows / steps).round().clamp(-127, 127).to(torch.int8).view(weight.shape)
            stored[name + SCALE] = scale
        _check(name, stored.get(name + SCALE, stored[name]))
    return stored


def halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All floating point as fp16: for a judge, by which others are measured.

    Raises:
        UserError: some weight is not finite in half precision.
    """
    stored = {name: weight.half() if weight.is_floating_point() else weight for name, weight in weights.items()}
    for name, weight in stored.items():
        _check(name, weight)
    return stored


def unpacked(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What was packed, halved or never narrowed, as fp32; integers and flags as they are."""
    weights = {}
    for name, weight in stored.items():
        if name.endswith(SCALE):
            continue
        if (scale := stored.get(name + SCALE)) is not None:
            weight = weight.float() * scale.float().view(-1, *[1] * (weight.dim() - 1))
        weights[name] = weight.float() if weight.is_floating_point() else weight
    return weights


def _check(name: str, stored: Tensor) -> None:
    if stored.is_floating_point() and not bool(torch.isfinite(stored).all()):
        raise UserError(f"{name} holds weights too large for half precision", "ship another training")

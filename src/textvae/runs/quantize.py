"""8-bit storage of model weights, a quarter of their size; computation stays in fp32.

Matrices are stored as 8-bit integers with one scale per row (the weights of one output unit): symmetric, rounded to
nearest (Jacob et al. 2018, section 2.1, without a zero point; one scale per row as in Krishnamoorthi 2018, section
2.2). Small and one-dimensional tensors are stored in half precision: biases and normalisation parameters need little
space, and an error in one of them affects a whole channel.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from textvae.utils.errors import UserError
from textvae.utils.weights import StoredTensor

SCALE = "|scale"
"""Suffix of the name under which a matrix's scales are stored; it cannot occur in a module's name."""
SMALL = 4096
"""Minimum number of elements of a quantized matrix."""


def quantized(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Quantizes matrices to int8 [rows, ...] with scales as fp16 [rows] under ``name|scale``; other floats become fp16.

    Raises:
        UserError: a weight is not finite in half precision.
    """
    matrices = {n: w for n, w in weights.items() if w.is_floating_point() and w.dim() > 1 and w.numel() >= SMALL}
    stored = {}
    for name, weight in matrices.items():
        rows = weight.float().flatten(1)
        scale = _half(name, rows.abs().amax(1) / 127)
        # A row whose scale is zero in half precision becomes zeros.
        steps = torch.where(scale > 0, scale.float(), torch.inf)[:, None]
        stored[name] = (rows / steps).round().clamp(-127, 127).to(torch.int8).view(weight.shape)
        stored[name + SCALE] = scale
    others = {name: weight for name, weight in weights.items() if name not in matrices}
    return stored | {n: _half(n, weight) if weight.is_floating_point() else weight for n, weight in others.items()}


def dequantized(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Converts stored weights (quantized, half-precision or full-precision) to fp32; integers and flags are kept."""
    weights = {}
    for name, weight in stored.items():
        if name.endswith(SCALE):
            continue
        if (scale := stored.get(name + SCALE)) is not None:
            weight = weight.float() * scale.float().view(-1, *[1] * (weight.dim() - 1))
        weights[name] = weight.float() if weight.is_floating_point() else weight
    return weights


def dequantized_header(stored: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """What ``dequantized`` makes of the tensors of such a header."""
    weights = {}
    for name, tensor in stored.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in stored:
            continue
        scale = stored.get(name + SCALE)
        if scale is not None and (tensor.kind, scale) == ("I8", StoredTensor("F16", tensor.shape[:1])):
            tensor = StoredTensor("F32", tensor.shape)
        weights[name] = tensor
    return weights


def _half(name: str, weight: Tensor) -> Tensor:
    narrow = weight.half()
    if not bool(torch.isfinite(narrow).all()):
        raise UserError(f"{name} has weights that are too large for half precision", "choose another run")
    return narrow

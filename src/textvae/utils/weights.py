"""Weights of others: the header of a safetensors file is compared with a model before a weight is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from torch import nn

FLOATS = frozenset({"F32", "F16"})
"""The types in which weights of floating point are stored, as safetensors names them."""
_TYPES = {torch.bool: {"BOOL"}, torch.int64: {"I64"}, torch.int32: {"I32"}}


@dataclass(frozen=True)
class StoredTensor:
    """What the header of a safetensors file says of a tensor."""

    kind: str
    """As safetensors names it: F32, F16, I8, I64, BOOL."""
    shape: tuple[int, ...]


def read_header(file: Path) -> dict[str, StoredTensor]:
    """The tensors in a safetensors file, by name.

    Raises:
        OSError, safetensors.SafetensorError: the file cannot be read.
    """
    if not file.is_file():  # opening a pipe would wait for a writer
        raise FileNotFoundError(f"{file.name} is no file")
    with safetensors.safe_open(file, "pt") as opened:
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
        return {name: StoredTensor(s.get_dtype(), tuple(s.get_shape())) for name, s in slices.items()}


def check_fits(stored: Mapping[str, StoredTensor], outline: nn.Module) -> None:
    """Checks that stored tensors are a model's: the same names, shapes and kinds.

    Args:
        stored: the tensors of a file.
        outline: the model, which may be on torch's meta device, where it takes no memory.

    Raises:
        RuntimeError: they are another model's; the message names the first difference.
    """
    expected = outline.state_dict()
    for name in sorted(expected.keys() | stored.keys()):
        if name not in stored or name not in expected:
            raise RuntimeError(f"{name} is {'missing' if name not in stored else 'not part of it'}")
        own, weight = stored[name], expected[name]
        if own.shape != tuple(weight.shape):
            raise RuntimeError(f"{name} is of shape {list(own.shape)}, not {list(weight.shape)}")
        kinds = FLOATS if weight.is_floating_point() else _TYPES.get(weight.dtype, set())
        if own.kind not in kinds:
            raise RuntimeError(f"{name} is stored as {own.kind}")


def check_finite(model: nn.Module) -> None:
    """Checks that all weights of a model are finite.

    Raises:
        RuntimeError: one is not.
    """
    for name, weight in model.state_dict().items():
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            raise RuntimeError(f"{name} has values that are not finite")

"""What moves the weights in a training: Adam, or Muon for the matrices inside a network and Adam for the rest."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from textvae.utils.errors import UserError

OptimizerName = Literal["adam", "muon"]
NARROWEST = 32
"""Features on either side of a matrix that is Muon's: fewer are what goes into a network or comes out."""
MUON_RATE = 10.0
"""Muon's step size, in Adam's: its steps are matrices whose singular values are all about one."""


@runtime_checkable
class Optimizer(Protocol):
    """What a training asks of its optimizer."""

    @property
    def param_groups(self) -> Sequence[dict[str, Any]]:
        """Each with its step size, "lr"."""
        ...

    def step(self) -> Any:
        """Moves the weights along their gradients."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a later process needs to go on."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to where ``state_dict`` was taken."""
        ...


def optimizer_of(name: OptimizerName, model: nn.Module, learning_rate: float, weight_decay: float) -> Optimizer:
    """A fresh optimizer of a model's weights; a noise scale is no weight, and does not decay."""
    if name == "adam":
        return _adam(dict(model.named_parameters()), learning_rate, weight_decay)
    return MuonAndAdam(model, learning_rate, weight_decay)


class MuonAndAdam:
    """Muon (Jordan et al. 2024) for the matrices between layers, Adam for embeddings, biases, first and last layers.

    A step of Muon is the gradient's momentum with its singular values made alike, so that rare directions are learned
    as fast as frequent ones. A convolution's kernel counts as a matrix, its inputs at all places side by side.
    """

    def __init__(self, model: nn.Module, learning_rate: float, weight_decay: float) -> None:
        """``weight_decay`` is decoupled for Muon's matrices, as torch has it.

        Raises:
            UserError: the model has no such matrix.
        """
        embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
        mine = {
            name: weight
            for name, weight in model.named_parameters()
            if weight.requires_grad
            and weight.dim() in (2, 4)
            and min(weight.shape[:2]) >= NARROWEST
            and id(weight) not in embeddings
        }
        if not mine:
            raise UserError(
                f"no layer of this model has {NARROWEST} features on both sides, as Muon's have", "train it with adam"
            )
        self._weights = list(mine.values())
        self._matrices = [nn.Parameter(_matrix(weight.data)) for weight in self._weights]
        if any(m.data_ptr() != w.data_ptr() for m, w in zip(self._matrices, self._weights, strict=True)):
            raise ValueError("a convolution's weights are not channels last: call to_device() on the model first")
        self._muon = torch.optim.Muon(
            self._matrices, lr=MUON_RATE * learning_rate, weight_decay=weight_decay, adjust_lr_fn="original"
        )
        others = {name: weight for name, weight in model.named_parameters() if name not in mine}
        self._adam = _adam(others, learning_rate, weight_decay)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Muon's and Adam's."""
        return [*self._muon.param_groups, *self._adam.param_groups]

    def step(self) -> None:
        """Moves all weights along their gradients."""
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            matrix.grad = None if weight.grad is None else _matrix(weight.grad)
        self._muon.step()  # type: ignore[no-untyped-call]
        self._adam.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients."""
        for weight in self._weights:
            weight.grad = None
        self._adam.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Of both."""
        return {"muon": self._muon.state_dict(), "adam": self._adam.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes back to where ``state_dict`` was taken."""
        self._muon.load_state_dict(state["muon"])
        self._adam.load_state_dict(state["adam"])


def _matrix(weight: Tensor) -> Tensor:
    """[outputs, everything else] of a kernel that lies in memory channels last; where it does, without a copy."""
    return weight.permute(0, 2, 3, 1).flatten(1) if weight.dim() == 4 else weight


def _adam(named: Mapping[str, nn.Parameter], learning_rate: float, weight_decay: float) -> torch.optim.Adam:
    # Decaying the logarithm of a noise scale would pull it towards one.
    scales = [p for name, p in named.items() if name.endswith("log_sigma")]
    weights = [p for name, p in named.items() if not name.endswith("log_sigma")]
    groups = [{"params": weights, "weight_decay": weight_decay}, {"params": scales, "weight_decay": 0.0}]
    return torch.optim.Adam([g for g in groups if g["params"]], lr=learning_rate, fused=True)

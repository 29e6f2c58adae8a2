"""Optimizers: Adam, or Muon for the matrices inside a network and Adam for the rest."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from textvae.training.muon import Muon
from textvae.utils.errors import UserError

OptimizerName = Literal["adam", "muon"]
NARROWEST = 32
"""Least number of rows and of columns of a matrix that Muon updates; smaller ones are input and output layers."""
MUON_RATE = 10.0
"""Learning rate of Muon, relative to Adam's: all singular values of its updates are about one."""


@runtime_checkable
class Optimizer(Protocol):
    """The part of ``torch.optim.Optimizer`` that a training uses."""

    @property
    def param_groups(self) -> Sequence[dict[str, Any]]:
        """Groups of parameters, each with its learning rate "lr"."""
        ...

    def step(self) -> Any:
        """Updates the weights."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Removes the gradients."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to resume."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a state of ``state_dict``."""
        ...


def optimizer_of(
    name: OptimizerName,
    model: nn.Module,
    learning_rate: float,
    weight_decay: float,
    muon_dtype: torch.dtype = torch.float32,
) -> Optimizer:
    """An optimizer of a model's parameters; noise scales (``log_sigma``) have no weight decay."""
    if name == "adam":
        return _adam(dict(model.named_parameters()), learning_rate, weight_decay)
    return MuonAndAdam(model, learning_rate, weight_decay, muon_dtype)


class MuonAndAdam:
    """Muon (Jordan et al. 2024) for hidden matrices, Adam for embeddings, biases, first and last layers.

    Muon orthogonalises the momentum of the gradient, so that rare directions are learned as fast as frequent ones. The
    kernel of a convolution is a matrix of outputs by inputs and positions.
    """

    def __init__(
        self, model: nn.Module, learning_rate: float, weight_decay: float, muon_dtype: torch.dtype = torch.float32
    ) -> None:
        """Muon orthogonalises in ``muon_dtype``.

        ``weight_decay`` is that of Muon's matrices alone, decoupled as in ``torch.optim.Muon``. Without it they grow as
        long as the learning rate is high, since Muon's updates have a fixed length. On embeddings it would shrink what
        is learned about rare words, which few batches update.

        Raises:
            UserError: the model has no matrix that is large enough.
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
        self._muon = Muon(self._matrices, lr=MUON_RATE * learning_rate, weight_decay=weight_decay, dtype=muon_dtype)
        self._muon.register_load_state_dict_pre_hook(partial(_checked, moments=("momentum_buffer",)))
        others = {name: weight for name, weight in model.named_parameters() if name not in mine}
        # By Muon errors fall faster than Adam lets a noise scale follow: the large gradients of the first steps stay in
        # its second moment for a thousand steps. Too large a scale is too much weight of the KL.
        fast = {"lr": MUON_RATE * learning_rate, "betas": (0.9, 0.9)}
        self._adam = _adam(others, learning_rate, 0.0, scales_as=fast)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of Muon, then those of Adam."""
        return [*self._muon.param_groups, *self._adam.param_groups]

    def step(self) -> None:
        """Updates all weights."""
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            matrix.grad = None if weight.grad is None else _matrix(weight.grad)
        self._muon.step()
        self._adam.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Removes the gradients."""
        for weight in self._weights:
            weight.grad = None
        self._adam.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The states of both optimizers."""
        return {"muon": self._muon.state_dict(), "adam": self._adam.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state of ``state_dict``."""
        self._muon.load_state_dict(state["muon"])
        self._adam.load_state_dict(state["adam"])


def _matrix(weight: Tensor) -> Tensor:
    """A weight as [outputs, everything else]; a view, not a copy, of a kernel with channels last in memory."""
    return weight.permute(0, 2, 3, 1).flatten(1) if weight.dim() == 4 else weight


def _adam(
    named: Mapping[str, nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    scales_as: Mapping[str, Any] | None = None,
) -> torch.optim.Adam:
    """Adam; ``scales_as`` are settings of noise scales that differ from those of the other parameters."""
    # Weight decay on the logarithm of a noise scale would pull the scale towards one.
    scales = [p for name, p in named.items() if name.endswith("log_sigma")]
    weights = [p for name, p in named.items() if not name.endswith("log_sigma")]
    groups = [
        {"params": weights, "weight_decay": weight_decay},
        {"params": scales, "weight_decay": 0.0, **(scales_as or {})},
    ]
    optimizer = torch.optim.Adam([g for g in groups if g["params"]], lr=learning_rate, fused=True)
    optimizer.register_load_state_dict_pre_hook(partial(_checked, moments=("exp_avg", "exp_avg_sq"), counts=("step",)))
    return optimizer


def _checked(
    optimizer: torch.optim.Optimizer, state: Mapping[str, Any], moments: Sequence[str], counts: Sequence[str] = ()
) -> dict[str, Any]:
    """The state of an optimizer as read from a file, checked: a fused kernel writes out of bounds where a moment is
    smaller than its parameter. Step sizes and other settings are the optimizer's own, whatever the file says.

    Raises:
        ValueError: a moment does not fit its parameter.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    checked: dict[int, dict[str, Tensor]] = {}
    for index, entry in dict(state["state"]).items():
        if type(index) is not int or not 0 <= index < len(parameters) or set(entry) != {*moments, *counts}:
            raise ValueError("its optimizer state is another optimizer's")
        parameter = parameters[index]
        checked[index] = {name: torch.empty_like(parameter.detach()) for name in moments}
        for name, moment in checked[index].items():
            given = entry[name]
            if not isinstance(given, Tensor) or given.layout is not torch.strided or given.is_meta:
                raise ValueError(f"its {name} is no dense tensor")
            if given.shape != parameter.shape or given.dtype != parameter.dtype:
                raise ValueError(f"its {name} does not have its parameter's shape and type")
            moment.copy_(given)
            if not bool(moment.isfinite().all()):
                raise ValueError(f"its {name} is not finite")
        for name in counts:
            number = float(entry[name])
            if not 0 <= number < 2**53:
                raise ValueError(f"its {name} is {number}")
            checked[index][name] = torch.tensor(number)
    return {"state": checked, "param_groups": optimizer.state_dict()["param_groups"]}

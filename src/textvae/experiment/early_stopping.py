"""Early stopping: the best validation loss so far, and when to give up waiting for a better one."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from textvae.training.config import TrainerConfig
from textvae.training.loop import Training
from textvae.utils.errors import UserError


@dataclass
class EarlyStopping:
    """The best weights of a training and the number of epochs since. Its fields are saved in checkpoints."""

    loss: float = float("inf")
    """Lowest validation loss so far."""
    epochs_since: int = 0
    """Epochs since then."""
    weights: dict[str, Tensor] | None = None
    """The weights that had that loss; None while no loss was measured, or where early stopping is off."""

    @staticmethod
    def check(config: TrainerConfig, terms: Collection[str]) -> None:
        """Checks that a loss has the monitored term.

        Args:
            config: settings of the training.
            terms: names of the terms of its loss, in training or, where some are absent, in validation.

        Raises:
            UserError: it has no such term.
        """
        if config.patience and config.monitor not in (known := dict.fromkeys(("loss", *terms))):
            raise UserError(
                f"early stopping cannot monitor {config.monitor!r}: the validation loss has no such term",
                f"choose one of: {', '.join(known)}",
            )

    def update(self, training: Training, validation: Mapping[str, float]) -> bool:
        """Records the validation loss of an epoch; returns whether training should stop.

        Raises:
            UserError: the monitored term is not among the validation losses.
        """
        config = training.config
        self.check(config, validation)
        if config.patience == 0:
            return False
        loss = validation[config.monitor]
        if loss < self.loss:
            self.loss, self.epochs_since = loss, 0
            self.weights = {name: weight.clone() for name, weight in training.averaged.state_dict().items()}
        else:
            self.epochs_since += 1
        return self.epochs_since >= config.patience

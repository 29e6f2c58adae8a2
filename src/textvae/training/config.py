"""How a model is trained: the settings of the training loop."""

from dataclasses import dataclass
from typing import Literal

from textvae.training.optimizers import OptimizerName
from textvae.utils.errors import UserError


@dataclass(frozen=True)
class TrainerConfig:
    """How a model is trained."""

    epochs: int = 25
    """Passes over the training images."""
    batch_size: int = 128
    """Images a step."""
    optimizer: OptimizerName = "adam"
    """adam; or muon, for the matrices inside the network, and Adam for the rest (``MuonAndAdam``)."""
    learning_rate: float = 1e-3
    """Adam's step size; Muon's is ten times that."""
    weight_decay: float = 0.0
    """L2 penalty that Adam adds to the gradient (not decoupled)."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate over the training: constant, or falling to zero along half a cosine."""
    ema_decay: float = 0.0
    """Decay of the moving average of the weights that is kept as the model; 0 keeps the weights themselves. It spans
    1 / (1 - decay) steps, early on a tenth of those taken, so that no training is too short for it."""
    flip: bool = False
    """Whether images are mirrored left to right half of the time; of a flow prior: whether it also learns the latents
    of mirrored images."""
    validation_images: int = 0
    """Images held out from the end of the training set, on which the loss is measured after each epoch."""
    patience: int = 0
    """Stop when the validation loss has not improved for this many epochs, and keep the best; 0 trains to the end."""
    monitor: str = "loss"
    """The validation term that early stopping watches: loss (all of it) or a term by name."""
    seed: int = 0
    """Decides initial weights, batch order, captions and noise."""

    def __post_init__(self) -> None:
        """Refuses what could only fail later."""
        if self.epochs < 1 or self.batch_size < 1:
            raise UserError(
                f"{self.epochs} epochs of batches of {self.batch_size} train nothing", "both must be at least 1"
            )
        if not (self.learning_rate > 0 and self.weight_decay >= 0 and 0 <= self.ema_decay < 1):
            raise UserError(
                "learning rate, weight decay or EMA decay is out of range",
                "they must be > 0, >= 0, and in [0, 1)",
            )
        if self.validation_images < 0 or self.patience < 0:
            raise UserError("validation images and patience can't be negative", "use 0 to turn them off")
        if self.patience and not self.validation_images:
            raise UserError("early stopping needs validation images", "add --trainer.validation-images 5000, say")

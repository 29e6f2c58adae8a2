"""TrainerConfig: the settings of the training loop."""

from dataclasses import dataclass
from typing import Literal

from textvae.training.optimizers import OptimizerName
from textvae.utils.errors import UserError


@dataclass(frozen=True)
class TrainerConfig:
    """Settings of the training loop."""

    epochs: int = 25
    """Number of passes over the training images."""
    batch_size: int = 128
    """Number of images in a step."""
    optimizer: OptimizerName = "adam"
    """adam; or muon, which is Muon for the matrices inside the network and Adam for the rest (``MuonAndAdam``)."""
    learning_rate: float = 1e-3
    """Learning rate of Adam; that of Muon is ten times as high."""
    weight_decay: float = 0.0
    """L2 penalty that Adam adds to the gradient (not decoupled); for Muon, decoupled weight decay."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate schedule: constant, or a half cosine that decreases to zero."""
    ema_decay: float = 0.0
    """Decay of the exponential moving average of the weights, which becomes the model; 0 turns it off. Early in a
    training the decay is lower, so that short trainings can use it."""
    flip: bool = False
    """Whether images are mirrored at random; for a flow prior, whether the latents of mirrored images are added to the
    training set."""
    validation_images: int = 0
    """Number of images held out from the end of the training set, on which the loss is computed after each epoch."""
    patience: int = 0
    """Stop after this many epochs without an improvement of the validation loss, with the weights of the best epoch; 0
    trains to the end."""
    monitor: str = "loss"
    """Validation term that early stopping uses: loss (the total) or the name of a term."""
    seed: int = 0
    """Seed of the initial weights, the order of the images, the choice of captions and the noise."""

    def __post_init__(self) -> None:
        """Checks the settings.

        Raises:
            UserError: a setting is out of range.
        """
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

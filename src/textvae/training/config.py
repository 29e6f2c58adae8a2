"""TrainerConfig: the settings of the training loop."""

from dataclasses import dataclass
from typing import Annotated, Literal

from textvae.training.optimizers import OptimizerName
from textvae.utils.config import Factor, Range, Seed, check_ranges
from textvae.utils.errors import UserError


@dataclass(frozen=True)
class TrainerConfig:
    """Settings of the training loop."""

    epochs: Annotated[int, Range(1, 10**6)] = 25
    """Number of passes over the training images."""
    batch_size: Annotated[int, Range(1, 10**6)] = 128
    """Number of images in a step."""
    optimizer: OptimizerName = "adam"
    """adam, or muon: Muon for the matrices inside the network and Adam for the rest (``MuonAndAdam``)."""
    learning_rate: Annotated[float, Range(1e-12, 100)] = 1e-3
    """Learning rate of Adam; Muon's is ten times as high."""
    weight_decay: Factor = 0.0
    """L2 penalty, added to Adam's gradient; with muon, decoupled weight decay of Muon's matrices only."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate: constant, or cosine decay to zero."""
    ema_decay: Annotated[float, Range(0, 0.999999)] = 0.0
    """Decay of the moving average of the weights, which is saved as the model; lower early in training. 0: no
    average."""
    flip: bool = False
    """Whether to mirror images at random; for a flow prior, whether to add the latents of mirrored images."""
    validation_images: Annotated[int, Range(0, 10**9)] = 0
    """Images held out for a validation loss after each epoch."""
    patience: Annotated[int, Range(0, 10**6)] = 0
    """Stop after this many epochs without a better validation loss, with the best epoch's weights; 0: never."""
    monitor: str = "loss"
    """Validation term that early stopping uses: loss (the total) or the name of a term."""
    seed: Seed = 0
    """Seed of the initial weights, the order of the images, the choice of captions and the noise."""

    def __post_init__(self) -> None:
        """Checks the settings.

        Raises:
            UserError: a setting is out of range.
        """
        check_ranges(self, "trainer")
        if self.patience and not self.validation_images:
            raise UserError("early stopping needs validation images", "add --trainer.validation-images, such as 5000")

"""What a recipe is: one experiment, whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor

from textvae.models.base import Trainable
from textvae.training import TrainerConfig


@runtime_checkable
class ModelConfig(Protocol):
    """A frozen dataclass of sizes that builds its model."""

    def build(self) -> Trainable:
        """The model with fresh weights."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """Strings to conditions. A condition whose every number is zero says nothing."""

    def encode(self, captions: Sequence[str]) -> Tensor:
        """One condition a caption, first axis; a caption it can't read is a ``UserError``."""
        ...


@dataclass(frozen=True)
class Recipe:
    """One experiment: data, text, model, training, and what is known about its outcome."""

    name: str
    """As the command line calls it."""
    summary: str
    """One line for the list of recipes."""
    source: str
    """Paper and section, or "ours"."""
    data: str
    """A data source, by name."""
    text: TextEncoder
    model: Any
    """A ``ModelConfig``; its own type says which settings there are."""
    trainer: TrainerConfig
    prompts: tuple[str, ...]
    """Drawn while training and for the model card."""
    condition_on: Literal["text", "image", "shifted-image"] = "text"
    """What a model is told in training; prompts are text always. text: a caption of the image; image: an embedding of
    the image in the space of the text encoder (paper c); shifted-image: the same, moved to where captions are, which
    in such spaces is elsewhere (Liang et al. 2022, "Mind the Gap")."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Numbers of the source, under the names of metrics.json such as "reconstruction.mse_sum"."""

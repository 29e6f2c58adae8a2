"""What a recipe is: one experiment, whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch

from textvae.models.base import TextVAE, Trainable
from textvae.models.with_flow import FlowConfig, reader_of
from textvae.priors import FlowPrior
from textvae.text.base import NONE, TextEncoder
from textvae.training.config import TrainerConfig
from textvae.utils.errors import UserError


@runtime_checkable
class ModelConfig(Protocol):
    """A frozen dataclass of sizes that builds its model."""

    def build(self) -> Trainable:
        """The model with fresh weights."""
        ...


@dataclass(frozen=True)
class FlowStage:
    """Stage two: a flow prior in place of the model's own, learned on the latents of the trained model."""

    model: FlowConfig = field(default_factory=FlowConfig)
    trainer: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(
            epochs=10, batch_size=256, learning_rate=2e-3, schedule="cosine", ema_decay=0.999
        )
    )
    stride_epochs: int = 0
    """Passes in which the trained flow is then taught long strides, so that a few evaluations do; 0 leaves that out."""


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
    """Drawn while training and for the model card; of none, captions of the training set."""
    condition_on: Literal["text", "image", "shifted-image"] = "text"
    """What a model is told in training; prompts are text always. text: a caption of the image; image: an embedding of
    the image in the space of the text encoder (paper c); shifted-image: the same, moved to where captions are, which
    in such spaces is elsewhere (Liang et al. 2022, "Mind the Gap")."""
    flow: FlowStage | None = None
    """The second stage, where there is one."""
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Other defaults by name, such as "tiny": for each, the parts of the recipe that it has in place of these."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Numbers of the source, under the names of metrics.json such as "reconstruction.mse_sum"."""


def fitting_flow(recipe: Recipe) -> FlowStage:
    """A second stage for a recipe that has none: its sizes and its reader follow from the latents and the captions.

    On the 32 numbers of ``caption-prior-arithmetic``, after the same 90 seconds of one core, samples were at a Fréchet
    distance (judge, 2,000 samples, guidance 1.5) of 22.5, at a loss of 1.601; with layers of 256 features 22.2 and
    1.605; with four of 384, which see a quarter as many images, 23.3 and 1.615.

    Raises:
        UserError: the recipe trains no VAE.
    """
    with torch.device("meta"):
        model = recipe.model.build()
    if not isinstance(model, TextVAE):
        raise UserError(f"{recipe.name} trains no VAE: it has no prior", "choose another recipe")
    condition = recipe.text.encode([NONE])
    reader: Literal["none", "vectors", "words", "taught"] = "none" if condition.dim() == 2 else "vectors"
    if not condition.is_floating_point():
        reader = "words" if reader_of(model) is None else "taught"
    size = int(recipe.text.num_tokens) if reader == "words" else condition.shape[-1]  # type: ignore[attr-defined]
    return FlowStage(FlowConfig(FlowPrior.Config(), reader, size))

"""``Recipe``: one experiment, complete."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_type_hints

import torch

from textvae.models.base import TextVAE, Trainable
from textvae.models.with_flow import FlowConfig, WithFlow
from textvae.priors.flow.solvers import MAX_GUIDANCE
from textvae.text.base import TextEncoder
from textvae.training.config import TrainerConfig
from textvae.utils.config import Range
from textvae.utils.errors import UserError


@dataclass(frozen=True)
class FlowStage:
    """The second stage: a flow prior that replaces the model's own, trained on the latents of the trained model."""

    model: FlowConfig = field(default_factory=FlowConfig)
    trainer: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(
            epochs=10, batch_size=256, learning_rate=2e-3, schedule="cosine", ema_decay=0.999
        )
    )
    stride_epochs: Annotated[int, Range(0, 10**6)] = 0
    """Further epochs that train few-step sampling; 0: none."""
    guidance_epochs: Annotated[int, Range(0, 10**6)] = 0
    """Further epochs that train the guidance input (requires ``guidance_input`` above 0); 0: none."""
    autoguidance: Annotated[float, Range(1, MAX_GUIDANCE)] = 1.0
    """Scale of autoguidance, for the guidance input; 1: none."""


@dataclass(frozen=True)
class Recipe:
    """One experiment: data, text encoder, model, training, and its published results."""

    name: str
    """Name on the command line."""
    summary: str
    """One line, for the list of recipes."""
    source: str
    """Paper and section, or "ours"."""
    data: str
    """Name of the data set."""
    text: TextEncoder
    model: Any
    """A frozen dataclass of the model's settings, whose method ``build()`` gives the model with initial weights. With a
    field ``condition_dim``, the model can be trained on any prepared set of its ``image_size`` that stores one vector
    for each caption."""
    trainer: TrainerConfig
    prompts: tuple[str, ...]
    """Prompts for samples during training and on the model card; if empty, captions of the training set are used."""
    condition_on: Literal["text", "image", "shifted-image"] = "text"
    """The condition in training; prompts are always text. text: a caption of the image; image: an embedding of the
    image in the space of the text encoder (paper c); shifted-image: the same, translated by the difference of the means
    of captions and images, which differ in such spaces (Liang et al. 2022, "Mind the Gap")."""
    flow: FlowStage | None = None
    """The second stage, if there is one."""
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Alternative defaults by name, such as "tiny": the fields of the recipe that each replaces."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Published numbers, under the names of metrics.json such as "reconstruction.mse_sum"."""
    origin: str = ""
    """``FILE.py:FUNCTION``, for a recipe from a user's file; empty for the recipes of textvae."""

    @property
    def model_class(self) -> str:
        """The name of the class that the model's settings build."""
        return type(self.outline()).__name__

    @property
    def draws(self) -> bool:
        """Whether its model generates images: a classifier, a captioner and a dual encoder do not."""
        try:  # as ``build`` declares it, since the first outline of a process takes two seconds
            declared = get_type_hints(type(self.model).build).get("return")
        except NameError:
            declared = None
        if not isinstance(declared, type) or declared is Trainable:
            declared = type(self.outline())
        return issubclass(declared, TextVAE)

    def outline(self, with_flow: bool = False) -> Trainable:
        """The model on torch's meta device: only names, shapes and types of its weights, almost without memory.

        Args:
            with_flow: whether the model has the recipe's flow prior, if there is one.

        Raises:
            UserError: the settings build no model.
        """
        try:
            with torch.device("meta"):
                return self.build(with_flow)
        except (ValueError, RuntimeError, ArithmeticError, AssertionError, IndexError) as error:
            if self.origin:
                raise  # a fault of the user's own program is shown where it is
            line = next(iter(str(error).splitlines()), type(error).__name__)
            raise UserError(f"{self.name} cannot be built with these settings: {line}", "change the settings") from None

    def build(self, with_flow: bool = False) -> Trainable:
        """The model with initial weights; ``with_flow`` as for ``outline``."""
        model: Trainable = self.model.build()
        if not with_flow or self.flow is None or not isinstance(model, TextVAE):
            return model
        return WithFlow(model, self.flow.model.build(model))

"""What a recipe trains, one stage after another: the model, then perhaps a flow prior on its latents, then its strides.

Each stage is a ``Training`` of its own. What a later one needs of an earlier one is read from the weights in the run
folder, which hold all that has been trained so far.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.models.base import TextVAE, Trainable
from textvae.models.with_flow import FlowConfig, FlowMatching, WithFlow, moments
from textvae.recipes.conditions import Conditions
from textvae.recipes.recipe import Recipe
from textvae.runs.run import VAE, not_a_checkpoint, open_run
from textvae.text.base import NONE
from textvae.training.config import TrainerConfig
from textvae.training.loop import CaptionedLatents, Training
from textvae.utils.device import Execution, to_device
from textvae.utils.errors import UserError
from textvae.utils.progress import say

MODEL_STAGE, FLOW_STAGE, STRIDE_STAGE = "model", "flow", "strides"
STRIDE_RATE = 0.25
"""Step size of the strides' training, in the flow's: at the whole of it the flow forgets what it had learned."""


class Stage:
    """One stage of a recipe under way."""

    def __init__(self, name: str, training: Training, vae: TextVAE | None = None) -> None:
        self.name = name
        self.training = training
        self._vae = vae

    @property
    def config(self) -> TrainerConfig:
        """How it is trained."""
        return self.training.config

    def weights(self, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of the whole model, given those of what this stage trains."""
        before = {} if self._vae is None else self._vae.state_dict(prefix=f"{VAE}.")
        return {**before, **trained}

    def model(self) -> Trainable:
        """The whole model as it stands, with the weights that are kept."""
        trained = self.training.averaged
        if self._vae is not None and isinstance(trained, FlowMatching):
            return WithFlow(self._vae, trained.prior)
        return trained


def stages_of(recipe: Recipe) -> list[str]:
    """The names of its stages, in order."""
    names = [MODEL_STAGE]
    if recipe.flow is not None:
        names.append(FLOW_STAGE)
        if recipe.flow.stride_epochs:
            names.append(STRIDE_STAGE)
    return names


def check_flow(recipe: Recipe, flow: FlowConfig) -> None:
    """Shows an untrained flow one caption and no latent to speak of: sizes must fit all the same.

    Raises:
        UserError: a setting of the flow does not go with the model or the captions; better now than once that is
            trained.
    """
    prior = flow.build(cast(TextVAE, recipe.model.build()))
    said = recipe.text.encode([NONE])
    try:
        with torch.no_grad():
            prior.matching_error(torch.zeros(1, *prior.latent_shape), said)
    except (RuntimeError, TypeError, ValueError):
        raise UserError(
            f"a flow with the reader {flow.reader}, of size {flow.size}, can't read what {recipe.name} is told: "
            f"{tuple(said.shape[1:])} {'numbers' if said.is_floating_point() else 'token ids'} a caption",
            "leave out --flow.model.reader and --flow.model.size, or set them to what fits",
        ) from None


def begin(
    name: str,
    recipe: Recipe,
    images: CaptionedImages,
    conditions: Conditions,
    execution: Execution,
    out: Path,
    before: Mapping[str, Any],
) -> Stage:
    """A stage at its first step.

    Args:
        name: which.
        recipe: of the run.
        images: to train on, those held out for validation at their end.
        conditions: of the training set, and whose are whose (``training_conditions``).
        execution: device and precision.
        out: the run folder: its weights have the first stage's model.
        before: the last state of the training of the stage before. Strides begin with that and not with the weights in
            ``out``, which a stage that was killed at its first checkpoint may have written already.
    """
    torch.manual_seed(recipe.trainer.seed)
    known, known_of = conditions
    if name == MODEL_STAGE or recipe.flow is None:
        return Stage(name, Training(recipe.model.build(), images, known, recipe.trainer, execution, known_of))
    model = open_run(out).load_model()
    vae = model.vae if isinstance(model, WithFlow) else cast(TextVAE, model)
    to_device(vae, execution.device)
    say(f"stage {name}: latents of {len(images)} images")
    # Of a second or two of work: less than a file of the training set's size is worth.
    trainer, flow = recipe.flow.trainer, recipe.flow.model.build(vae)
    trained = images.first(len(images) - recipe.trainer.validation_images)
    latents = _latents(vae, trained, conditions, execution, trainer.flip)
    if name == FLOW_STAGE:
        flow.standardise(*latents.images.chunk(2, dim=1))
    else:
        try:
            kept = before["averaged"] if trainer.ema_decay else before["model"]
            flow.load_state_dict({key.removeprefix("prior."): weight for key, weight in kept.items()})
        except (LookupError, TypeError, AttributeError, RuntimeError) as error:
            raise not_a_checkpoint(out, error) from None
        flow.strides.fill_(True)
        rate = STRIDE_RATE * trainer.learning_rate
        trainer = dataclasses.replace(trainer, epochs=recipe.flow.stride_epochs, learning_rate=rate)
    return Stage(name, Training(FlowMatching(flow, name == STRIDE_STAGE), latents, known, trainer, execution), vae)


def _latents(
    vae: TextVAE,
    images: CaptionedImages,
    conditions: Conditions,
    execution: Execution,
    mirrored: bool,
    batch_size: int = 250,
) -> CaptionedLatents:
    """The posterior moments of all training images, each read with the first of its conditions; then, where that is
    asked for, of all images mirrored.
    """
    known, known_of = conditions
    rows = []
    for flipped in (False, True) if mirrored else (False,):
        for start in range(0, len(images), batch_size):
            span = slice(start, start + batch_size)
            batch = images.images[span].to(execution.device).float().div_(255)
            batch = (batch.flip(3) if flipped else batch).contiguous(memory_format=torch.channels_last)
            rows.append(moments(vae, batch, known[known_of[span, 0]].to(execution.device)))
    ranges = known_of[: len(images)]
    return CaptionedLatents(torch.cat(rows).contiguous(), torch.cat([ranges, ranges]) if mirrored else ranges)

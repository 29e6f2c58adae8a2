"""The stages of a training: the model, then optionally a flow prior on its latents, then a stage that makes it faster.

The last stage trains few-step sampling or the guidance input. Each stage is a ``Training`` of its own. A later stage
reads the autoencoder from the weights in the run folder; one after the flow starts from the flow's last state.
"""

import dataclasses
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.data.parts import ConditionsInParts
from textvae.data.remote import ImagesInParts
from textvae.models.base import TextVAE, Trainable
from textvae.models.flow_matching import FlowMatching, moments
from textvae.models.with_flow import FlowConfig, WithFlow
from textvae.pipeline import TextToImage
from textvae.priors.flow.objectives import matching_errors
from textvae.recipes.conditions import Conditions, training_conditions
from textvae.recipes.recipe import FlowStage, Recipe
from textvae.runs.checkpoint import not_a_checkpoint
from textvae.runs.run import VAE, open_run
from textvae.text.base import NONE
from textvae.training.config import TrainerConfig
from textvae.training.loop import Training
from textvae.training.rows import CaptionedLatents, LatentsInParts, RowsInParts
from textvae.utils.batches import in_batches
from textvae.utils.device import Execution, to_device
from textvae.utils.errors import UserError
from textvae.utils.memory import zeros
from textvae.utils.processes import Processes
from textvae.utils.progress import ProgressLine
from textvae.utils.random import Draws

MODEL_STAGE, FLOW_STAGE, FEW_STEP_STAGE, GUIDANCE_STAGE = "model", "flow", "strides", "guidance"
LAST_RATE = 0.25
"""Learning rate of the last two stages, relative to the flow's: at the full rate the flow forgets what it learned."""
WEAK_STEPS = 500
"""Steps of a flow after which its weak version is kept for autoguidance: its errors are those of the trained flow, only
larger (Karras et al. 2024, "Guiding a Diffusion Model with a Bad Version of Itself", section 3)."""
SCALED_BY = 10_000
"""Images of a set in parts whose latents are measured to scale a flow; of other sets, those of all images are."""


class Stage:
    """One stage of a training."""

    def __init__(self, name: str, recipe: Recipe, training: Training, vae: TextVAE | None = None) -> None:
        self.name = name
        self.recipe = recipe
        self.training = training
        self._vae = vae

    @property
    def config(self) -> TrainerConfig:
        """Settings of this stage's training."""
        return self.training.config

    def keep_weak(self, step: int, complete: bool) -> None:
        """Keeps a copy of the averaged flow for autoguidance: after ``WEAK_STEPS``, or at an earlier end."""
        if self.name != FLOW_STAGE or not (step == WEAK_STEPS or (complete and step < WEAK_STEPS)):
            return
        model, averaged = self.training.model, self.training.averaged
        assert isinstance(model, FlowMatching)
        assert isinstance(averaged, FlowMatching)
        if model.weak is not None:
            model.weak.load_state_dict(averaged.prior.state_dict())

    def weights(self, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of the whole model, given those of the part that this stage trains."""
        if self._vae is None:
            return dict(trained)
        # What else is trained beside a flow, or teaches it, serves the training alone.
        prior = {name: weight for name, weight in trained.items() if name.startswith("prior.")}
        return {**self._vae.state_dict(prefix=f"{VAE}."), **prior}

    def model(self) -> Trainable:
        """The whole model at the present step, with the averaged weights if there is an average."""
        trained = self.training.averaged
        if self._vae is not None and isinstance(trained, FlowMatching):
            return WithFlow(self._vae, trained.prior)
        return trained

    @cached_property
    def prompt_conditions(self) -> Tensor:
        """The conditions of the recipe's prompts; encoded once, as the encoder reports each unknown word."""
        return self.recipe.text.encode(self.recipe.prompts)

    def text_to_image(self) -> TextToImage | None:
        """The model at the present step, ready to draw; None if it draws no pictures (a classifier)."""
        model = self.model()
        if not isinstance(model, TextVAE):
            return None
        return TextToImage(model, self.recipe.text, self.training.execution.device)


def stages_of(recipe: Recipe) -> list[str]:
    """The names of a recipe's stages, in order."""
    names = [MODEL_STAGE]
    if recipe.flow is not None:
        names.append(FLOW_STAGE)
        if recipe.flow.stride_epochs:
            names.append(FEW_STEP_STAGE)
        if recipe.flow.guidance_epochs:
            names.append(GUIDANCE_STAGE)
    return names


def kept_stage(recipe: Recipe) -> str:
    """The stage whose epochs can be kept as snapshots: the flow's, if there is one."""
    return MODEL_STAGE if recipe.flow is None else FLOW_STAGE


def trainer_of(recipe: Recipe, stage: str) -> TrainerConfig:
    """The settings of a stage's training.

    Raises:
        ValueError: the recipe has no such stage.
    """
    if stage == MODEL_STAGE:
        return recipe.trainer
    if recipe.flow is None or stage not in (FLOW_STAGE, FEW_STEP_STAGE, GUIDANCE_STAGE):
        raise ValueError(f"{recipe.name} has no stage {stage!r}")
    trainer = recipe.flow.trainer
    if stage == FLOW_STAGE:
        return trainer
    epochs = recipe.flow.stride_epochs if stage == FEW_STEP_STAGE else recipe.flow.guidance_epochs
    # Of the terms of the flow's loss, these stages have that of the velocity alone.
    monitor = trainer.monitor if trainer.monitor == "velocity" else "loss"
    return dataclasses.replace(trainer, epochs=epochs, learning_rate=LAST_RATE * trainer.learning_rate, monitor=monitor)


def epochs_of(recipe: Recipe) -> dict[str, int]:
    """The number of epochs of each of a recipe's stages."""
    return {name: trainer_of(recipe, name).epochs for name in stages_of(recipe)}


def check_flow(recipe: Recipe, flow: FlowConfig) -> None:
    """Checks before training that the settings of the flow fit each other, the latents and the conditions.

    The sizes are checked by one forward pass.

    Raises:
        UserError: a setting of the flow does not fit the model or the captions.
    """
    stage = recipe.flow or FlowStage(flow)
    if bool(flow.prior.guidance_input) != bool(stage.guidance_epochs):
        raise UserError(
            "the guidance input and the epochs that train it can only be set together",
            "set both of --flow.model.prior.guidance-input and --flow.guidance-epochs, or none",
        )
    if flow.prior.guidance_input and stage.stride_epochs:
        raise UserError(
            "few-step training fixes the guidance scale, so it cannot be combined with a guidance input",
            "set --flow.stride-epochs or --flow.model.prior.guidance-input to 0",
        )
    if stage.stride_epochs and flow.prior.steps & (flow.prior.steps - 1):
        raise UserError(
            f"few-step training halves its steps down to single ones, which {flow.prior.steps} steps do not allow",
            "set --flow.model.prior.steps to a power of two, or --flow.stride-epochs 0",
        )
    if stage.autoguidance > 1 and not stage.guidance_epochs:
        raise UserError(
            "autoguidance is learned by the guidance input, which this flow does not have",
            "set --flow.guidance-epochs and --flow.model.prior.guidance-input, or --flow.autoguidance 1",
        )
    prior = flow.build(cast(TextVAE, recipe.model.build()))
    condition = recipe.text.encode([NONE])
    try:
        with torch.no_grad():
            matching_errors(prior, torch.zeros(1, *prior.latent_shape), condition, Draws(0, 0, torch.zeros(1).long()))
    except (RuntimeError, TypeError, ValueError):
        raise UserError(
            f"a flow with the reader {flow.reader}, of size {flow.size}, cannot read the conditions of {recipe.name}: "
            f"{tuple(condition.shape[1:])} {'numbers' if condition.is_floating_point() else 'token ids'} a caption",
            "leave out --flow.model.reader and --flow.model.size, or set matching values",
        ) from None


def start_stage(
    name: str,
    recipe: Recipe,
    images: CaptionedImages | ImagesInParts,
    conditions: Conditions | ConditionsInParts,
    execution: Execution,
    out: Path,
    before: Mapping[str, Any],
    group: Processes,
) -> Stage:
    """A stage at its first step.

    Args:
        name: name of the stage.
        recipe: recipe of the run.
        images: training images; those held out for validation are at the end.
        conditions: those of the training set (``conditions_for``).
        execution: device, precision and threads.
        out: the run folder, whose weights contain the model of the first stage.
        before: the last training state of the previous stage. The stages after the flow start from it instead of the
            weights in ``out``, which such a stage may have overwritten if it was killed at its first checkpoint.
        group: the processes that share the training, of which the first alone reads ``out``.
    """
    known: Tensor | ConditionsInParts
    known_of: Tensor | None = None
    if isinstance(conditions, tuple):
        known, known_of = conditions
    else:
        known = conditions
    if name == MODEL_STAGE or recipe.flow is None:
        torch.manual_seed(recipe.trainer.seed)
        model = recipe.model.build()
        return Stage(name, recipe, Training(model, images, known, recipe.trainer, execution, known_of, group))
    vae = cast(TextVAE, recipe.model.build())
    vae.load_state_dict(group.from_first(lambda: _first_stage(open_run(out, recipe).load_model()).state_dict()))
    to_device(vae.eval().requires_grad_(False), execution.device)
    # Encoding takes a second or two for small sets, so the latents are not kept from one process to the next.
    # The model of the first stage was built with random weights, so torch is seeded here.
    torch.manual_seed(recipe.trainer.seed)
    trainer, flow = trainer_of(recipe, name), recipe.flow.model.build(vae)
    trained = images.first(len(images) - recipe.trainer.validation_images)
    latents: CaptionedLatents | LatentsInParts
    if isinstance(trained, ImagesInParts):
        assert not isinstance(conditions, tuple)
        latents = LatentsInParts(trained, partial(moments, vae), trainer.flip)
        measured = _first_latents(latents, conditions, execution, group)
    else:
        assert isinstance(conditions, tuple)
        latents = _latents(vae, trained, conditions, execution, trainer.flip, group)
        measured = latents.images
    if recipe.condition_on != "text" and isinstance(conditions, tuple):
        # A flow reads captions, whatever the first stage was trained on.
        assert isinstance(trained, CaptionedImages)
        assert isinstance(latents, CaptionedLatents)
        known, ranges = training_conditions(trained, dataclasses.replace(recipe, condition_on="text"))
        latents = CaptionedLatents(latents.images, ranges.repeat(1 + trainer.flip, 1))
    if (held_out := trainer.validation_images) and trainer.flip and isinstance(latents, CaptionedLatents):
        # What is held out is the end, where only mirrored images are, and their originals would be trained on.
        kept = torch.arange(len(trained) - held_out)
        order = torch.cat([kept, len(trained) + kept, torch.arange(len(kept), len(trained))])
        latents = CaptionedLatents(latents.images[order], latents.caption_range[order])
    if name == FLOW_STAGE:
        flow.fit_scale(*measured.chunk(2, dim=1))
    else:
        try:
            last = before["averaged"] if trainer.ema_decay else before["model"]
            flow.load_state_dict(_part(last, "prior"))
        except (LookupError, TypeError, AttributeError, RuntimeError) as error:
            raise not_a_checkpoint(out, error) from None
        flow.strides.fill_(name == FEW_STEP_STAGE)
    contrastive = recipe.flow.model.contrastive if name == FLOW_STAGE else 0.0
    matching = FlowMatching(flow, name == FEW_STEP_STAGE, name == GUIDANCE_STAGE, contrastive, recipe.flow.autoguidance)
    if name == GUIDANCE_STAGE and matching.weak is not None:
        try:
            # Not of the average, which may be that of an epoch before it was kept (early stopping).
            matching.weak.load_state_dict(_part(before["model"], "weak"))
        except (LookupError, TypeError, AttributeError, RuntimeError) as error:
            raise not_a_checkpoint(out, error) from None
    return Stage(name, recipe, Training(matching, latents, known, trainer, execution, processes=group), vae)


def _part(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The weights of a part of a module, by their names in it."""
    return {key.removeprefix(f"{name}."): weight for key, weight in state.items() if key.startswith(f"{name}.")}


def _first_stage(model: Trainable) -> TextVAE:
    return model.vae if isinstance(model, WithFlow) else cast(TextVAE, model)


def _first_latents(
    latents: LatentsInParts, conditions: ConditionsInParts, execution: Execution, group: Processes
) -> Tensor:
    """The latents of the first images of a set in parts, by which a flow is scaled."""
    rows, number = RowsInParts(latents, conditions, execution), min(SCALED_BY, len(latents.images))
    mirrored = torch.arange(len(latents.images), len(latents.images) + number) if latents.mirrored else torch.arange(0)
    chosen = torch.cat([torch.arange(number), mirrored])

    def encoded(some: slice) -> Tensor:
        return rows.gather(chosen[some], torch.zeros(len(chosen[some])))[0].cpu()

    return torch.cat(in_batches(group, len(chosen), 250, encoded, "encoding some images"))


def _latents(
    vae: TextVAE,
    images: CaptionedImages,
    conditions: Conditions,
    execution: Execution,
    mirrored: bool,
    group: Processes,
    batch_size: int = 250,
) -> CaptionedLatents:
    """Posterior moments of all training images, each encoded with its first condition; with ``mirrored``, those of all
    mirrored images follow. Processes deal out the batches, whose latents do not depend on their number.
    """
    known, ranges = conditions[0], conditions[1][: len(images)]

    def encoded(span: slice, flipped: bool) -> Tensor:
        batch = images.images[span].to(execution.device).float().div_(255)
        batch = (batch.flip(3) if flipped else batch).contiguous(memory_format=torch.channels_last)
        return moments(vae, batch, known[ranges[span, 0]].to(execution.device))

    one = encoded(slice(1), False)
    latents = zeros((len(images) * (1 + mirrored), *one.shape[1:]), one.dtype, one.device)
    batches = [(flipped, start) for flipped in range(1 + mirrored) for start in range(0, len(images), batch_size)]
    with ProgressLine("encoding the training images", len(latents), "images") as progress:
        for flipped, start in batches[group.rank :: group.size]:
            rows = encoded(slice(start, start + batch_size), bool(flipped))
            place = flipped * len(images) + start
            latents[place : place + len(rows)] = rows
            progress.advance(len(rows) * group.size)
    group.add(latents)  # what the others computed is zero here
    return CaptionedLatents(latents, torch.cat([ranges, ranges]) if mirrored else ranges)

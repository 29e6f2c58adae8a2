"""How many passes over the data fit into a number of minutes, by the speed that is measured before the training."""

import dataclasses
import statistics
import threading
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from textvae.data.captioned_images import CaptionedImages
from textvae.data.remote import ImagesInParts
from textvae.experiment.stages import (
    FEW_STEP_STAGE,
    FLOW_STAGE,
    GUIDANCE_STAGE,
    MODEL_STAGE,
    epochs_of,
    stages_of,
    start_stage,
    trainer_of,
)
from textvae.recipes.conditions import conditions_for
from textvae.recipes.recipe import Recipe
from textvae.runs.files import CONFIG
from textvae.runs.run import MINUTES, open_run, read_config, write_config, write_weights
from textvae.training.loop import Training
from textvae.utils.device import Execution
from textvae.utils.errors import UserError
from textvae.utils.processes import Processes
from textvae.utils.progress import ProgressLine, duration, say, without_notices

MEASURED_S = 4.0
"""How long each stage is measured; the first step, which is slower, is left out."""
FEW_STEPS = 200
"""Stages with fewer steps get a warning."""
MEASURED = 256
"""Number of images for the measurement; at least one batch of each stage, at most all images."""


def within_minutes(
    recipe: Recipe,
    images: CaptionedImages | ImagesInParts,
    execution: Execution,
    minutes: float,
    out: Path,
    group: Processes,
    has_model: bool = False,
) -> Recipe:
    """The recipe with as many epochs in each stage as fit into ``minutes`` of training.

    The stages share the time as they do with the recipe's own epochs. A run folder that was started with the same
    minutes keeps the epochs that were chosen then, so that an interruption does not change the result.

    Args:
        recipe: what to train; its epochs set how the stages share the time.
        images: training images, followed by those to hold out for validation.
        execution: device, precision and threads.
        minutes: time for all stages together.
        out: the run folder.
        group: the processes that share the training; they are measured together.
        has_model: whether the first stage is already trained, so that the time is spent on the others.

    Raises:
        UserError: ``minutes`` is not positive, or the run folder was trained in another time.
    """
    check_minutes(minutes)
    recorded = group.from_first(lambda: _recorded(recipe, minutes, out) if (out / CONFIG).exists() else None)
    if recorded is not None:
        return _with_epochs(recipe, recorded)
    measured = _measured(recipe, images, execution, group)
    seconds, steps, encoding = group.from_first(lambda: measured)
    if has_model:
        del seconds[MODEL_STAGE]
    left = max(60 * minutes - encoding, 0.0)
    wanted = {name: trainer_of(recipe, name).epochs * seconds[name] for name in seconds}
    epochs = {}
    for name in seconds:
        share = wanted.pop(name)
        epochs[name] = max(1, round(left * share / (share + sum(wanted.values())) / seconds[name]))
        left = max(left - epochs[name] * seconds[name], 0.0)
        whole, taken = epochs[name] * steps[name], duration(epochs[name] * seconds[name])
        say(f"stage {name}: epochs {epochs[name]:,}, steps {whole:,}, about {taken}")
        if whole < FEW_STEPS:
            say(f"so few steps are not enough for the stage {name}: increase --minutes")
    needed = encoding + sum(epochs[name] * seconds[name] for name in seconds)
    if needed > 1.2 * 60 * minutes:
        say(f"one epoch of each stage takes {duration(needed)}, which is more than {minutes:g} minutes")
    return _with_epochs(recipe, {MODEL_STAGE: recipe.trainer.epochs, **epochs})


def check_minutes(minutes: float) -> None:
    """Checks ``--minutes``.

    Raises:
        UserError: they are not positive, or absurdly many.
    """
    if not 0 < minutes < 1e7:
        raise UserError(f"{minutes:g} minutes are out of range", "give a positive number")


def check_epochs(recipe: Recipe, own: Recipe) -> None:
    """Checks that a recipe to be trained for some minutes has its own numbers of epochs, which only share out the time.

    Args:
        recipe: the recipe with the settings to use.
        own: the same recipe without them.

    Raises:
        UserError: a setting changes a number of epochs.
    """
    if epochs_of(recipe) != epochs_of(own):
        raise UserError(
            "the minutes choose the numbers of epochs, so these cannot be set as well",
            "leave out the settings for epochs; a recipe that is trained without minutes takes them",
        )


def _recorded(recipe: Recipe, minutes: float, out: Path) -> dict[str, int]:
    """The epochs of each stage that were chosen when the run was begun."""
    before = read_config(out).get(MINUTES)
    if before != minutes:
        was = "without --minutes" if before is None else f"with --minutes {before:g}"
        raise UserError(
            f"{out} was started {was}",
            f"resume with the same option, or choose another --out; there, --from {out} continues from it",
        )
    trained = open_run(out, recipe).recipe
    if stages_of(trained) != stages_of(recipe):
        raise UserError(
            f"{out} was started with other stages: {', '.join(stages_of(trained))}",
            "leave out --minutes to add a stage, with its --flow.trainer.epochs",
        )
    return epochs_of(trained)


def _with_epochs(recipe: Recipe, epochs: Mapping[str, int]) -> Recipe:
    flow = recipe.flow
    if flow is not None:
        trainer = dataclasses.replace(flow.trainer, epochs=epochs[FLOW_STAGE])
        strides, guidance = epochs.get(FEW_STEP_STAGE, 0), epochs.get(GUIDANCE_STAGE, 0)
        flow = dataclasses.replace(flow, trainer=trainer, stride_epochs=strides, guidance_epochs=guidance)
    trainer = dataclasses.replace(recipe.trainer, epochs=epochs[MODEL_STAGE])
    return dataclasses.replace(recipe, trainer=trainer, flow=flow)


def _measured(
    recipe: Recipe, images: CaptionedImages | ImagesInParts, execution: Execution, group: Processes
) -> tuple[dict[str, float], dict[str, int], float]:
    """Seconds and steps of an epoch of each stage, and seconds of encoding all images for the flow.

    Measured on a few images, with models that are thrown away and whose epochs do not end.
    """
    endless = _with_epochs(recipe, dict.fromkeys(stages_of(recipe), 10**6))
    endless = dataclasses.replace(endless, trainer=dataclasses.replace(endless.trainer, validation_images=0))
    if endless.flow is not None:
        trainer = dataclasses.replace(endless.flow.trainer, validation_images=0)
        endless = dataclasses.replace(endless, flow=dataclasses.replace(endless.flow, trainer=trainer))
    trained = len(images) - recipe.trainer.validation_images
    count = min(trained, max(MEASURED, *(trainer_of(recipe, name).batch_size for name in stages_of(recipe)), 1))
    few = images.first(count)
    with without_notices():  # the training gives them
        conditions = conditions_for(few, endless)
    seconds: dict[str, float] = {}
    steps: dict[str, int] = {}
    encoding = 0.0
    state: Mapping[str, Any] = {}
    with ProgressLine("measuring the speed of this machine"), TemporaryDirectory() as folder:
        out = Path(folder)
        write_config(out, endless, "", {})
        for name in stages_of(recipe):
            started = time.perf_counter()
            stage = start_stage(name, endless, few, conditions, execution, out, state, group)
            if name == FLOW_STAGE:
                encoding = (time.perf_counter() - started) * trained / count
            training = stage.training
            held_out = 0 if name == MODEL_STAGE else trainer_of(recipe, name).validation_images
            images_an_epoch = training.num_training * (trained - held_out) // count
            steps[name] = -(-images_an_epoch // training.config.batch_size)
            seconds[name] = _seconds_a_step(training) * steps[name]
            state = training.state_dict()
            write_weights(out, stage.weights(training.averaged.state_dict()))
    return seconds, steps, encoding


def _seconds_a_step(training: Training) -> float:
    """Median time of a step after the first one: something else that the machine does for a second slows down a few."""
    ends: list[float] = []
    enough = threading.Event()
    for step in training.steps(enough.is_set):
        float(step.loss.total.detach())  # waits for the device
        ends.append(time.perf_counter())
        if step.stop:
            return statistics.median(after - before for before, after in pairwise(ends))
        if len(ends) > 2 and ends[-1] - ends[0] > MEASURED_S:
            enough.set()
    raise AssertionError("the epochs of a measurement do not end")

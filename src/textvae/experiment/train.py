"""Training a recipe into a run folder, stage after stage; it can be interrupted at any moment and resumed.

Of several processes that share a training, the first alone reads and writes the run folder and tells the others.
"""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from textvae import data
from textvae.data.captioned_images import CaptionedImages
from textvae.data.remote import ImagesInParts
from textvae.experiment.callbacks import Callback
from textvae.experiment.early_stopping import EarlyStopping
from textvae.experiment.minutes import within_minutes
from textvae.experiment.resume import Position, claim_run_folder, locked
from textvae.experiment.stages import (
    FLOW_STAGE,
    MODEL_STAGE,
    Stage,
    check_flow,
    kept_stage,
    stages_of,
    start_stage,
    trainer_of,
)
from textvae.experiment.start_from import begin, continued, take_over
from textvae.models.base import TextVAE
from textvae.recipes.conditions import conditions_for, with_captions
from textvae.recipes.recipe import Recipe
from textvae.runs.card import write_card
from textvae.runs.checkpoint import write_checkpoint
from textvae.runs.files import HISTORY, SAMPLES
from textvae.runs.find import shipped_models
from textvae.runs.run import COMMAND, LIMIT, MINUTES, START, Run, open_run, stored_checksum, write_history
from textvae.runs.snapshots import has_snapshot, snapshot_folder, write_snapshot
from textvae.training.loop import Step, check_held_out
from textvae.utils.device import Execution, subnormals_as_zero
from textvae.utils.errors import UserError
from textvae.utils.images import grid, save_image
from textvae.utils.pixels import to_pil
from textvae.utils.processes import Processes, processes
from textvae.utils.progress import ProgressLine, say

CHECKPOINT_EVERY_S = 30.0
HISTORY_EVERY_STEPS = 100
SAMPLES_PER_PROMPT = 8
SAMPLE_EVERY = 5
"""Epochs between two updates of samples.png."""
MOST_SAMPLES = 20
"""Updates of samples.png in a stage."""


@subnormals_as_zero()
def train_recipe(
    recipe: Recipe,
    out: Path,
    execution: Execution,
    sample_every: int = SAMPLE_EVERY,
    limit: int | None = None,
    callbacks: Sequence[Callback] = (),
    keep_epochs: Sequence[int] = (),
    minutes: float | None = None,
    command: str = "",
    start: Run | None = None,
) -> bool:
    """Trains a recipe into a run folder. The same call again resumes where the last one was interrupted.

    Args:
        recipe: what to train, with the settings to use.
        out: the run folder.
        execution: device, precision and threads.
        sample_every: epochs between two updates of samples.png, of which a stage gets at most ``MOST_SAMPLES``.
        limit: train on this many images only, from the start of the training set; for tests and first tries.
        callbacks: called after each step, epoch and checkpoint, in the first process.
        keep_epochs: epochs whose weights are kept as RUN/epochs/N, a run folder that opens like any other; of a
            recipe with a flow, epochs of the flow.
        minutes: in place of the recipe's epochs, as many as fit into this time, by the speed measured beforehand.
        start: a model whose first stage is kept and whose flow is trained further; its vocabulary is extended.
        command: the command to show in the model card, if it is not ``textvae train RECIPE``.

    Returns:
        Whether the training is complete; False where Ctrl-C or a termination signal stopped it.

    Raises:
        UserError: the folder holds something else, another process trains there, the training diverged, or it does not
            reach an epoch to keep.
    """
    if minutes is None:
        _check_reached(recipe, keep_epochs)
    group = processes()
    name = recipe.data
    images = group.in_turn(lambda: data.training_images(name))
    if limit is not None:
        if limit < 1:
            raise UserError(f"a limit of {limit} images leaves none to train on", "give a positive limit")
        images = images.first(limit)
    if (held_out := recipe.trainer.validation_images) and isinstance(images, CaptionedImages):
        # Validation images come from the validation split where there is one, else from the end of the training set.
        splits = data.source(recipe.data).splits
        if "val" in splits:
            validation = data.load(recipe.data, "val").first(held_out)
            if len(validation) < held_out:
                raise UserError(
                    f"{recipe.data} has {len(validation)} validation images, not {held_out}",
                    f"use --trainer.validation-images {len(validation)} or fewer",
                )
            images = images.followed_by(validation)
    recipe = with_captions(recipe, images)
    model = recipe.outline(with_flow=True)
    if isinstance(model, TextVAE) and tuple(model.image_shape) != tuple(images.image_shape):
        raise UserError(
            f"{recipe.name} draws {_shape(model.image_shape)}, {recipe.data} has {_shape(images.image_shape)}",
            "leave out --model.image-size and --model.image-shape, or train on a set of that size",
        )
    check_held_out(recipe.trainer, len(images))
    if recipe.flow is not None:
        check_held_out(recipe.flow.trainer, len(images) - recipe.trainer.validation_images)
        if recipe.flow.trainer.validation_images and recipe.flow.trainer.flip and isinstance(images, ImagesInParts):
            # The mirrored images are at the end of the latents, and their originals would be trained on.
            raise UserError(
                "a set in parts can't hold out images of a flow that is trained on mirrored images too",
                "use --flow.trainer.validation-images 0 or --flow.trainer.flip false",
            )
    if start is not None:
        recipe = continued(recipe, start)
    if recipe.flow is not None:
        check_flow(recipe, recipe.flow.model)
    fingerprint = images.checked_fingerprint()
    if any(other != fingerprint for other in group.gather(fingerprint)):
        raise UserError(f"not all processes have the same images of {name}", "give all hosts the same files")
    with locked(out) if group.first else contextlib.nullcontext():
        if minutes is not None:
            recipe = within_minutes(recipe, images, execution, minutes, out, group, has_model=start is not None)
            _check_reached(recipe, keep_epochs)
        if group.first:
            begun = None if start is None else {"model": _given(start), "checksum": stored_checksum(start.path) or ""}
            asked = {MINUTES: minutes, LIMIT: limit, COMMAND: command or None, START: begun}
            claim_run_folder(
                out, recipe, fingerprint, execution, {key: value for key, value in asked.items() if value is not None}
            )
        else:
            callbacks = keep_epochs = ()
        complete = _train_stages(recipe, images, out, execution, sample_every, callbacks, keep_epochs, start, group)
        group.wait()
    return complete


def _given(start: Run) -> str:
    """The name of a model in a command: that of a bundled model, or else its folder."""
    return start.name if start.path == shipped_models().get(start.name) else str(start.path)


def _shape(of: Sequence[int]) -> str:
    """For example "28 x 28 pixels of 1 channel"."""
    channels, height, width = of
    return f"{height} x {width} pixels of {channels} channel{'s' * (channels != 1)}"


def _check_reached(recipe: Recipe, keep_epochs: Sequence[int]) -> None:
    last = trainer_of(recipe, kept_stage(recipe)).epochs
    if unreached := [epoch for epoch in keep_epochs if not 1 <= epoch <= last]:
        raise UserError(f"epoch {unreached[0]} cannot be kept", f"choose from 1 to {last}, the epochs of this training")


def _train_stages(
    recipe: Recipe,
    images: CaptionedImages | ImagesInParts,
    out: Path,
    execution: Execution,
    sample_every: int,
    callbacks: Sequence[Callback],
    keep_epochs: Sequence[int],
    start: Run | None,
    group: Processes,
) -> bool:
    """Trains the stages that are not complete; returns False where training was stopped before the end."""
    conditions = conditions_for(images, recipe)
    position, names = group.from_first(lambda: _position(out, recipe, start))
    if not names:
        _report_missed(out, keep_epochs, trainer_of(recipe, kept_stage(recipe)).epochs)
        say(f"{out} is trained already")
        if group.first:
            if not (out / HISTORY).exists():
                write_history(out, position.history)
            # The process that completed it may have been killed just before it wrote the card.
            write_card(open_run(out, recipe))
        return True
    for name in names:
        stage = start_stage(name, recipe, images, conditions, execution, out, position.training, group)
        if position.stage == name and position.training:
            position.restore(stage, out)
            say(f"{out}: resuming at step {stage.training.step} of {stage.training.total_steps}")
        else:
            position = Position(name, history=position.history, seconds=position.seconds)
            if start is not None and name == FLOW_STAGE:
                take_over(stage, start)
        kept = keep_epochs if name == kept_stage(recipe) else ()
        stopped = _train_stage(stage, position, out, sample_every, callbacks, kept, group)
        if stopped and not (position.complete and name == names[-1]):
            training = stage.training
            say(f"stopped at step {training.step} of {training.total_steps}; the same command resumes there")
            return False
    if group.first:
        write_card(open_run(out, recipe))
    return True


def _position(out: Path, recipe: Recipe, start: Run | None) -> tuple[Position, list[str]]:
    """How far the run is trained, and what is left; a run that starts from another model begins with its weights."""
    position, names = Position.read(out, recipe)
    if start is not None and not position.training:
        begin(out, start)
        position, names = Position.read(out, recipe)
    return position, names


def _report_missed(out: Path, keep_epochs: Sequence[int], done: int) -> None:
    """Says which of the epochs to keep an earlier process trained without keeping them."""
    for epoch in keep_epochs:
        if epoch <= done and not has_snapshot(out, epoch):
            say(f"epoch {epoch} was trained without being kept: train into another --out to keep it")


def _train_stage(
    stage: Stage,
    position: Position,
    out: Path,
    sample_every: int,
    callbacks: Sequence[Callback],
    keep_epochs: Sequence[int],
    group: Processes,
) -> bool:
    """Trains a stage from a position to its end, or until it is asked to stop; returns whether it was."""
    training, config, recipe = stage.training, stage.config, stage.recipe
    best = EarlyStopping(**position.best)

    def save(complete: bool) -> None:
        position.training, position.best = training.state_dict(), vars(best)
        position.seconds, position.complete, position.means = seconds, complete, vars(means)
        if group.first:
            write_checkpoint(out, stage.weights(best.weights or training.averaged.state_dict()), vars(position))

    _report_missed(out, keep_epochs, training.step // training.steps_per_epoch)
    history, seconds = position.history, position.seconds
    means = _Means(**position.means)
    started, last_checkpoint = time.perf_counter() - seconds, time.perf_counter()
    complete = False
    total_images, seen = config.epochs * training.num_training, training.images_seen
    stages = stages_of(recipe)
    number = f"stage {stages.index(stage.name) + 1} of {len(stages)}"
    title = recipe.name if len(stages) == 1 else f"{number}: {stage.name}"
    with _stop_requested() as stop, ProgressLine(title, total_images, "images", seen) as progress:
        for step in training.steps(stop.is_set):
            if step.number == 1:
                EarlyStopping.check(config, step.loss.terms)
            means.add(step)
            seconds = time.perf_counter() - started
            if step.number % HISTORY_EVERY_STEPS == 0 or step.ends_epoch:
                place = {"stage": stage.name, "step": step.number, "epoch": step.epoch, "seconds": seconds}
                history.append(place | means.take())
                progress.show(history[-1]["loss"])
            progress.advance(step.images)
            complete = step.number == training.total_steps
            if step.ends_epoch:
                if config.validation_images:
                    history[-1]["validation"] = training.validate()
                    training.check_validated(history[-1]["validation"])
                    complete = best.update(training, history[-1]["validation"]) or complete
                training.check_finite()
                if step.epoch in keep_epochs:
                    # Before any checkpoint of this epoch or a later one: a resumed training has kept all up to it.
                    write_snapshot(out, step.epoch, stage.weights(training.averaged.state_dict()), history)
                    say(f"epoch {step.epoch} is kept: {snapshot_folder(out, step.epoch)}")
                if complete and best.weights is not None:
                    training.averaged.load_state_dict(best.weights)
                if group.first and (
                    complete or step.epoch % max(sample_every, math.ceil(config.epochs / MOST_SAMPLES)) == 0
                ):
                    draw_samples(stage, out)
            stage.keep_weak(step.number, complete)
            paused = time.perf_counter()
            for callback in callbacks:
                callback.on_step(stage, step)
                if step.ends_epoch and (numbers := callback.on_epoch(stage, history[-1])):
                    # Plain and finite numbers: neither JSON nor a checkpoint holds others.
                    plain = {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
                    history[-1].setdefault("watched", {}).update(plain)
            started += time.perf_counter() - paused
            stopping = any(group.gather(stop.is_set())) if step.ends_epoch or group.size == 1 else step.stop
            now = time.perf_counter()
            if complete or stopping or now - last_checkpoint > CHECKPOINT_EVERY_S:
                save(complete)
                last_checkpoint = now
                paused = time.perf_counter()
                for callback in callbacks:
                    callback.on_checkpoint(stage, out)
                started += time.perf_counter() - paused
            if complete or stopping:
                return stopping
    return False


def draw_samples(stage: Stage, out: Path) -> None:
    """Writes samples.png: a row of pictures for each of the recipe's prompts; nothing for a model that draws none.

    While the first stage of a model with a flow is trained, pictures are reconstructed instead: what it draws from
    N(0, I) shows nothing, before there is a flow.
    """
    generator, recipe = stage.text_to_image(), stage.recipe
    if generator is None:
        return
    facts = {"model": recipe.name, "step": str(stage.training.step)}
    if stage.name == MODEL_STAGE and recipe.flow is not None:
        pictures, conditions = stage.training.examples(SAMPLES_PER_PROMPT)
        again = generator.reconstruct_tensors(pictures, conditions)
        facts["prompt"] = "training images | reconstructed"
        save_image(grid([to_pil(pictures), to_pil(again)], facts["prompt"].split(" | ")), out / SAMPLES, facts)
        return
    count = len(recipe.prompts)
    conditions = stage.prompt_conditions.repeat_interleave(SAMPLES_PER_PROMPT, dim=0)
    drawn = to_pil(generator.draw(conditions, list(range(SAMPLES_PER_PROMPT)) * count))
    rows = [drawn[i : i + SAMPLES_PER_PROMPT] for i in range(0, len(drawn), SAMPLES_PER_PROMPT)]
    save_image(grid(rows, recipe.prompts), out / SAMPLES, facts | {"prompt": " | ".join(recipe.prompts), "seed": "0"})


@dataclass
class _Means:
    """Mean of each loss term since it was last taken, summed on the device. Its fields are saved in checkpoints."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    """Of each term, over images."""
    images: int = 0

    def add(self, step: Step) -> None:
        for name, value in {"total": step.loss.total.detach(), **step.loss.terms}.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value * step.images
        self.images += step.images

    def take(self) -> dict[str, dict[str, float]]:
        means = {name: float(value) / self.images for name, value in self.sums.items()}
        self.sums, self.images = {}, 0
        return {"loss": means}


@contextmanager
def _stop_requested() -> Iterator[threading.Event]:
    """An event that Ctrl-C and termination signals set, so that the current step is finished and saved first."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def request(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # A second request leaves at once; the last checkpoint is kept.
        stop.set()

    before = {s: signal.signal(s, request) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

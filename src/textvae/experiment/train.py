"""Carrying out a recipe: data and text in, a run folder out, interruptible at any moment."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from textvae import data
from textvae.data.captioned_images import CaptionedImages
from textvae.experiment.stages import MODEL_STAGE, Stage, begin, check_flow, stages_of
from textvae.models.base import TextVAE, Trainable
from textvae.pipeline import TextToImage
from textvae.recipes.conditions import training_conditions, with_captions
from textvae.recipes.recipe import Recipe
from textvae.runs.card import write_card
from textvae.runs.run import (
    CONFIG,
    SAMPLES,
    not_a_checkpoint,
    open_run,
    read_state,
    write_config,
    write_history,
    write_state,
    write_weights,
)
from textvae.training.loop import Step, Training
from textvae.utils.config import to_dict
from textvae.utils.device import Execution
from textvae.utils.errors import UserError
from textvae.utils.images import grid, save_png
from textvae.utils.progress import ProgressLine, say

CHECKPOINT_EVERY_S = 30.0
HISTORY_EVERY_STEPS = 100
SAMPLES_A_PROMPT = 8


@dataclass
class _Position:
    """Where a run stands: what state.pt holds."""

    stage: str = MODEL_STAGE
    training: dict[str, Any] = field(default_factory=dict)
    """Of the stage; empty before its first checkpoint."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """Of all stages."""
    seconds: float = 0.0
    """Of all stages."""
    best: dict[str, Any] = field(default_factory=dict)
    complete: bool = False
    """Whether the stage is."""


@dataclass
class _Best:
    """Early stopping: the best validation loss, the weights that had it, and how long ago."""

    loss: float = float("inf")
    epochs_since: int = 0
    weights: dict[str, Tensor] | None = None


Watch = Callable[[TextToImage], dict[str, float]]
"""Numbers about the model as it is, for the history."""


def train_recipe(
    recipe: Recipe,
    out: Path,
    execution: Execution,
    sample_every: int = 5,
    limit: int | None = None,
    watch: Watch | None = None,
) -> bool:
    """Trains a recipe into a run folder; the same call again goes on where the last one stopped.

    Args:
        recipe: with the settings to use.
        out: the run folder.
        execution: device and precision.
        sample_every: epochs between two looks at samples.png.
        limit: train on the first so many images only (tests, first tries).
        watch: called after each epoch; what it returns stands in history.jsonl as "watched".

    Returns:
        Whether the training is complete; False where Ctrl-C or a termination signal stopped it.

    Raises:
        UserError: the folder holds something else, or the training diverged.
    """
    images = data.load(recipe.data, "train")
    if limit is not None:
        images = images.first(limit)
    if held_out := recipe.trainer.validation_images:
        # A source that has validation images of its own lends those; else the end of the training set is held out.
        splits = data.source(recipe.data).splits
        if "val" in splits:
            images = images.followed_by(data.load(recipe.data, "val").first(held_out))
    recipe = with_captions(recipe, images)
    if recipe.flow is not None:
        check_flow(recipe, recipe.flow.model)
    _claim(out, recipe, images, execution)

    names, conditions = stages_of(recipe), training_conditions(images, recipe)
    position = _Position()
    if state := read_state(out):
        try:
            position = _Position(**state)
            done = names.index(position.stage) + position.complete
        except (LookupError, TypeError, ValueError) as error:
            raise not_a_checkpoint(out, error) from None
        names = names[done:]
        if not names:
            say(f"{out} is trained already: {position.training['step']} steps")
            return True
    for name in names:
        stage = begin(name, recipe, images, conditions, execution, out, position.training)
        if position.stage == name and position.training:
            try:
                stage.training.load_state_dict(position.training)
            except (LookupError, TypeError, ValueError, RuntimeError) as error:
                raise not_a_checkpoint(out, error) from None
            say(f"{out}: going on from step {stage.training.step} of {stage.training.total_steps}")
        else:
            position = _Position(name, history=position.history, seconds=position.seconds)
        if not _train(stage, recipe, position, out, sample_every, watch):
            training = stage.training
            say(f"stopped at step {training.step} of {training.total_steps}; the same command goes on from there")
            return False
    write_card(open_run(out))
    return True


def _train(
    stage: Stage, recipe: Recipe, position: "_Position", out: Path, sample_every: int, watch: Watch | None
) -> bool:
    """Trains a stage from its present position to its end; False where it was stopped before."""
    training, config = stage.training, stage.config
    best = _Best(**position.best)

    def save(complete: bool) -> None:
        position.training, position.best = training.state_dict(), vars(best)
        position.seconds, position.complete = seconds, complete
        write_weights(out, stage.weights(best.weights or training.averaged.state_dict()))
        write_history(out, position.history)
        write_state(out, vars(position))

    history, seconds = position.history, position.seconds
    recent = _Means()
    started, last_checkpoint = time.perf_counter() - seconds, time.perf_counter()
    complete = False
    total_images, seen = config.epochs * training.num_training, training.images_seen
    title = recipe.name if recipe.flow is None else f"{recipe.name}, {stage.name}"
    with _stop_requested() as stop, ProgressLine(title, total_images, "images", seen) as progress:
        for step in training.steps():
            recent.add(step)
            seconds = time.perf_counter() - started
            if step.number % HISTORY_EVERY_STEPS == 0 or step.ends_epoch:
                place = {"stage": stage.name, "step": step.number, "epoch": step.epoch, "seconds": seconds}
                history.append(place | recent.take())
                progress.show(history[-1]["loss"])
            progress.advance(step.images)
            complete = step.number == training.total_steps
            if step.ends_epoch:
                if config.validation_images:
                    history[-1]["validation"] = training.validate()
                    complete = _patience_exhausted(best, training, history[-1]["validation"]) or complete
                if complete and best.weights is not None:
                    training.averaged.load_state_dict(best.weights)
                if complete or step.epoch % sample_every == 0:
                    draw_samples(recipe, stage.model(), training, out)
                if watch is not None and isinstance(drawing := stage.model(), TextVAE):
                    paused = time.perf_counter()
                    history[-1]["watched"] = watch(TextToImage(drawing, recipe.text, training.execution.device))
                    started += time.perf_counter() - paused
            now = time.perf_counter()
            if complete or stop.is_set() or now - last_checkpoint > CHECKPOINT_EVERY_S:
                save(complete)
                last_checkpoint = now
            if complete or stop.is_set():
                break
    return complete


def draw_samples(recipe: Recipe, model: Trainable, training: Training, out: Path) -> None:
    """Writes samples.png: a row for each of the recipe's prompts. A judge draws nothing."""
    if not isinstance(model, TextVAE):
        return
    generator = TextToImage(model, recipe.text, training.execution.device)
    pictures = generator(recipe.prompts, SAMPLES_A_PROMPT)
    rows = [pictures[i : i + SAMPLES_A_PROMPT] for i in range(0, len(pictures), SAMPLES_A_PROMPT)]
    facts = {"prompt": " | ".join(recipe.prompts), "seed": "0", "model": recipe.name, "step": str(training.step)}
    save_png(grid(rows, recipe.prompts), out / SAMPLES, facts)


def _claim(out: Path, recipe: Recipe, images: CaptionedImages, execution: Execution) -> None:
    """Makes the run folder, or checks that it was made by the very same settings."""
    fingerprint = images.fingerprint()
    if (out / CONFIG).exists():
        run = open_run(out)
        config = run.config
        # Through the recipe's types: a setting that is younger than the run has its default in both.
        before, now = (
            _identity(run.recipe, config.get("data", {}).get("fingerprint", "")),
            _identity(recipe, fingerprint),
        )
        if before["flow"] is None:
            del now["flow"]  # a run is welcome to get a flow afterwards
        difference = _first_difference(before, now)
        if difference:
            raise UserError(
                f"{out} was trained with other settings: {difference}",
                "choose another --out, or the same settings to go on",
            )
        how = config.get("execution")
        if not isinstance(how, Mapping) or not {"precision", "threads"} <= how.keys():
            raise UserError(f"{out / CONFIG} does not say how it was carried out", "choose another --out")
        if how["precision"] != execution.precision:
            raise UserError(
                f"{out} was trained in {how['precision']}, not {execution.precision}",
                f"add --precision {how['precision']}, or choose another --out",
            )
        if how["threads"] != execution.threads:
            say(f"{how['threads']} threads before, {execution.threads} now: the last bits may differ")
        if run.recipe.flow is None and recipe.flow is not None:
            write_config(out, recipe, fingerprint, how)
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is no run", "choose another --out")
    carried_out = {
        "device": str(execution.device),
        "precision": execution.precision,
        "threads": execution.threads,
        "torch": torch.__version__,
    }
    write_config(out, recipe, fingerprint, carried_out)


def _identity(recipe: Recipe, fingerprint: str) -> dict[str, Any]:
    """All that must be the same for a training to go on."""
    return {
        "recipe": recipe.name,
        "model": to_dict(recipe.model),
        "trainer": to_dict(recipe.trainer),
        "flow": None if recipe.flow is None else to_dict(recipe.flow),
        "data": {"name": recipe.data, "fingerprint": fingerprint},
    }


def _first_difference(before: dict[str, Any], now: dict[str, Any], where: str = "") -> str | None:
    for key, value in now.items():
        was = before.get(key)
        if key == "flow" and value is None and was is not None:
            return "it has a flow prior (add --prior flow)"
        if isinstance(value, dict) and isinstance(was, dict):
            if inner := _first_difference(was, value, f"{where}{key}."):
                return inner
        elif was != value:
            return f"{where}{key} was {was!r}, now {value!r}"
    return None


def _patience_exhausted(best: _Best, training: Training, validation: Mapping[str, float]) -> bool:
    """Notes the validation loss; whether it has failed to improve for too long."""
    if training.config.patience == 0:
        return False
    if training.config.monitor not in validation:
        raise UserError(
            f"early stopping can't watch {training.config.monitor!r}", f"choose one of: {', '.join(validation)}"
        )
    loss = validation[training.config.monitor]
    if loss < best.loss:
        best.loss, best.epochs_since = loss, 0
        best.weights = {k: v.clone() for k, v in training.averaged.state_dict().items()}
    else:
        best.epochs_since += 1
    return best.epochs_since >= training.config.patience


class _Means:
    """Mean loss terms since they were last taken, summed on the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._images = 0

    def add(self, step: Step) -> None:
        for name, value in {"total": step.loss.total.detach(), **step.loss.terms}.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value * step.images
        self._images += step.images

    def take(self) -> dict[str, dict[str, float]]:
        means = {name: float(value) / self._images for name, value in self._sums.items()}
        self._sums, self._images = {}, 0
        return {"loss": means}


@contextmanager
def _stop_requested() -> Iterator[threading.Event]:
    """An event that Ctrl-C and a termination signal set, so that a step is finished and saved before leaving."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def request(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # asked twice: leave at once, the last checkpoint stands
        stop.set()

    before = {s: signal.signal(s, request) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

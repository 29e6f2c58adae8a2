"""Resuming: the position of an interrupted training, and which settings must be unchanged to continue it."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from textvae.experiment.early_stopping import EarlyStopping
from textvae.experiment.stages import FLOW_STAGE, MODEL_STAGE, Stage, stages_of, trainer_of
from textvae.recipes.recipe import Recipe
from textvae.runs.checkpoint import FILES, LOCK, not_a_checkpoint, recover
from textvae.runs.files import CONFIG
from textvae.runs.run import LIMIT, START, check_history, open_run, write_config
from textvae.training.config import TrainerConfig
from textvae.utils.config import to_dict
from textvae.utils.device import Execution
from textvae.utils.errors import UserError
from textvae.utils.files import alone, temporary_target
from textvae.utils.printable import printable
from textvae.utils.progress import say


@dataclass
class Position:
    """How far a run has been trained: the contents of ``state.pt``."""

    stage: str = MODEL_STAGE
    training: dict[str, Any] = field(default_factory=dict)
    """State of the stage's ``Training``; empty before its first checkpoint."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """Rows of history.jsonl, of all stages."""
    seconds: float = 0.0
    """Training time of all stages."""
    best: dict[str, Any] = field(default_factory=dict)
    """Fields of the stage's ``EarlyStopping``."""
    complete: bool = False
    """Whether the stage is complete."""
    means: dict[str, Any] = field(default_factory=dict)
    """Sums of the losses since the last row of history.jsonl (the fields of ``_Means``)."""

    @classmethod
    def read(cls, out: Path, recipe: Recipe) -> tuple["Position", list[str]]:
        """The position saved in a run folder, and the names of the stages that are not complete yet.

        A stage that is asked for more epochs than it was trained for is not complete.

        Raises:
            UserError: the checkpoint cannot be read.
        """
        state, stages = recover(out), stages_of(recipe)
        if not state:
            return cls(), stages
        try:
            position = cls(**state)
            position._check_types()
            position.complete = position.complete and not position._prolonged(trainer_of(recipe, position.stage))
            return position, stages[stages.index(position.stage) + position.complete :]
        except (LookupError, TypeError, ValueError, RecursionError) as error:
            raise not_a_checkpoint(out, error) from None

    def _prolonged(self, trainer: TrainerConfig) -> bool:
        """Whether the stage was complete with fewer epochs than it has now.

        Early stopping ends it for good; a model that was started from has no history here.
        """
        return trainer.patience == 0 and bool(self.history) and self.history[-1]["epoch"] < trainer.epochs

    def _check_types(self) -> None:
        for name, kind in (("training", dict), ("history", list), ("best", dict), ("complete", bool), ("means", dict)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"its {name} is no {kind.__name__}")
        if type(self.seconds) not in (int, float) or not 0 <= self.seconds < math.inf:
            raise ValueError(f"it has a training time of {self.seconds!r}")
        if type(self.training["step"]) is not int:
            raise TypeError("its step is no integer")
        if self.means:
            sums, images = self.means["sums"], self.means["images"]
            if type(images) is not int or images < 0 or any(float(value) != float(value) for value in sums.values()):
                raise ValueError("its sums of losses are not finite")
        check_history(self.history)

    def restore(self, stage: Stage, out: Path) -> None:
        """Puts a stage back to this position.

        Raises:
            UserError: the checkpoint belongs to another model or optimizer.
        """
        training = stage.training
        try:
            if not 0 <= self.training["step"] <= training.total_steps:
                raise ValueError(f"its step is {self.training['step']}, of {training.total_steps}")
            training.load_state_dict(self.training)
            if any(not weight.isfinite().all() for weight in training.averaged.state_dict().values()):
                raise ValueError("it has weights that are not finite")
            _check_best(EarlyStopping(**self.best), training.averaged.state_dict())
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise not_a_checkpoint(out, error) from None


def _check_best(best: EarlyStopping, weights: Mapping[str, torch.Tensor]) -> None:
    if type(best.loss) not in (int, float) or type(best.epochs_since) is not int:
        raise TypeError("its best loss or the epochs since are no numbers")
    if best.weights is not None and {name: best.weights[name].shape for name in best.weights} != {
        name: weight.shape for name, weight in weights.items()
    }:
        raise ValueError("its best weights are another model's")


def is_trained(out: Path, recipe: Recipe) -> bool:
    """Whether all stages of a recipe are complete in a run folder; not while another process trains there.

    Raises:
        UserError: the checkpoint cannot be read.
    """
    if not (out / CONFIG).is_file():
        return False
    with alone(out / LOCK) as mine:
        return mine and not Position.read(out, recipe)[1]


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keeps other processes from training in the same run folder, which is created if it does not exist.

    Raises:
        UserError: another process trains there, or ``out`` is no folder or cannot be written to.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} exists and is not a run folder", "choose another --out")
    with alone(out / LOCK) as mine:
        if not mine:
            raise UserError(f"{out} is being trained by another process", "wait until it ends, or choose another --out")
        yield


def claim_run_folder(
    out: Path,
    recipe: Recipe,
    fingerprint: str,
    execution: Execution,
    asked: Mapping[str, Any] | None = None,
) -> None:
    """Makes an empty folder a run folder, or checks that an existing one was made with the same settings and data.

    ``asked`` is what config.json records of the command; see ``write_config``.

    A folder that holds nothing but what a killed training left before it wrote config.json counts as empty.

    Raises:
        UserError: the folder belongs to another training or holds other files.
    """
    if (out / CONFIG).exists():
        _check_unchanged(out, recipe, fingerprint, execution, (asked or {}).get(START))
        return
    if any(path.name != LOCK and temporary_target(path) not in FILES for path in out.iterdir()):
        raise UserError(f"{out} exists and is not a run folder", "choose another --out")
    environment = {
        "device": str(execution.device),
        "precision": execution.precision,
        "threads": execution.threads,
        "torch": torch.__version__,
    }
    write_config(out, recipe, fingerprint, environment, asked)


def _check_unchanged(
    out: Path, recipe: Recipe, fingerprint: str, execution: Execution, start: Mapping[str, str] | None
) -> None:
    run = open_run(out, recipe)
    if run.snapshot is not None:
        raise UserError(f"{out} is a snapshot of a training, after epoch {run.snapshot}", "choose another --out")
    begun = run.config.get(START, {})
    if begun.get("checksum") != (start or {}).get("checksum"):
        was = begun.get("model", "")
        raise UserError(
            f"{out} was started {f'from {was}, as that model was then' if was else 'without --from'}",
            "resume with the same --from, or choose another --out",
        )
    # Both sides go through the recipe's types, so that a setting added since then has its default in both.
    before = _identity(run.recipe, run.config.get("data", {}).get("fingerprint", ""))
    now = _identity(recipe, fingerprint)
    if before["flow"] is None:
        del now["flow"]  # A finished run may get a flow prior afterwards.
    longer = _with_more_epochs(before, now)
    difference = _first_difference(before, now)
    if difference:
        raise UserError(
            f"{out} was trained with other settings: {difference}",
            "choose another --out, or use the same settings to resume",
        )
    environment = run.config.get("execution")
    if not isinstance(environment, Mapping) or not {"precision", "threads"} <= environment.keys():
        raise UserError(f"{out / CONFIG} does not state precision and threads", "choose another --out")
    if environment["precision"] != execution.precision:
        raise UserError(
            f"{out} was trained in {environment['precision']}, not {execution.precision}",
            f"add --precision {environment['precision']}, or choose another --out",
        )
    if environment["threads"] != execution.threads:
        say(f"{environment['threads']} threads before, {execution.threads} now: results may differ in the last bits")
    for what, was, now_used in (
        ("device", environment.get("device"), str(execution.device)),
        ("torch", environment.get("torch"), torch.__version__),
    ):
        if was not in (None, now_used):
            say(f"{what} {printable(str(was))} before, {now_used} now: results may differ from an unbroken training")
    for stage in longer:
        _check_can_go_on(out, recipe, stage)
        say(
            f"{out}: {trainer_of(run.recipe, stage).epochs} epochs before, {trainer_of(recipe, stage).epochs} now "
            f"(stage {stage})"
        )
    if longer or (run.recipe.flow is None and recipe.flow is not None):
        kept = {key: run.config[key] for key in (LIMIT, START) if key in run.config}
        write_config(out, recipe, fingerprint, environment, kept)


def _with_more_epochs(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The stages that are asked for more epochs than before, which ``before`` then has too."""
    longer = []
    for stage, part, was in (
        (MODEL_STAGE, now["trainer"], before["trainer"]),
        (FLOW_STAGE, (now.get("flow") or {}).get("trainer"), (before["flow"] or {}).get("trainer")),
    ):
        if part and was and part["epochs"] > was["epochs"]:
            was["epochs"] = part["epochs"]
            longer.append(stage)
    return longer


def _check_can_go_on(out: Path, recipe: Recipe, stage: str) -> None:
    """Checks that more epochs of a stage end as if they had been asked for from the start.

    Raises:
        UserError: they do not.
    """
    trainer = trainer_of(recipe, stage)
    where = "trainer" if stage == MODEL_STAGE else "flow.trainer"
    if trainer.schedule != "constant":
        raise UserError(
            f"{out} cannot get more epochs: its {trainer.schedule} schedule depends on their total",
            f"choose another --out to train from the start; with --{where}.schedule constant, epochs can be added",
        )
    if trainer.patience:
        raise UserError(
            f"{out} cannot get more epochs: early stopping restored the weights of its best epoch",
            "choose another --out",
        )
    reached = (recover(out) or {}).get("stage", MODEL_STAGE)
    if reached != stage and reached in (names := stages_of(recipe))[names.index(stage) :]:
        raise UserError(
            f"{out} cannot get more epochs of the stage {stage}: the next stage was trained on its result",
            "choose another --out",
        )


def _identity(recipe: Recipe, fingerprint: str) -> dict[str, Any]:
    """Everything that must be unchanged for a training to be resumed."""
    return {
        "recipe": recipe.name,
        "model": to_dict(recipe.model),
        "trainer": to_dict(recipe.trainer),
        "flow": None if recipe.flow is None else to_dict(recipe.flow),
        "data": {"name": recipe.data, "fingerprint": fingerprint},
    }


def _first_difference(before: dict[str, Any], now: dict[str, Any], path: str = "") -> str | None:
    for key, value in now.items():
        was = before.get(key)
        if key == "flow" and value is None and was is not None:
            return "it has a flow prior (add --prior flow)"
        if isinstance(value, dict) and isinstance(was, dict):
            if inner := _first_difference(was, value, f"{path}{key}."):
                return inner
        elif was != value:
            return f"{path}{key} was {was!r}, now {value!r}"
    return None

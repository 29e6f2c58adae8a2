"""Loggers: a training's history and samples, shown live by TensorBoard, trackio or Weights & Biases.

history.jsonl remains the primary record: a logger gets the rows that were written there.
"""

import importlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from textvae.experiment.callbacks import Callback
from textvae.experiment.stages import Stage
from textvae.runs.files import SAMPLES
from textvae.runs.run import read_history
from textvae.utils.errors import UserError

LOGGERS = ("tensorboard", "trackio", "wandb")


@runtime_checkable
class Logger(Protocol):
    """The interface of a logger. ``step`` counts the steps of all stages."""

    def log_losses(self, step: int, losses: Mapping[str, float]) -> None:
        """Loss terms by name, such as "model/kl", "model/validation/kl" or "flow/velocity"."""
        ...

    def log_rates(self, step: int, rates: Mapping[str, float]) -> None:
        """Learning rates, and steps a second."""
        ...

    def log_samples(self, step: int, samples: Image.Image) -> None:
        """samples.png, whenever it was updated."""
        ...


class TensorBoard:
    """Event files in RUN/tensorboard, which are written anew from history.jsonl when a training resumes."""

    def __init__(self, run: Path) -> None:
        self._folder = run / "tensorboard"
        self._opened: Any = None

    def log_losses(self, step: int, losses: Mapping[str, float]) -> None:
        """As ``Logger.log_losses``."""
        self._scalars(step, losses)

    def log_rates(self, step: int, rates: Mapping[str, float]) -> None:
        """As ``Logger.log_rates``."""
        self._scalars(step, {f"rates/{name}": rate for name, rate in rates.items()})

    def log_samples(self, step: int, samples: Image.Image) -> None:
        """As ``Logger.log_samples``."""
        self._writer.add_image("samples", np.asarray(samples.convert("RGB")), step, dataformats="HWC")
        self._writer.flush()

    @property
    def _writer(self) -> Any:
        # Opened late: until a training has claimed its run folder, nothing else may be there.
        if self._opened is None:
            from torch.utils.tensorboard import SummaryWriter

            shutil.rmtree(self._folder, ignore_errors=True)
            self._opened = SummaryWriter(str(self._folder))
        return self._opened

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()


class Dashboard:
    """trackio or Weights & Biases, which have the same interface; a training that resumes is shown as a new run."""

    def __init__(self, package: str, run: Path) -> None:
        self._module: Any = importlib.import_module(package)
        self._module.init(project="textvae", name=run.name)

    def log_losses(self, step: int, losses: Mapping[str, float]) -> None:
        """As ``Logger.log_losses``."""
        self._module.log(dict(losses), step=step)

    def log_rates(self, step: int, rates: Mapping[str, float]) -> None:
        """As ``Logger.log_rates``."""
        self._module.log({f"rates/{name}": rate for name, rate in rates.items()}, step=step)

    def log_samples(self, step: int, samples: Image.Image) -> None:
        """As ``Logger.log_samples``."""
        self._module.log({"samples": self._module.Image(samples)}, step=step)


class Logging(Callback):
    """Passes to a logger what was written to the run folder since the last checkpoint."""

    def __init__(self, logger: Logger) -> None:
        self.logger = logger
        self._rows = 0
        self._samples: int | None = None

    def on_checkpoint(self, stage: Stage, out: Path) -> None:
        """Logs new rows of history.jsonl, the present learning rate, and samples.png if it is another."""
        rows = read_history(out)
        ends: dict[str, int] = {}
        last: Mapping[str, Any] | None = None
        step = 0
        for number, row in enumerate(rows):
            ends[row["stage"]] = row["step"]
            step = sum(ends.values())
            if number >= self._rows:
                self.logger.log_losses(step, _losses(row))
                if last is not None and row["seconds"] > last["seconds"] and row["stage"] == last["stage"]:
                    speed = (row["step"] - last["step"]) / (row["seconds"] - last["seconds"])
                    self.logger.log_rates(step, {"steps_per_second": speed})
            last = row
        self._rows = len(rows)
        groups = stage.training.optimizer.param_groups
        self.logger.log_rates(step, {f"learning_rate/{number}": group["lr"] for number, group in enumerate(groups)})
        samples = out / SAMPLES
        if samples.is_file() and (changed := samples.stat().st_mtime_ns) != self._samples:
            self._samples = changed
            with Image.open(samples) as image:
                self.logger.log_samples(step, image)


def _losses(row: Mapping[str, Any]) -> dict[str, float]:
    stage = row["stage"]
    found = {f"{stage}/{name}": value for name, value in row["loss"].items()}
    for kind in ("validation", "watched"):
        found |= {f"{stage}/{kind}/{name}": value for name, value in row.get(kind, {}).items()}
    return found


def logging_to(name: str, run: Path) -> Logging:
    """A callback that shows a training by a logger of ``LOGGERS``.

    Raises:
        UserError: there is no such logger, or its package is not installed.
    """
    if name not in LOGGERS:
        raise UserError(f"there is no logger {name!r}", f"choose one of: {', '.join(LOGGERS)}")
    try:
        importlib.import_module(name)
        return Logging(TensorBoard(run) if name == "tensorboard" else Dashboard(name, run))
    except ImportError:
        cure = "pip install 'textvae[log]'" if name == "tensorboard" else f"pip install {name}"
        raise UserError(f"--log {name} needs the package {name}, which is not installed", cure) from None

"""Callbacks: your own code, called during a training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textvae.experiment.stages import Stage
from textvae.training.loop import Step


class Callback:
    """Base class of callbacks. Override the methods that you need; the others do nothing.

    A callback may read the stage: ``stage.name``, ``stage.training.step``, ``stage.text_to_image()``. Drawing random
    numbers in a callback does not change the training, and the time it takes is not counted as training time.

    Examples:
        >>> class PrintLoss(Callback):
        ...     def on_epoch(self, stage, row):
        ...         print(row["epoch"], row["loss"]["total"])
        >>> textvae.train("label-conv", out="runs/garments", callbacks=[PrintLoss()])
    """

    def on_step(self, stage: Stage, step: Step) -> None:
        """Called after each training step. ``step.loss.total.item()`` waits for the device; avoid it on a GPU."""

    def on_epoch(self, stage: Stage, row: Mapping[str, Any]) -> Mapping[str, float] | None:
        """Called after each epoch.

        Args:
            stage: the stage that is being trained.
            row: the row of history.jsonl for this epoch: stage, step, epoch, seconds, the mean of each loss term since
                the row before, and the validation losses if images are held out.

        Returns:
            Numbers to save in that row under "watched", or None.
        """
        return None

    def on_checkpoint(self, stage: Stage, out: Path) -> None:
        """Called after weights, history and checkpoint were written to the run folder ``out``."""

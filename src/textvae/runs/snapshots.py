"""Snapshots of a training: the weights after some of its epochs, each a run folder of its own in RUN/epochs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from textvae.runs.files import CONFIG
from textvae.runs.run import EPOCHS, SNAPSHOT, read_config, write_history, write_weights
from textvae.utils.files import write_text


def snapshot_folder(run: Path, epoch: int) -> Path:
    """Where a run keeps its weights after an epoch: RUN/epochs/50."""
    return run / EPOCHS / str(epoch)


def has_snapshot(run: Path, epoch: int) -> bool:
    """Whether a run kept its weights after an epoch."""
    return (snapshot_folder(run, epoch) / CONFIG).is_file()


def write_snapshot(run: Path, epoch: int, weights: Mapping[str, Tensor], history: list[dict[str, Any]]) -> None:
    """Writes a snapshot that opens like a run.

    config.json is written last, so a folder that a killed process left unfinished does not open.

    Args:
        run: the run folder of the training.
        epoch: the epoch that has just ended.
        weights: the weights of the whole model.
        history: the rows of history.jsonl so far.
    """
    folder = snapshot_folder(run, epoch)
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder, weights)
    write_history(folder, history)
    config = read_config(run) | {SNAPSHOT: epoch}
    write_text(folder / CONFIG, json.dumps(config, indent=2, ensure_ascii=False) + "\n")

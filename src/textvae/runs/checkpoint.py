"""The checkpoint of a run: weights, training state and history of one moment, which become visible together.

The training state is written first, under another name; then the weights, whose rename commits the checkpoint; then the
state gets its name. The state names the checksum of the weights that it belongs to, by which ``recover`` completes or
discards what a killed process left.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from textvae.runs.files import CARD, CONFIG, HISTORY, METRICS, MODEL, SAMPLES
from textvae.runs.run import checksum, stored_checksum, write_history, write_weights
from textvae.utils.errors import UserError
from textvae.utils.files import sweep, sync_folder, written_whole

STATE = "state.pt"
PENDING = ".state.pt.next"
"""The training state of a checkpoint whose weights may not have been written yet."""
LOCK = ".lock"
WEIGHTS = "weights"
"""Key of the checksum of the weights that a training state belongs to."""
FILES = frozenset({CONFIG, MODEL, STATE, PENDING, HISTORY, METRICS, SAMPLES, CARD})
"""Names of the files that are written to a run folder."""


def write_checkpoint(path: Path, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Writes model.safetensors, state.pt and history.jsonl as one generation.

    Args:
        path: the run folder.
        weights: the weights of the model.
        state: the training state; "history" are the rows of history.jsonl.
    """
    with written_whole(path / PENDING) as temporary, temporary.open("wb") as file:
        torch.save({**state, WEIGHTS: checksum(weights)}, file)
    write_weights(path, weights)
    _commit(path, state["history"])


def recover(path: Path) -> dict[str, Any] | None:
    """Completes or discards a checkpoint that a killed process was writing; returns the training state of the run.

    To be called while no other process trains the run.

    Raises:
        UserError: the training state cannot be read, or belongs to other weights.
    """
    sweep(path, FILES)
    if (path / PENDING).is_file():
        pending = _read(path / PENDING)
        if pending.get(WEIGHTS) == stored_checksum(path):
            _commit(path, pending.get("history", []))
        else:
            (path / PENDING).unlink()
    state = read_state(path)
    if state is None:
        return None
    expected = state.pop(WEIGHTS, None)  # older versions did not store it
    if expected is not None and expected != stored_checksum(path):
        raise not_a_checkpoint(path, ValueError(f"it belongs to another {MODEL}"))
    return state


def _commit(path: Path, history: list[dict[str, Any]]) -> None:
    write_history(path, history)
    (path / PENDING).replace(path / STATE)
    sync_folder(path)


def read_state(path: Path) -> dict[str, Any] | None:
    """Reads state.pt; None if there is none. Only tensors and plain values are accepted, whoever wrote the file.

    Raises:
        UserError: it cannot be read.
    """
    return _read(path / STATE) if (path / STATE).exists() else None


def _read(file: Path) -> dict[str, Any]:
    try:
        # torch does not compare the checksums that it stores with each tensor.
        with zipfile.ZipFile(file) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("it is compressed")
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"{damaged} is damaged")
        state = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not state:
            raise ValueError("it holds no training")
    except Exception as error:
        # Reading a damaged archive or pickle raises whatever its parsing runs into.
        raise not_a_checkpoint(file.parent, error) from None
    return state


def not_a_checkpoint(path: Path, error: Exception) -> UserError:
    """The error for a run folder whose state.pt cannot be resumed from."""
    first_line = next(iter(str(error).splitlines()), type(error).__name__)
    return UserError(
        f"{path / STATE} cannot be read as a checkpoint: {first_line}",
        "delete the folder to train from the start, or choose another --out",
    )

"""Finds run folders on disk, in the package and on the Hugging Face hub, without importing torch."""

import difflib
from importlib import resources
from pathlib import Path

from textvae.runs.files import CONFIG
from textvae.runs.hub import HUB, fetch
from textvae.utils.errors import UserError


def find_run(model: str | Path) -> Path:
    """The run folder of a model: the folder itself, that of a bundled model by name, or the local copy of a model on
    the Hugging Face hub, hf://OWNER/NAME or hf://OWNER/NAME@REVISION.

    Raises:
        UserError: there is none, or the hub cannot be reached.
    """
    if str(model).startswith(HUB):
        return fetch(str(model))
    path = Path(model)
    if (path / CONFIG).is_file():
        return path
    shipped = shipped_models()
    if str(model) not in shipped:
        raise _not_a_run(path, list(shipped))
    return shipped[str(model)]


def shipped_models() -> dict[str, Path]:
    """The models inside the package, by name."""
    folder = resources.files("textvae") / "weights"
    if not folder.is_dir():
        return {}
    return {entry.name: Path(str(entry)) for entry in folder.iterdir() if (entry / CONFIG).is_file()}


def _not_a_run(path: Path, shipped: list[str]) -> UserError:
    trained = [str(config.parent) for config in Path("runs").glob(f"*/{CONFIG}")]
    near = difflib.get_close_matches(str(path), [*shipped, *trained], 1)
    cure = f"shipped models: {', '.join(sorted(shipped)) or 'none'}; or train one: textvae train RECIPE"
    if near:
        cure = f"did you mean {near[0]!r}?"
    elif path.is_dir():
        return UserError(f"{path} is not a run folder: it has no {CONFIG}", cure)
    return UserError(f"there is no run folder and no shipped model {str(path)!r}", cure)

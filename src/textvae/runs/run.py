"""The run folder: what training leaves behind, nothing in it executable.

config.json         recipe, settings, data fingerprint, how it was carried out
model.safetensors   the weights that are kept
state.pt            where the training stands (read with weights_only=True)
history.jsonl       loss terms over time
metrics.json        what ``textvae evaluate`` measured, with its protocol
samples.png         a row of samples for each of the recipe's prompts
README.md           the model card, written from the others
reconstructions.png of photographs, what ``textvae reproduce`` drew of the test images: nowhere else
"""

import difflib
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from textvae.models.base import TextVAE, Trainable
from textvae.models.with_flow import WithFlow
from textvae.recipes import recipe as recipe_named
from textvae.recipes.photographs import on
from textvae.recipes.recipe import Recipe, fitting_flow
from textvae.runs.quantize import dequantized
from textvae.text.caption_words import CaptionWords
from textvae.utils.config import to_dict, updated
from textvae.utils.errors import UserError
from textvae.utils.files import write_json, write_text, written_whole

MODEL, STATE, CONFIG = "model.safetensors", "state.pt", "config.json"
VAE = "vae"
"""Under which name a model with a flow keeps its first stage."""
HISTORY, SAMPLES, METRICS, CARD = "history.jsonl", "samples.png", "metrics.json", "README.md"


@dataclass(frozen=True)
class Run:
    """A run folder that has been read."""

    path: Path
    recipe: Recipe
    """The recipe as it was trained: its settings are those of config.json."""
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What people call it: the folder's name."""
        return self.path.name

    def load_model(self) -> Trainable:
        """The trained model, on the CPU, in evaluation mode."""
        file = self.path / MODEL
        if not file.exists():
            raise UserError(
                f"{self.path} has no {MODEL}: its training did not finish its first epoch",
                f"train it: textvae train {self.recipe.name} --out {self.path}",
            )
        try:
            weights = safetensors.torch.load_file(file)
            model = self._built(with_flow=any(name.startswith(f"{VAE}.") for name in weights))
            model.load_state_dict(dequantized(weights))
        except (safetensors.SafetensorError, RuntimeError, OSError) as error:
            first_line = str(error).splitlines()[0]
            raise UserError(
                f"{file} does not hold this model: {first_line}", "train it again, or get the file again"
            ) from None
        return model.eval().requires_grad_(False)

    def _built(self, with_flow: bool) -> Trainable:
        """With fresh weights; until a flow has begun to train, a run holds its first stage alone."""
        model: Trainable = self.recipe.model.build()
        if not with_flow or self.recipe.flow is None or not isinstance(model, TextVAE):
            return model
        return WithFlow(model, self.recipe.flow.model.build(model))


def shipped_models() -> dict[str, Path]:
    """The models inside the package, by name."""
    folder = resources.files("textvae") / "weights"
    if not folder.is_dir():
        return {}
    return {entry.name: Path(str(entry)) for entry in folder.iterdir() if (entry / CONFIG).is_file()}


def is_shipped(run: Run) -> bool:
    """Whether the run is one of the package's own, which nobody should write into."""
    return run.path in shipped_models().values()


def open_run(model: str | Path) -> Run:
    """A run folder, or a model that ships with the package, by name.

    Raises:
        UserError: there is neither, or its config.json can't be read.
    """
    path = Path(model)
    if not (path / CONFIG).is_file():
        shipped = shipped_models()
        if str(model) not in shipped:
            raise _not_a_run(path, list(shipped))
        path = shipped[str(model)]
    config = read_config(path)
    # mypy takes the module recipes.recipe for the function, since encoders know runs and recipes know encoders.
    named = recipe_named(config["recipe"])  # type: ignore[operator]
    if (data := config.get("data", {}).get("name", named.data)) != named.data:
        named = on(named, str(data))
    settings = {key: config[key] for key in ("text", "model", "trainer") if key in config}
    learned = isinstance(named.text, CaptionWords)
    changed = replace(
        named,
        text=updated(named.text, settings.get("text", {}), f"{path / CONFIG}: text") if learned else named.text,
        model=updated(named.model, settings.get("model", {}), f"{path / CONFIG}: model"),
        trainer=updated(named.trainer, settings.get("trainer", {}), f"{path / CONFIG}: trainer"),
    )
    flow = config.get("flow", {} if named.flow is not None else None)
    if flow is not None:
        stage = named.flow or fitting_flow(changed)
        changed = replace(changed, flow=updated(stage, flow, f"{path / CONFIG}: flow"))
    else:
        changed = replace(changed, flow=None)
    return Run(path, changed, config)


def _not_a_run(path: Path, shipped: list[str]) -> UserError:
    near = difflib.get_close_matches(str(path), shipped, 1)
    cure = f"shipped models: {', '.join(sorted(shipped)) or 'none'}; or train one: textvae train RECIPE"
    if near:
        cure = f"did you mean the shipped model {near[0]!r}?"
    elif path.is_dir():
        return UserError(f"{path} is a folder, but no run: it has no {CONFIG}", cure)
    return UserError(f"there is no run folder and no shipped model {str(path)!r}", cure)


def read_config(path: Path) -> dict[str, Any]:
    """config.json of a run folder, checked for what everyone relies on."""
    file = path / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(config, dict) or not isinstance(config["recipe"], str):
            raise ValueError("it names no recipe")
        for part in ("text", "model", "trainer", "data", "execution"):
            if not isinstance(config.get(part, {}), dict):
                raise ValueError(f"its {part} is no object")
        if not isinstance(config.get("flow"), dict | None):
            raise ValueError("its flow is no object")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file} can't be read: {error}", "use a run folder that textvae wrote") from None
    return config


def write_config(path: Path, recipe: Recipe, data_fingerprint: str, execution: Mapping[str, Any]) -> None:
    """Writes config.json."""
    from textvae import __version__

    write_json(
        path / CONFIG,
        {
            "textvae": __version__,
            "recipe": recipe.name,
            **({"text": to_dict(recipe.text)} if isinstance(recipe.text, CaptionWords) else {}),
            "model": to_dict(recipe.model),
            "trainer": to_dict(recipe.trainer),
            "flow": None if recipe.flow is None else to_dict(recipe.flow),
            "data": {"name": recipe.data, "fingerprint": data_fingerprint},
            "execution": dict(execution),
        },
    )


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Writes model.safetensors."""
    here = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
    with written_whole(path / MODEL) as temporary:
        safetensors.torch.save_file(here, temporary, metadata={"format": "pt"})


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Writes state.pt."""
    with written_whole(path / STATE) as temporary:
        torch.save(dict(state), temporary)


def read_state(path: Path) -> dict[str, Any] | None:
    """state.pt, or None where there is none. Only tensors and plain values are let in, whoever wrote the file."""
    file = path / STATE
    if not file.exists():
        return None
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not state:
            raise ValueError("it holds no training")
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError) as error:
        raise not_a_checkpoint(path, error) from None
    return state


def not_a_checkpoint(path: Path, error: Exception) -> UserError:
    """What to say of a state.pt that can't be gone on from."""
    first_line = next(iter(str(error).splitlines()), type(error).__name__)
    return UserError(
        f"{path / STATE} can't be read as a checkpoint: {first_line}",
        "delete the folder to train from the start, or choose another --out",
    )


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes history.jsonl: one JSON object a line."""
    write_text(path / HISTORY, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of history.jsonl."""
    return [json.loads(line) for line in (path / HISTORY).read_text(encoding="utf-8").splitlines()]

"""The run folder, which training writes; nothing in it is executable.

config.json         recipe, settings, data set, device and precision
model.safetensors   the trained weights
state.pt            the state of the training, from which it resumes (read with weights_only=True)
history.jsonl       loss terms over time
tensorboard/        of a training with ``--log tensorboard``: the same as event files
metrics.json        what ``textvae evaluate`` measured, with its protocol
samples.png         a row of samples for each of the recipe's prompts
README.md           the model card, written from the others
epochs/50/          of a training with ``--keep-epochs 50``: a run folder with the weights after that epoch
reconstructions.png of photographs: test images reconstructed by ``textvae reproduce``; stored nowhere else
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from textvae.data import contents
from textvae.data.catalog import photograph_set
from textvae.data.manifest import SetContents
from textvae.data.prepared import conventional_contents
from textvae.data.remote import is_url
from textvae.models.base import Trainable
from textvae.recipes import RECIPES
from textvae.recipes.from_file import is_spec
from textvae.recipes.recipe import Recipe
from textvae.recipes.resolve import RecipeLike, resolve
from textvae.runs.files import CONFIG, HISTORY, MODEL
from textvae.runs.find import find_run, shipped_models
from textvae.runs.hub import hub_root
from textvae.runs.quantize import dequantized, dequantized_header
from textvae.text.caption_words import CaptionWords
from textvae.text.clip import ClipText
from textvae.utils.config import completed, to_dict
from textvae.utils.errors import UserError
from textvae.utils.files import read_json, sha256_of, write_json, write_text, written_whole
from textvae.utils.version import __version__
from textvae.utils.weights import check_finite, check_fits, read_header

CHECKSUM = "sha256"
"""Key of the weights' checksum in the header of model.safetensors."""
MOST_CONFIG_BYTES = 1 << 24
"""Maximum size of a config.json in bytes; its largest part is the vocabulary."""
VAE = "vae"
"""Name of the first stage in a model with a flow."""
MINUTES, LIMIT, COMMAND = "minutes", "limit", "command"
"""Keys of config.json: the time that the epochs were chosen for, the images that were trained on at most, and the
command that trained a folder of pictures; each only where it was given."""
START = "start"
"""Key of config.json: the model that the training started from, with the checksum of its weights."""
EPOCHS = "epochs"
"""The folder of a run that holds its snapshots."""
PROMPTS = "prompts"
"""Key of config.json: prompts taken from the training captions, if the recipe has none of its own."""
SNAPSHOT = "snapshot"
"""Key of config.json, in a snapshot: the epoch after which the training had these weights."""


@dataclass(frozen=True)
class Run:
    """A run folder whose config.json has been read."""

    path: Path
    recipe: Recipe
    """The recipe with the settings of config.json."""
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The folder's name; of a snapshot, that of its training, with the epoch."""
        if self.snapshot is None:
            return self.path.name
        return f"{self.path.absolute().parent.parent.name}-epoch-{self.snapshot}"

    @property
    def snapshot(self) -> int | None:
        """The epoch after which the training had these weights; None where they are those of its end."""
        return self.config.get(SNAPSHOT)

    @property
    def beside(self) -> Path:
        """The folder that holds the run folder; of a snapshot, the one that holds its training's."""
        # A snapshot is two folders below its training.
        return self.path.parent if self.snapshot is None else self.path.absolute().parents[2]

    @property
    def weights_id(self) -> str:
        """The first 16 digits of the SHA-256 of the weights' file, by which protocols name them."""
        return sha256_of(self.path / MODEL)[:16]

    def load_model(self) -> Trainable:
        """The trained model, on the CPU, in evaluation mode.

        Raises:
            UserError: the weights are not there, are damaged, or are another model's.
        """
        file = self.path / MODEL
        if not file.exists():
            raise UserError(
                f"{self.path} has no {MODEL}: its training did not finish its first epoch",
                f"train it: textvae train {self.recipe.name} --out {self.path}",
            )
        try:
            header = dequantized_header(read_header(file))
            # Until the flow's training has begun, a run holds its first stage alone.
            with_flow = any(name.startswith(f"{VAE}.") for name in header)
            # What config.json asks for takes memory only if the file has the weights for it.
            check_fits(header, self.recipe.outline(with_flow))
            weights = safetensors.torch.load_file(file)
            if stored_checksum(self.path) not in (None, checksum(weights)):
                raise RuntimeError("its checksum does not match its weights")
            model = self.recipe.build(with_flow)
            model.load_state_dict(dequantized(weights))
            check_finite(model)
        except (safetensors.SafetensorError, RuntimeError, OSError) as error:
            first_line = str(error).splitlines()[0]
            raise UserError(
                f"{file} does not hold this model: {first_line}", "train it again, or get the file again"
            ) from None
        return model.eval().requires_grad_(False)


def is_shipped(run: Run) -> bool:
    """Whether the run is a bundled model or a copy from the hub, whose folder must not be changed."""
    return run.path in shipped_models().values() or run.path.is_relative_to(hub_root())


def run_beside(run: Run, name: str) -> Path | None:
    """The run folder of that name beside a run, or else in ``runs``, where ``textvae train`` writes it by default."""
    places = [folder / name for folder in (run.beside, Path("runs"))]
    return next((place for place in places if (place / CONFIG).is_file()), None)


def open_run(model: str | Path, recipe: RecipeLike | None = None, clip: str | None = None) -> Run:
    """Opens a run folder, a bundled model by name, or a model hf://OWNER/NAME on the hub.

    No file that config.json names is ever imported: a run of your own recipe opens only with ``recipe``.

    Args:
        model: the run folder, the name of a bundled model, or hf://OWNER/NAME.
        recipe: the recipe that trained it: a recipe, a function that returns one, or ``FILE.py:FUNCTION``. Only needed
            for a run whose recipe is not one of textvae's.
        clip: for a model conditioned by CLIP, the CLIP weights to use; default: those recorded when its data set was
            prepared. See ``ClipText.model``.

    Raises:
        UserError: there is no such run, its config.json cannot be read, its recipe is unknown or another one, or
            ``clip`` is given for a model that CLIP does not condition.
    """
    path = find_run(model)
    config = read_config(path)
    _check_version(path, config.get("textvae"))
    named = _recipe_of(path, config["recipe"], recipe)
    settings = {part: _stored(config[part], getattr(named, part)) for part in ("model", "trainer") if part in config}
    if isinstance(named.text, CaptionWords) and "text" in config:
        settings["text"] = config["text"]
    stored = _contents_of(path, config, named)
    prior: Literal["own", "flow"] | None = None
    if "flow" in config:
        prior = "own" if config["flow"] is None else "flow"
        settings |= {"flow": _stored(config["flow"], named.flow)} if config["flow"] else {}
    trained = resolve(named, data=stored, overrides=settings, prior=prior, where=f"{path / CONFIG}: ", clip=clip)
    if (expected := config.get("model_class")) not in (None, trained.model_class):
        raise UserError(
            f"{path} holds a {expected}, the recipe {named.name} builds a {trained.model_class}",
            "add --recipe FILE.py:FUNCTION, the recipe that trained it",
        )
    if not trained.prompts:
        trained = replace(trained, prompts=tuple(config.get(PROMPTS, ())))
    return Run(path, trained, config)


def _stored(values: Any, today: Any) -> Any:
    """The stored settings of a part of a recipe; ``today`` is that part of the recipe now, None if it has none."""
    return completed(today, values) if isinstance(values, Mapping) and is_dataclass(today) else values


def _check_version(path: Path, written_by: Any) -> None:
    """Refuses runs of later versions, whose settings may mean something else."""
    found = re.match(r"(\d{1,9})\.(\d{1,9})", written_by) if isinstance(written_by, str) else None
    own = re.match(r"(\d+)\.(\d+)", __version__)
    if found and own and tuple(map(int, found.groups())) > tuple(map(int, own.groups())):
        raise UserError(
            f"{path} was written by textvae {found[0]}, this is {__version__}", "update: pip install --upgrade textvae"
        )


def _recipe_of(path: Path, name: str, given: RecipeLike | None) -> Recipe:
    """The recipe that config.json names; a recipe of the user's own only if the user gives it."""
    if given is None:
        if name not in RECIPES:
            raise UserError(
                f"{path} was trained by {name!r}, which is no recipe of textvae",
                f"if it is your own, add --recipe FILE.py:FUNCTION{f' ({name})' if is_spec(name) else ''}",
            )
        return RECIPES[name]()
    recipe = resolve(given)
    # The file of a recipe of one's own may have moved since; a recipe of textvae keeps its name.
    if name in RECIPES and recipe.name != name:
        raise UserError(
            f"{path} was trained with other settings: recipe was {name!r}, now {recipe.name!r}",
            "leave out --recipe, or choose another folder",
        )
    return recipe


def _contents_of(path: Path, config: Mapping[str, Any], recipe: Recipe) -> SetContents | None:
    """What the training data held, if it was another data set than the recipe's own.

    Runs say so themselves. For older ones it is the prepared set of that name, or what such a name stands for.
    """
    stored = config.get("data", {})
    name = stored.get("name", recipe.data)
    if name == recipe.data:
        return None
    try:
        if "contents" in stored:
            return SetContents.from_dict(name, stored["contents"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path / CONFIG} cannot be read: its data's contents: {error}", "use a run folder that textvae wrote"
        ) from None
    # A URL in a file of others is not read just because the file is.
    found = None if is_url(name) else contents(name) or conventional_contents(name)
    if found is None:
        raise UserError(
            f"{path / CONFIG} does not say what {name} holds", "prepare that data set again, or train the model again"
        )
    return found


def read_config(path: Path) -> dict[str, Any]:
    """config.json of a run folder, checked for what every reader relies on.

    Raises:
        UserError: it cannot be read.
    """
    file = path / CONFIG
    try:
        config = read_json(file, MOST_CONFIG_BYTES)
        if not isinstance(config, dict) or not isinstance(config["recipe"], str):
            raise ValueError("it names no recipe")
        for part in ("text", "model", "trainer", "data", "execution", START):
            if not isinstance(config.get(part, {}), dict):
                raise ValueError(f"its {part} is not an object")
        if not isinstance(config.get(COMMAND, ""), str) or type(config.get(LIMIT, 1)) is not int:
            raise ValueError(f"its {COMMAND} is no text or its {LIMIT} no number")
        if not isinstance(config.get("model_class", ""), str) or not isinstance(
            config.get("data", {}).get("name", ""), str
        ):
            raise ValueError("its model_class or its data's name is no text")
        if type(config.get(SNAPSHOT, 1)) is not int:
            raise ValueError(f"its {SNAPSHOT} is no epoch")
        if not isinstance(config.get(MINUTES), int | float | None):
            raise ValueError(f"its {MINUTES} is no number")
        if (start := config.get(START)) is not None and not isinstance(start.get("model"), str):
            raise ValueError(f"its {START} names no model")
        prompts = config.get(PROMPTS, [])
        if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
            raise ValueError(f"its {PROMPTS} are no list of texts")
        if not isinstance(config.get("flow"), dict | None):
            raise ValueError("its flow is no object")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file} cannot be read: {error}", "use a run folder that textvae wrote") from None
    return config


def write_config(
    path: Path,
    recipe: Recipe,
    data_fingerprint: str,
    execution: Mapping[str, Any],
    asked: Mapping[str, Any] | None = None,
) -> None:
    """Writes config.json; ``asked`` has ``MINUTES``, ``LIMIT``, ``COMMAND`` and ``START`` where they were given."""
    held = contents(recipe.data)
    if held is not None and isinstance(recipe.text, ClipText):
        held = replace(held, text=replace(held.text, weights=recipe.text.model))
    data = {"name": recipe.data, "fingerprint": data_fingerprint}
    write_json(
        path / CONFIG,
        {
            "textvae": __version__,
            "recipe": recipe.origin or recipe.name,
            "model_class": recipe.model_class,
            **({"text": to_dict(recipe.text)} if isinstance(recipe.text, CaptionWords) else {}),
            "model": to_dict(recipe.model),
            "trainer": to_dict(recipe.trainer),
            "flow": None if recipe.flow is None else to_dict(recipe.flow),
            **(asked or {}),
            **({PROMPTS: list(recipe.prompts)} if held and photograph_set(held.source) is None else {}),
            "data": data | ({"contents": held.to_dict()} if held else {}),
            "execution": dict(execution),
        },
    )


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Writes model.safetensors, with a checksum of the weights in its header."""
    here = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
    with written_whole(path / MODEL) as temporary:
        temporary.write_bytes(safetensors.torch.save(here, metadata={"format": "pt", CHECKSUM: checksum(here)}))
        _sort_metadata(temporary)


def _sort_metadata(file: Path) -> None:
    """Sorts the metadata in the header of a safetensors file: the library writes them in a random order."""
    with file.open("rb+") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        opened.seek(8)
        opened.write(json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(size))


def checksum(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values of weights, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        weight = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {weight.dtype} {list(weight.shape)}\n".encode())
        digest.update(weight.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def stored_checksum(path: Path) -> str | None:
    """The checksum in the header of model.safetensors; None where there is none, as in files of older versions."""
    with contextlib.suppress(OSError, safetensors.SafetensorError), safetensors.safe_open(path / MODEL, "pt") as file:
        return (file.metadata() or {}).get(CHECKSUM)
    return None


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes history.jsonl: one JSON object a line."""
    write_text(path / HISTORY, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of history.jsonl.

    Raises:
        UserError: it cannot be read.
    """
    file = path / HISTORY
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        check_history(rows)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"{file} cannot be read: {error}", "delete it, and resume the training to write it again"
        ) from None
    return rows


def check_history(rows: Any) -> None:
    """Checks what every reader of the history relies on.

    Raises:
        TypeError, ValueError: a row is not as training writes it.
    """
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("loss"), dict):
            raise TypeError("a row has no loss")
        if not isinstance(row.get("validation", {}), dict) or not isinstance(row.get("stage", ""), str):
            raise TypeError("a row has no stage or no validation losses")
        numbers = [row.get("step"), row.get("seconds"), *row["loss"].values(), *row.get("validation", {}).values()]
        numbers.append(row.get("epoch", 1))
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in numbers):
            raise TypeError("a row holds something else than numbers")
    json.dumps(rows, allow_nan=False)

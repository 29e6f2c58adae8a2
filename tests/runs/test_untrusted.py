"""Run folders of strangers: settings are bounded, and weights are compared with them before they are read."""

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from textvae.recipes import RECIPES
from textvae.recipes.resolve import resolve
from textvae.runs.files import CONFIG, MODEL
from textvae.runs.find import shipped_models
from textvae.runs.quantize import quantized
from textvae.runs.run import open_run
from textvae.utils.errors import UserError

SHIPPED = shipped_models()["fashion"]


@pytest.fixture
def run(tmp_path) -> Path:
    """A copy of a bundled run, with a flow prior."""
    shutil.copytree(SHIPPED, tmp_path / "run")
    return tmp_path / "run"


def memory() -> int:
    """The most memory that this process has taken, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("model", {"channels": [65536, 65536]}),
        ("model", {"channels": [2**40, 1]}),
        ("model", {"channels": [8] * 1000}),
        ("model", {"channels": []}),
        ("model", {"channels": [16, None]}),
        ("model", {"image_shape": [1, 1024, 1024], "channels": [4] * 10}),
        ("model", {"image_shape": [1, 2**30, 2**30]}),
        ("model", {"image_shape": [1, 29, 29]}),
        pytest.param("model", {"blocks": 256}, marks=pytest.mark.slow),
        ("model", {"blocks": 10**9}),
        ("model", {"blocks": None}),
        ("model", {"contrast": None}),
        ("model", {"contrast": float("nan")}),
        ("model", {"contrast": float("inf")}),
        ("model", {"latent_channels": 0}),
        ("model", {"latent_channels": 65536}),
        ("model", None),
        ("trainer", {"learning_rate": None}),
        ("trainer", {"epochs": 10**30}),
        ("flow", {"model": None}),
        ("flow", {"model": {"prior": {"depth": 10**6}}}),
        ("flow", {"model": {"prior": {"width": 65536, "depth": 200}}}),
        ("flow", {"model": {"prior": {"heads": 7}, "reader": "words"}}),
        ("flow", {"model": {"size": 65536}}),
        ("flow", {"model": {"reader": "taught"}}),
        ("flow", {"stride_epochs": None}),
        ("data", {"name": "x", "contents": {"side": 10**9, "source": "x", "features": False, "image": None,
                                            "text": {"name": "words", "identity": "", "shape": []}}}),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_config_json_asks_for_is_bounded(run, part, values):
    config = json.loads((run / CONFIG).read_text())
    merged = {**config[part], **values} if isinstance(values, dict) else values
    if part == "flow" and isinstance(values.get("model"), dict):
        model = config["flow"]["model"]
        merged = config["flow"] | {
            "model": model | values["model"] | {"prior": model["prior"] | values["model"].get("prior", {})}
        }
    (run / CONFIG).write_text(json.dumps(config | {part: merged}))
    before, started = memory(), time.perf_counter()
    with pytest.raises(UserError):
        open_run(run).load_model()
    assert memory() - before < 300e6
    assert time.perf_counter() - started < 20


def numbers(settings: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each number, or tuple of numbers, of settings, with its path."""
    for field in dataclasses.fields(settings):
        value, here = getattr(settings, field.name), (*path, field.name)
        first = value[0] if isinstance(value, tuple) and value else value
        if dataclasses.is_dataclass(value):
            yield from numbers(value, here)
        elif isinstance(first, int | float) and not isinstance(first, bool):
            yield here, value


MODELS = {type(RECIPES[name]().model).__qualname__: name for name in RECIPES}
"""A recipe for each model family."""


@pytest.mark.parametrize("name", MODELS.values())
def test_every_number_of_a_recipe_has_a_type_and_a_range(name):
    recipe = RECIPES[name]()
    for part in ("model", "trainer", *(["flow"] if recipe.flow else [])):
        for path, value in numbers(getattr(recipe, part)):
            for hostile in (None, -1, float("nan"), float("inf"), 10**400, "7", [[]], {}):
                nested: Any = [hostile] * len(value) if isinstance(value, tuple) else hostile
                for key in reversed(path):
                    nested = {key: nested}
                try:
                    resolve(recipe, overrides={part: nested})
                except UserError:
                    continue
                pytest.fail(f"{part} {nested} was let in")


@pytest.mark.parametrize("change", ["missing", "more", "shape", "type", "nan", "scale"])
def test_weights_are_compared_before_they_are_read(run, change):
    weights = load_file(run / MODEL)
    name = next(name for name in weights if name.endswith("weight"))
    if change == "missing":
        del weights[name]
    elif change == "more":
        weights["bomb"] = torch.zeros(3)
    elif change == "shape":
        weights[name] = torch.zeros(2, 2)
    elif change == "type":
        weights[name] = torch.zeros(weights[name].shape, dtype=torch.float64)
    elif change == "nan":
        weights[name] = torch.full(weights[name].shape, torch.nan)
        weights.pop(f"{name}|scale", None)
    else:
        scale = next(name for name in weights if name.endswith("|scale"))
        weights[scale] = weights[scale][:-1].clone()
    save_file(weights, run / MODEL)
    with pytest.raises(UserError, match="does not hold this model"):
        open_run(run).load_model()


def test_a_pipe_in_the_place_of_a_file_is_refused(run):
    for name in (MODEL, CONFIG):
        (run / name).unlink()
        os.mkfifo(run / name)
        with pytest.raises(UserError):
            open_run(run).load_model()


def test_full_half_and_quantized_weights_fit():
    weights = open_run(SHIPPED).load_model().state_dict()
    assert quantized(weights).keys() == load_file(SHIPPED / MODEL).keys()

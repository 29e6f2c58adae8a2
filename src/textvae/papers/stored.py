"""Stored metrics: the metrics.json of every measured row, from which RESULTS.md is written."""

import json
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from textvae.data.manifest import TextName
from textvae.runs.metrics import SHOWN, numbers
from textvae.text.embedding_length import EmbeddingLength
from textvae.utils.progress import duration

Stored = Mapping[str, Mapping[str, Any]]
"""Contents of metrics files by the name of their row."""

SEEDED = re.compile(r"-seed\d+$")
"""The end of the name of a row that differs from another row in its seed only."""

ENCODED = re.compile(rf"-(?:{'|'.join(get_args(TextName))})(?:-({'|'.join(get_args(EmbeddingLength))}))?$")
"""The end of the name of a prepared set that says how its captions are encoded: "-sentence", "-clip-tokens-sqrt". The
group is the length of the embeddings, if it is named."""


def stored_metrics(folder: Path) -> dict[str, dict[str, Any]]:
    """All metrics files of a folder, by name."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}


def measured(name: str) -> dict[str, float]:
    """The most important numbers of a recipe, as last measured; empty if it has not been measured."""
    file = resources.files("textvae.papers") / "measured" / f"{name}.json"
    if not file.is_file():
        return {}
    return numbers(json.loads(file.read_text(encoding="utf-8")), SHOWN)


def measured_training(name: str) -> str:
    """How long the model of a recipe was trained of which ``measured`` gives the numbers; empty if there is none."""
    file = resources.files("textvae.papers") / "measured" / f"{name}.json"
    metrics = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return training(metrics) if "training" in metrics else ""


def training(metrics: Mapping[str, Any], paper: str = "") -> str:
    """Length and duration of a training; and the length of the paper's, if that is longer.

    Args:
        metrics: of a metrics file with the section "training".
        paper: how long the paper trained; empty: what the file says of it.
    """
    get = getter(metrics)
    images, epochs, longer = get("training.images"), get("training.epochs") or 0, paper or get("training.paper")
    of = f" of {images:,} images" if images else ""
    beside = f" (paper: {longer})" if longer else ""
    of_stages = get("training.stages") or {}
    counted = " + ".join(f"{count:.0f} ({stage})" for stage, count in of_stages.items()) or f"{epochs:.0f}"
    return f"{counted} {'epoch' if counted == '1' else 'epochs'}{of}{beside}, {get('training.seconds') or 0:.0f} s"


def trained_for(metrics: Mapping[str, Any]) -> str:
    """How long a model was trained, in words; empty if the file does not say."""
    seconds = getter(metrics)("training.seconds")
    return duration(seconds) if seconds else ""


def getter(metrics: Mapping[str, Any]) -> Callable[[str], Any]:
    """A function that looks up dotted names such as "reconstruction.mse_sum" in a metrics file; None if absent."""

    def get(name: str) -> Any:
        value: Any = metrics
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    return get


def images_of(metrics: Mapping[str, Any]) -> str:
    """The images that a row was measured on, without the encoding of their captions: "coco-mini-64"."""
    return ENCODED.sub("", str(metrics["protocol"]["data"]))


def seeds_of(stored: Stored, name: str) -> list[str]:
    """The rows of a name: itself, and the same with other seeds."""
    return [row for row in stored if SEEDED.sub("", row) == name]

"""Measured numbers that the project stands by, kept as the metrics.json of the runs that gave them."""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

SHOWN = (
    "reconstruction.mse_sum",
    "reconstruction.ssim",
    "generation.judge_accuracy",
    "generation.frechet.judge",
    "generation.retrieval_precision.samples",
)
"""What the list of recipes shows of a metrics.json."""


def measured(name: str) -> dict[str, float]:
    """The shown numbers of a recipe as last measured; empty where it has not been."""
    file = resources.files("textvae") / "measured" / f"{name}.json"
    if not file.is_file():
        return {}
    return numbers(json.loads(file.read_text(encoding="utf-8")), SHOWN)


def numbers(metrics: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, float]:
    """Numbers by their dotted path; those that are absent are left out."""
    found = {}
    for key in keys:
        value: Any = metrics
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, int | float):
            found[key] = float(value)
    return found

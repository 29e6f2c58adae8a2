"""Measured numbers that the project stands by, kept as the metrics.json of the runs that gave them."""

import json
from importlib import resources

from textvae.runs.metrics import SHOWN, numbers


def measured(name: str) -> dict[str, float]:
    """The shown numbers of a recipe as last measured; empty where it has not been."""
    file = resources.files("textvae.papers") / "measured" / f"{name}.json"
    if not file.is_file():
        return {}
    return numbers(json.loads(file.read_text(encoding="utf-8")), SHOWN)

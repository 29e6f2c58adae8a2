"""metrics.json: measured numbers, how they were measured, and reasons for numbers that are missing."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from textvae.utils.errors import UserError
from textvae.utils.files import write_json


@dataclass(frozen=True)
class Metrics:
    """The result of an evaluation.

    Raises:
        ValueError: the protocol is incomplete, a value is neither a finite number nor a string, a metric is both
            measured and absent, or a reason is empty.
    """

    protocol: dict[str, Any]
    """How the numbers were measured: model, data, split, fingerprints, num_samples, feature networks, seed, ..."""
    sections: dict[str, dict[str, Any]]
    """Finite numbers by section ("reconstruction", "generation", "likelihood", "speed") and name.

    Numbers can be nested by name (a Fréchet distance for each feature network) or in lists (a confusion matrix).
    Strings are allowed beside them.
    """
    absent: dict[str, str] = field(default_factory=dict)
    """Why a metric could not be computed, by dotted name such as "generation.frechet.inception"."""

    def __post_init__(self) -> None:
        """Checks the content."""
        for name in ("model", "data"):
            if not self.protocol.get(name):
                raise ValueError(f"the protocol is incomplete: protocol.{name} is missing")
        for name, leaf in _leaves("protocol", self.protocol):
            if isinstance(leaf, float) and not math.isfinite(leaf):
                raise ValueError(f"{name} is {leaf}, not a finite number")
        for section, values in self.sections.items():
            if section in ("protocol", "absent") or not isinstance(values, Mapping):
                raise ValueError(f"{section} is not a section of measured values")
            for name, leaf in _leaves(section, values):
                if not (isinstance(leaf, str) or _is_number(leaf)):
                    raise ValueError(
                        f"{name} is {leaf!r}, not a finite number; a missing metric belongs to 'absent', with a reason"
                    )
        for name, reason in self.absent.items():
            if not reason.strip():
                raise ValueError(f"{name} is absent without a reason")
            if self.get(name) is not None:
                raise ValueError(f"{name} is both measured and absent")

    def get(self, name: str) -> Any:
        """The value of a dotted name such as "generation.frechet.inception"; None if there is none."""
        return _value(self.sections, name)

    def to_dict(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return {"protocol": self.protocol, **self.sections, "absent": self.absent}

    def write(self, path: Path) -> None:
        """Writes metrics.json, whole or not at all."""
        write_json(path, self.to_dict())

    @classmethod
    def read(cls, path: Path) -> "Metrics":
        """Reads a file that ``write`` wrote.

        Raises:
            UserError: the file can't be read, is not JSON, or does not hold metrics.
        """
        cure = f"measure again with textvae evaluate, which writes {path.name} anew"
        try:
            content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        except OSError as error:
            raise UserError(f"{path} can't be read: {error.strerror or error}", cure) from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} is not JSON: {error}", cure) from None
        if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
            raise UserError(f"{path} does not hold metrics", cure)
        protocol, absent = content.pop("protocol", {}), content.pop("absent", {})
        if not all(isinstance(reason, str) for reason in absent.values()):
            raise UserError(f"{path} has an entry in 'absent' that is not text", cure)
        try:
            return cls(protocol, content, absent)
        except ValueError as error:
            raise UserError(f"{path}: {error}", cure) from None


def table(metrics: Metrics) -> Table:
    """A table for the terminal: all numbers except those in lists, then what is absent and why, then the protocol."""
    # Text objects, not markup: names can contain brackets.
    drawn = Table(title=Text(f"{metrics.protocol['model']} on {metrics.protocol['data']}"), title_justify="left")
    drawn.add_column("metric", overflow="fold")
    drawn.add_column("value", justify="right")
    for section, values in metrics.sections.items():
        for name, leaf in _leaves(section, values):
            if "[" not in name:
                drawn.add_row(Text(name), Text(leaf if isinstance(leaf, str) else _shown(leaf)))
        drawn.add_section()
    for name, reason in metrics.absent.items():
        drawn.add_row(Text(name, style="dim"), Text(f"absent: {reason}", style="dim"))
    drawn.caption = Text("\n".join(f"{name}: {value}" for name, value in metrics.protocol.items()))
    drawn.caption_justify = "left"
    return drawn


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Dotted names (with [index] for lists) and values of everything that is neither a mapping nor a list."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{name}.{key}", item)
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _leaves(f"{name}[{place}]", item)
    else:
        yield name, value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _shown(value: int | float) -> str:
    """Four significant digits, without an exponent for numbers of ordinary size."""
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e7:
        return f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
    return f"{value:.3e}"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


SHOWN = (
    "reconstruction.mse_sum",
    "reconstruction.ssim",
    "generation.judge_accuracy",
    "generation.frechet.judge",
    "generation.retrieval_precision.samples",
    "generation.attribute_accuracy.seen.all",
    "generation.attribute_accuracy.held_out.all",
)
"""The numbers that the list of recipes shows."""


def numbers(metrics: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, float]:
    """Numbers by dotted name; absent ones are left out."""
    values = {key: _value(metrics, key) for key in keys}
    return {key: float(value) for key, value in values.items() if isinstance(value, int | float)}


def _value(sections: Mapping[str, Any], name: str) -> Any:
    """What has this dotted name; None if nothing has."""
    value: Any = sections
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value

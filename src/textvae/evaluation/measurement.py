"""What an evaluator returns: numbers, how they were measured, and reasons for those that are missing."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """The result of one evaluator."""

    numbers: dict[str, Any] = field(default_factory=dict)
    """By name, as in a section of metrics.json."""
    protocol: dict[str, Any] = field(default_factory=dict)
    """Entries for the protocol of metrics.json."""
    absent: dict[str, str] = field(default_factory=dict)
    """Reasons for numbers that could not be measured, by dotted name, such as "generation.clip_score"."""


def merged(measurements: Iterable[Measurement]) -> Measurement:
    """Several measurements as one."""
    total = Measurement()
    for measurement in measurements:
        total.numbers.update(measurement.numbers)
        total.protocol.update(measurement.protocol)
        total.absent.update(measurement.absent)
    return total

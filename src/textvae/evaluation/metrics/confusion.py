"""What a judge saw in generated images, against what their captions asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Int64
from torch import Tensor


@dataclass(frozen=True)
class JudgeReport:
    """Plain numbers, ready for metrics.json."""

    accuracy: float
    """Share of images in which the judge saw what was asked for, 0 to 1."""
    per_class: dict[str, float]
    """The same by class asked for; a class that was never asked for is left out."""
    confusion: list[list[int]]
    """Images by class asked for (row) and class seen (column)."""
    count: int
    """Images judged."""


def judge_report(
    predicted: Int64[Tensor, "n"], expected: Int64[Tensor, "n"], class_names: Sequence[str]
) -> JudgeReport:
    """Compares the judge's classes with those asked for.

    Raises:
        ValueError: no images, or a class without a name.
    """
    classes = len(class_names)
    if not len(expected):
        raise ValueError("there is nothing to judge")
    for labels in (predicted, expected):
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"classes must lie in 0..{classes - 1}")
    confusion = (expected * classes + predicted).bincount(minlength=classes**2).view(classes, classes)
    right, asked = confusion.diagonal(), confusion.sum(1)
    per_class = {name: int(r) / int(a) for name, r, a in zip(class_names, right, asked, strict=True) if a}
    return JudgeReport(int(right.sum()) / len(expected), per_class, confusion.tolist(), len(expected))

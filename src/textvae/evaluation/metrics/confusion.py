"""Accuracy and confusion matrix of a classifier against the classes that captions ask for."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Int64
from torch import Tensor


@dataclass(frozen=True)
class JudgeReport:
    """The result of ``judge_report``: plain numbers, as in metrics.json."""

    accuracy: float
    """Fraction of images that the judge assigns to the expected class."""
    per_class: dict[str, float]
    """The same for each expected class; classes without images are left out."""
    confusion: list[list[int]]
    """Number of images by expected class (row) and predicted class (column)."""
    count: int
    """Number of images."""


def judge_report(
    predicted: Int64[Tensor, "n"], expected: Int64[Tensor, "n"], class_names: Sequence[str]
) -> JudgeReport:
    """Compares predicted with expected classes.

    Raises:
        ValueError: there are no images, or a class has no name.
    """
    classes = len(class_names)
    if not len(expected):
        raise ValueError("there are no images to judge")
    for labels in (predicted, expected):
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"classes must lie in 0..{classes - 1}")
    confusion = (expected * classes + predicted).bincount(minlength=classes**2).view(classes, classes)
    right, asked = confusion.diagonal(), confusion.sum(1)
    per_class = {name: int(r) / int(a) for name, r, a in zip(class_names, right, asked, strict=True) if a}
    return JudgeReport(int(right.sum()) / len(expected), per_class, confusion.tolist(), len(expected))

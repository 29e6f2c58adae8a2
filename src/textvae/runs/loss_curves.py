"""The loss of a training over its epochs, as a figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from textvae.runs.files import HISTORY
from textvae.runs.run import read_history
from textvae.utils.errors import UserError
from textvae.utils.figures import require_matplotlib, save_figure

Curve = list[tuple[float, float]]
"""Epochs and values."""
Row = Mapping[str, Any]
"""Of history.jsonl."""


def plot_losses(run: Path, file: Path) -> dict[str, list[str]]:
    """Draws history.jsonl: a row for each stage, a panel for each loss term; validation is dashed.

    Args:
        run: the run folder.
        file: image file to write (.png, .jpg or .webp).

    Returns:
        The terms of each stage.

    Raises:
        UserError: matplotlib is not installed, or the history is missing, empty or unreadable.
    """
    require_matplotlib()
    rows = read_history(run)
    if not rows:
        raise UserError(f"{run / HISTORY} is empty", "train for at least one epoch first")
    from matplotlib.figure import Figure

    stages = {name: loss_curves(own) for name, own in stages_in(rows).items()}
    columns = max(len(terms) for terms in stages.values())
    figure = Figure(figsize=(3.2 * columns, 2.6 * len(stages)), dpi=100, layout="constrained")
    panels = figure.subplots(len(stages), columns, squeeze=False)
    for line, (stage, terms) in zip(panels, stages.items(), strict=True):
        for axes in line[len(terms) :]:
            axes.set_visible(False)
        for axes, (term, (training, validation)) in zip(line, terms.items(), strict=False):
            axes.set_title(f"{stage}: {term}", fontsize=10)
            axes.set_xlabel("epoch")
            axes.grid(color="0.9")
            axes.spines[["top", "right"]].set_visible(False)
            axes.plot(*zip(*training, strict=True), linewidth=1.4, label="training")
            if validation:
                axes.plot(*zip(*validation, strict=True), linewidth=1.4, linestyle="--", label="validation")
                axes.legend(frameon=False, fontsize=8)
    save_figure(figure, file, {"run": run.name})
    return {stage: list(terms) for stage, terms in stages.items()}


def stages_in(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each stage, in order."""
    stages: dict[str, list[Row]] = {}
    for row in rows:
        stages.setdefault(row.get("stage", "model"), []).append(row)
    return stages


def loss_curves(rows: Sequence[Row]) -> dict[str, tuple[Curve, Curve]]:
    """Training and validation curve of each loss term over epochs; rows within an epoch are at fractions of it."""
    per_epoch = max(1.0, *(row["step"] / row["epoch"] for row in rows if row.get("epoch"))) if rows else 1.0
    curves: dict[str, tuple[Curve, Curve]] = {}
    for row in rows:
        epoch = row["step"] / per_epoch
        for term, value in row["loss"].items():
            curves.setdefault(term, ([], []))[0].append((epoch, value))
        for term, value in row.get("validation", {}).items():
            name = "total" if term == "loss" else term
            if name in curves:
                curves[name][1].append((epoch, value))
    return curves

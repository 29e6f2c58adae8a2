"""Reproduces the tables and figures of a paper with one command: trains each row, measures it, writes RESULTS.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from textvae import data
from textvae.evaluation.curves import sampling_curves
from textvae.evaluation.evaluate import evaluate_run, nets_for
from textvae.evaluation.evaluators.caption_accuracy import accuracy_by_part, held_out_splits
from textvae.evaluation.judges import ClassifierJudge, classifier_judge
from textvae.experiment.callbacks import Callback
from textvae.experiment.resume import is_trained
from textvae.experiment.stages import Stage
from textvae.experiment.train import train_recipe
from textvae.papers import figures
from textvae.papers.results import Places, section, write_results
from textvae.papers.rows import Row, rows_named
from textvae.papers.stored import SEEDED, stored_metrics
from textvae.recipes.recipe import Recipe
from textvae.runs.card import write_card
from textvae.runs.files import CONFIG, METRICS
from textvae.runs.metrics import Metrics
from textvae.runs.run import Run, open_run, read_config, read_history
from textvae.runs.snapshots import has_snapshot, snapshot_folder
from textvae.utils.device import choose_execution
from textvae.utils.errors import UserError
from textvae.utils.figures import require_matplotlib
from textvae.utils.files import write_text
from textvae.utils.progress import say

EPOCH_SAMPLES = 500
"""Images generated for each kind of captions after each epoch."""


def reproduce_paper(
    paper: str,
    runs: Path,
    places: Places,
    num_samples: int = 10_000,
    only: Sequence[str] = (),
    trained_only: bool = False,
) -> dict[str, Any]:
    """Trains and measures the rows of a paper, draws its figures, and writes RESULTS.md.

    Rows that are already trained or measured are not done again. RESULTS.md is written from all stored metrics, also
    those of other papers.

    Args:
        paper: "a", "b", "c" or "d"; or "flow", for models that go beyond the papers.
        runs: folder of the run folders.
        places: where to write metrics, figures and RESULTS.md.
        num_samples: test images, and generated images, of each measurement; fewer if the test set has fewer.
        only: rows by name; empty: all rows.
        trained_only: train nothing: measure the rows that are trained, and of rows whose training goes on or was
            interrupted the models that they kept on the way.

    Returns:
        The measured numbers by row, and the paper's section of RESULTS.md.

    Raises:
        UserError: there is no such row, matplotlib is not installed, photographs are not prepared, or ``trained_only``
            finds nothing to measure.
    """
    return reproduce_rows(paper, rows_named(paper, only), runs, places, num_samples, trained_only=trained_only)


def reproduce_rows(
    paper: str,
    rows: Sequence[Row],
    runs: Path,
    places: Places,
    num_samples: int,
    clip: str = "",
    trained_only: bool = False,
) -> dict[str, Any]:
    """``reproduce_paper`` for given rows of a paper.

    Args:
        paper: as there.
        rows: the rows; those with ``keep_epochs`` give several.
        runs: as there.
        places: as there.
        num_samples: as there.
        clip: the CLIP model that scores images; see ``clip_judge``.
        trained_only: as there.

    Raises:
        UserError: matplotlib is not installed, photographs are not prepared, or ``trained_only`` finds nothing to
            measure.
    """
    # Before hours of training, not after them.
    require_matplotlib()
    if not trained_only:
        _check_prepared(paper, rows)
    measured: dict[str, Run] = {}
    for row in rows:
        for name, folder in _trained(row, runs, trained_only).items():
            measured[name] = run = _measured(row, folder, num_samples, clip)
            write_text(places.metrics / f"{name}.json", (run.path / METRICS).read_text(encoding="utf-8"))
    if not measured:
        raise UserError(
            f"{runs} has none of these rows, nor models that they kept", "leave out --trained-only to train them"
        )
    stored = stored_metrics(places.metrics)
    # Images of one seed are enough.
    figures.draw(paper, {name: run for name, run in measured.items() if not SEEDED.search(name)}, places.figures)
    figures.draw_curves(stored, places.figures)
    write_results(places)
    return {
        "rows": {name: stored[name] for name in measured},
        "report": str(places.report),
        "table": section(paper, stored),
    }


def _check_prepared(paper: str, rows: Sequence[Row]) -> None:
    """Checks that the photographs of all rows are prepared.

    Raises:
        UserError: those of a row are not.
    """
    for row in rows:
        try:
            data.source(row.settings().data)
        except UserError as error:
            cure = f"{error.cure}; textvae reproduce {paper} --dry-run prints all commands that are needed"
            raise UserError(f"{row.name}: {error.cause}", cure) from None


def _trained(row: Row, runs: Path, trained_only: bool) -> dict[str, Path]:
    """The run folders of a row by their names, trained if they were not yet: its own, and those that it kept.

    With ``trained_only``, those that there are.
    """
    say(f"== {row.name}")
    execution, recipe, out = choose_execution(precision=row.precision), row.settings(), runs / row.name
    complete = True
    if trained_only:
        complete = _is_trained(recipe, out)
    elif not train_recipe(recipe, out, execution, callbacks=_callbacks(recipe), keep_epochs=row.keep_epochs):
        raise KeyboardInterrupt
    kept = [epoch for epoch in row.keep_epochs if has_snapshot(out, epoch)]
    if not complete:
        say(f"{out} is not trained to its end: {f'epochs {kept} are measured' if kept else 'it is left out'}")
    snapshots = {f"{row.name}-epochs-{epoch}": snapshot_folder(out, epoch) for epoch in kept}
    return ({row.name: out} if complete else {}) | snapshots


def _is_trained(recipe: Recipe, out: Path) -> bool:
    """Whether a row is trained to its end, with its own settings."""
    if not (out / CONFIG).is_file():
        return False
    found = open_run(out).recipe
    if (found.model, found.trainer, found.data) != (recipe.model, recipe.trainer, recipe.data):
        raise UserError(f"{out} was trained with other settings than the row", "give another --runs")
    return is_trained(out, recipe)


def _measured(row: Row, folder: Path, num_samples: int, clip: str) -> Run:
    """The run of a folder, measured if it was not yet."""
    run = open_run(folder)
    images = data.load(run.recipe.data, "test")
    samples, nets = min(num_samples, len(images)), nets_for(images) if row.nets is None else row.nets
    if not _is_measured(run, samples, nets):
        device = choose_execution(precision=row.precision).device
        metrics = evaluate_run(run, device, samples, row.importance_samples, seed=0, nets=nets, clip=clip)
        sections = metrics.sections | _training(run, row) | sampling_curves(run, device)
        Metrics(metrics.protocol, sections, metrics.absent).write(folder / METRICS)
        write_card(run)
    return run


class JudgeAccuracy(Callback):
    """Judge accuracy after each epoch (paper d, figure 3)."""

    def __init__(self, data_name: str, judge: ClassifierJudge) -> None:
        self.data_name = data_name
        self.judge = judge

    def on_epoch(self, stage: Stage, row: Mapping[str, Any]) -> Mapping[str, float] | None:
        """The accuracy for each kind of captions; None while there is no model that generates images."""
        generator = stage.text_to_image()
        if generator is None:
            return None
        return accuracy_by_part(generator, self.data_name, self.judge, EPOCH_SAMPLES, seed=0)


def _callbacks(recipe: Recipe) -> list[Callback]:
    """Judge accuracy during training, if the data has a judge and several kinds of captions."""
    judge = classifier_judge(recipe.data, torch.device("cpu"))
    if not isinstance(judge, ClassifierJudge) or not held_out_splits(recipe.data):
        return []
    return [JudgeAccuracy(recipe.data, judge)]


def _is_measured(run: Run, num_samples: int, nets: Sequence[str]) -> bool:
    """Whether these weights have been measured with that many samples, by these networks where they are to be had."""
    if not (run.path / METRICS).exists():
        return False
    metrics = Metrics.read(run.path / METRICS)
    protocol = metrics.protocol
    asked = {*protocol.get("feature_nets", ()), *(name.removeprefix("generation.frechet.") for name in metrics.absent)}
    same = (protocol.get("weights"), protocol.get("num_samples")) == (run.weights_id, num_samples)
    return same and asked.issuperset(nets)


def _training(run: Run, row: Row) -> dict[str, dict[str, Any]]:
    """Duration of the training, number of training images, epochs of the last stage and of each if there are several,
    and the lowest validation loss if there was validation.
    """
    history, execution = read_history(run.path), read_config(run.path)["execution"]
    validated = [row["validation"]["loss"] for row in history if "validation" in row]
    best = {"best_validation_loss": min(validated)} if validated else {}
    trained_on = len(data.load(run.recipe.data, "train"))
    if "val" not in data.source(run.recipe.data).splits:
        trained_on -= run.recipe.trainer.validation_images
    facts = {"seconds": history[-1]["seconds"], "epochs": history[-1]["epoch"], "images": trained_on, **best}
    stages = {row["stage"]: row["epoch"] for row in history}
    if len(stages) > 1:
        facts["stages"] = stages
    return {"training": facts | ({"paper": row.paper} if row.paper else {}) | execution}

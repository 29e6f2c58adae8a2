"""A paper's tables from one command: train each row, measure it, and write published | measured side by side."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from textvae import data
from textvae.evaluation.curves import sampling_curves
from textvae.evaluation.evaluate import evaluate_run
from textvae.evaluation.evaluators.caption_accuracy import accuracy_by_part, held_out_splits
from textvae.evaluation.judges import ClassifierJudge, classifier_judge
from textvae.experiment.callbacks import Callback
from textvae.experiment.stages import Stage
from textvae.experiment.train import train_recipe
from textvae.papers import figures
from textvae.papers import tables as report
from textvae.papers.findings import SEEDED
from textvae.recipes.recipe import Recipe
from textvae.recipes.resolve import resolve
from textvae.runs.card import write_card
from textvae.runs.metrics import Metrics
from textvae.runs.run import METRICS, MODEL, Run, open_run, read_config, read_history
from textvae.utils.device import Precision, choose_execution
from textvae.utils.errors import UserError
from textvae.utils.files import sha256_of, write_text
from textvae.utils.progress import say

WATCHED_SAMPLES = 500
"""Pictures for each kind of captions, after each epoch."""


@dataclass(frozen=True)
class Row:
    """One row of a table: a recipe, perhaps with other settings."""

    name: str
    """Of the run folder and of its numbers."""
    recipe: str
    model: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the recipe's."""
    trainer: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the training that differ."""
    precision: Precision = "fp32"
    data: str = ""
    """A prepared set other than the recipe's."""
    flow: bool = False
    """Whether a recipe that has no flow prior gets one."""
    preset: str = ""
    """Of the recipe, by name."""
    nets: tuple[str, ...] | None = None
    """Whose features serve its distances, besides the judge's; None: all there are."""
    importance_samples: int = 64
    """Draws of z an image for the likelihood bounds."""
    paper: str = ""
    """How long the paper trained, where this row does less: it stands beside the row's numbers."""

    def settings(self) -> Recipe:
        """The recipe as this row trains it."""
        return resolve(
            self.recipe,
            self.preset or None,
            self.data or None,
            {"model": self.model, "trainer": self.trainer},
            "flow" if self.flow else None,
            where=f"{self.name}: ",
        )


def _digits(name: str, recipe: str = "", **model: Any) -> Row:
    """A row that the judge of digits measures: nets of photographs see little in them and cost most time."""
    return Row(name, recipe or name, model, nets=())


PASSES = 10
"""Over coco-mini's 2,145 images, of papers a and b at 64 and 128 pixels: the same number of images for all, one to four
minutes a row on one core. Larger pictures and paper c's model cost 10 to 50 times as much an image, and get less."""
_PAPER_A = "20 (section 4.2) to 300 (table 3) epochs of 11,829 images, at 224 pixels"
_PAPER_B = "a fifth of MS-COCO, epochs untold"
_PAPER_C = "25 epochs of 3,400 images, for 128 pixels up to 20,000"


def _photographs(
    name: str, paper: str, epochs: int, recipe: str = "", model: Mapping[str, Any] | None = None, draws: int = 8
) -> Row:
    """A row on photographs, cut to ``epochs``; its convolutions are large enough for bf16 to pay.

    That is 1.5 to 2.6 times fp32 where AVX512-bf16 is.
    """
    trainer = {"epochs": epochs}
    return Row(name, recipe or name, model or {}, trainer, "bf16", importance_samples=draws, paper=paper)


def _dual(name: str, epochs: int) -> Row:
    """A row of paper c: a decoded picture costs 40 times one of paper b, so its bounds have a draw an image."""
    return _photographs(name, _PAPER_C, epochs, draws=1)


def _seeds(row: Row, *seeds: int) -> tuple[Row, ...]:
    """The row, and the same with other seeds, whose spread stands in the report."""
    others = [
        dataclasses.replace(row, name=f"{row.name}-seed{seed}", trainer={**row.trainer, "seed": seed}) for seed in seeds
    ]
    return row, *others


PAPERS: Mapping[str, tuple[Row, ...]] = {
    "a": (
        Row("onehot-dense-mnist", "onehot-dense-mnist"),
        Row("onehot-dense-fashion", "onehot-dense-fashion"),
        # Where the condition enters, and table 4, at 64 pixels; the first is latent dimension 128.
        *_seeds(_photographs("clip-grid-64", _PAPER_A, PASSES), 1, 2),
        _photographs("clip-mid-64", _PAPER_A, PASSES),
        *_seeds(_photographs("clip-grid-64-latent-1024", _PAPER_A, PASSES, "clip-grid-64", {"latent_dim": 1024}), 1, 2),
        *(
            _photographs(f"clip-grid-64-latent-{n}", _PAPER_A, PASSES, "clip-grid-64", {"latent_dim": n})
            for n in (256, 512)
        ),
        # A tenth of table 3's epochs; 100 of them are the first row.
        *(
            _photographs(f"clip-grid-64-epochs-{n}", f"{10 * n} epochs of 11,829 images", n, "clip-grid-64")
            for n in (5, 30)
        ),
        _photographs("clip-grid-224", _PAPER_A, 3),
    ),
    "b": (
        Row("label-dense", "label-dense"),
        Row("label-conv", "label-conv"),
        # Not in the paper: the other reading of its equation 1.
        Row("label-dense-bernoulli", "label-dense", {"likelihood": "bernoulli"}),
        Row("label-conv-bernoulli", "label-conv", {"likelihood": "bernoulli"}),
        *(
            row
            for how in ("add", "concat")
            for row in _seeds(_photographs(f"clip-latent-64-{how}", _PAPER_B, PASSES), 1, 2)
        ),
        *(
            _photographs(f"clip-latent-{size}-{how}", _PAPER_B, epochs, draws=1)
            for size, epochs in ((128, PASSES), (256, 4))
            for how in ("add", "concat")
        ),
    ),
    "c": (
        # Figure 2, in its order; then the gap between images and sentences, bridged in two ways.
        *_seeds(_dual("clip-dual-64-image-dropout", 2), 1, 2),
        *_seeds(_dual("clip-dual-64-text-dropout", 2), 1, 2),
        _dual("clip-dual-128-image-dropout", 1),
        _dual("clip-dual-128-text-dropout", 1),
        _dual("clip-dual-128-image", 1),
        _dual("clip-dual-64-image-shifted", 2),
        _dual("clip-dual-64-image-noised", 2),
    ),
    "d": (
        *(
            _digits(f"caption-{kind}-{family}")
            for family in ("label", "sentence", "logic", "arithmetic")
            for kind in ("rnn", "prior")
        ),
        # The authors' program, where it differs from their text.
        *(_digits(f"caption-rnn-{family}-code") for family in ("label", "sentence", "logic", "arithmetic")),
        # Section 3.2's other networks, the other covariance of the authors' code, and the future work of section 5.
        _digits("caption-rnn-arithmetic-elman", "caption-rnn-arithmetic", cell="rnn"),
        _digits("caption-rnn-arithmetic-lstm", "caption-rnn-arithmetic", cell="lstm"),
        _digits("caption-rnn-arithmetic-bidirectional", "caption-rnn-arithmetic", bidirectional=True),
        _digits("caption-rnn-arithmetic-correlated", "caption-rnn-arithmetic", correlated=True),
        _digits("caption-rnn-arithmetic-learned", "caption-rnn-arithmetic", learned_embeddings=True),
        # Five times as slow as the others: half of the passes that those stop after, and fewer draws.
        Row(
            "caption-rnn-arithmetic-deconv",
            "caption-rnn-arithmetic",
            {"decoder": "deconv"},
            {"epochs": 20},
            nets=(),
            importance_samples=8,
        ),
        _digits("caption-rnn-arithmetic-attention", "caption-rnn-arithmetic", attention=True),
        # What the dial is worth.
        _digits("caption-prior-arithmetic-gru", "caption-prior-arithmetic", reader="gru"),
        _digits("caption-slots-scenes"),
    ),
    "flow": (
        Row("latent-flow-fashion", "latent-flow-fashion", precision="bf16"),
        Row("latent-flow-fashion-tiny", "latent-flow-fashion", precision="bf16", preset="tiny"),
        Row("latent-flow-digits", "latent-flow-digits", precision="bf16", nets=()),
        # The papers' models, nothing changed but what they are sampled from.
        Row("label-dense-flow", "label-dense", flow=True),
        Row("label-conv-flow", "label-conv", flow=True),
        Row("caption-prior-arithmetic-flow", "caption-prior-arithmetic", flow=True, nets=()),
        *(
            Row(f"latent-flow-{source}", f"latent-flow-{source}", precision="bf16")
            for source in ("flowers", "products", "coco")
        ),
        # What they are measured against: the papers' models on the same photographs.
        *(
            dataclasses.replace(row, name=f"{source}-{row.name}", data=f"{source}-64-sentence")
            for source, epochs, dual_epochs in (("flowers102", PASSES, 2), ("products", 3, 1))
            for row in (
                _photographs("clip-grid-64", _PAPER_A, epochs),
                _photographs("clip-latent-64-add", _PAPER_B, epochs),
                _photographs("clip-latent-64-concat", _PAPER_B, epochs),
                _dual("clip-dual-64-text-dropout", dual_epochs),
            )
        ),
    ),
}


@dataclass(frozen=True)
class Places:
    """Where results go."""

    metrics: Path
    figures: Path
    report: Path

    @classmethod
    def under(cls, folder: Path) -> "Places":
        """A folder of one's own."""
        return cls(folder / "metrics", folder / "figures", folder / "RESULTS.md")

    @classmethod
    def of_repository(cls, root: Path) -> "Places":
        """A clone of textvae: the numbers it ships, the pictures of its docs, its RESULTS.md."""
        return cls(root / "src" / "textvae" / "papers" / "measured", root / "docs" / "figures", root / "RESULTS.md")


def reproduce_paper(
    paper: str, runs: Path, places: Places, num_samples: int = 10_000, only: Sequence[str] = ()
) -> dict[str, Any]:
    """Trains and measures the rows of a paper that are not yet, draws its figures, and writes the report.

    The report is written from all stored metrics, of other papers too.

    Args:
        paper: "a", "b", "c" or "d"; or "flow", for what goes past them.
        runs: folder of the run folders.
        places: where numbers, figures and report go.
        num_samples: test images, and samples, of each measurement; all of them where the test set has fewer.
        only: rows by name; empty does them all.

    Returns:
        The measured numbers by row, and the paper's part of the report.

    Raises:
        UserError: there is no such row.
    """
    rows = {row.name: row for row in PAPERS[paper]}
    if unknown := [name for name in only if name not in rows]:
        raise UserError(f"paper {paper} has no row {unknown[0]!r}", f"its rows: {', '.join(rows)}")
    measured: dict[str, Run] = {}
    for row in [rows[name] for name in only] or rows.values():
        say(f"== {row.name}")
        execution = choose_execution(precision=row.precision)
        out = runs / row.name
        if not train_recipe(row.settings(), out, execution, callbacks=_callbacks(row.settings())):
            raise KeyboardInterrupt
        run = open_run(out)
        samples = min(num_samples, len(data.load(run.recipe.data, "test")))
        if not _is_measured(run, samples):
            metrics = evaluate_run(run, execution.device, samples, row.importance_samples, seed=0, nets=row.nets)
            sections = metrics.sections | _training(run, row) | sampling_curves(run, execution.device)
            Metrics(metrics.protocol, sections, metrics.absent).write(out / METRICS)
            write_card(run)
        write_text(places.metrics / f"{row.name}.json", (out / METRICS).read_text(encoding="utf-8"))
        measured[row.name] = run
    # Pictures of one seed are enough.
    pictured = {name: run for name, run in measured.items() if not SEEDED.search(name)}
    stored = report.stored_metrics(places.metrics)
    figures.draw(paper, pictured, places.figures, stored)
    write_text(places.report, report.whole(stored, places.figures, places.report.parent))
    return {
        "rows": {name: stored[name] for name in measured},
        "report": str(places.report),
        "table": report.section(paper, stored),
    }


class JudgeAccuracy(Callback):
    """Caption accuracy after each epoch (paper d, figure 3)."""

    def __init__(self, data_name: str, judge: ClassifierJudge) -> None:
        self.data_name = data_name
        self.judge = judge

    def on_epoch(self, stage: Stage, row: Mapping[str, Any]) -> Mapping[str, float] | None:
        """Judge accuracy for each kind of captions."""
        generator = stage.text_to_image()
        if generator is None:
            return None
        return accuracy_by_part(generator, self.data_name, self.judge, WATCHED_SAMPLES, seed=0)


def _callbacks(recipe: Recipe) -> list[Callback]:
    """Judge accuracy during training, where the data has several kinds of captions and a judge."""
    judge = classifier_judge(recipe.data, torch.device("cpu"))
    if not isinstance(judge, ClassifierJudge) or not held_out_splits(recipe.data):
        return []
    return [JudgeAccuracy(recipe.data, judge)]


def _is_measured(run: Run, num_samples: int) -> bool:
    if not (run.path / METRICS).exists():
        return False
    protocol = Metrics.read(run.path / METRICS).protocol
    return (protocol.get("weights"), protocol.get("num_samples")) == (
        sha256_of(run.path / MODEL)[:16],
        num_samples,
    )


def _training(run: Run, row: Row) -> dict[str, dict[str, Any]]:
    """How long the training took, on what, and the best loss on held-out images where there were any."""
    history, execution = read_history(run.path), read_config(run.path)["execution"]
    validated = [row["validation"]["loss"] for row in history if "validation" in row]
    best = {"best_validation_loss": min(validated)} if validated else {}
    trained_on = len(data.load(run.recipe.data, "train"))
    if "val" not in data.source(run.recipe.data).splits:
        trained_on -= run.recipe.trainer.validation_images
    facts = {"seconds": history[-1]["seconds"], "epochs": history[-1]["epoch"], "images": trained_on, **best}
    return {"training": facts | ({"paper": row.paper} if row.paper else {}) | execution}

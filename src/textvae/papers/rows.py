"""The rows of RESULTS.md: which recipes with which settings reproduce the tables of which paper."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from textvae.recipes.recipe import Recipe
from textvae.recipes.resolve import resolve
from textvae.utils.device import Precision
from textvae.utils.errors import UserError


@dataclass(frozen=True)
class Row:
    """A row of a table: a recipe, possibly with other settings."""

    name: str
    """Name of the run folder and of the metrics file."""
    recipe: str
    model: Mapping[str, Any] = field(default_factory=dict)
    """Model settings that differ from the recipe's."""
    trainer: Mapping[str, Any] = field(default_factory=dict)
    """Training settings that differ from the recipe's."""
    precision: Precision = "fp32"
    data: str = ""
    """Name of a data set other than the recipe's."""
    flow: bool = False
    """Whether to fit a flow prior to a recipe that has none."""
    preset: str = ""
    """Name of a preset of the recipe."""
    nets: tuple[str, ...] | None = None
    """Feature networks for the distances, besides the judge's; None: the default ones."""
    importance_samples: int = 64
    """Latents drawn per image for the likelihood bounds."""
    paper: str = ""
    """How long the paper trained, where this row trains for less or on other images; shown with its numbers."""
    keep_epochs: tuple[int, ...] = ()
    """Earlier epochs whose models are kept and measured as rows NAME-epochs-N."""

    def settings(self) -> Recipe:
        """The recipe with the settings of this row."""
        return resolve(
            self.recipe,
            self.preset or None,
            self.data or None,
            {"model": self.model, "trainer": self.trainer},
            "flow" if self.flow else None,
            where=f"{self.name}: ",
        )


def _digits(name: str, recipe: str = "", **model: Any) -> Row:
    """A row of digits, measured in the judge's features only: networks trained on photographs are slow and less apt."""
    return Row(name, recipe or name, model, nets=())


PASSES = 10
"""Epochs over the 2,145 images of coco-mini for paper a at 64 pixels: equal for all rows, one to four minutes per row.
Larger images and the model of paper c cost 10 to 50 times as much, and get fewer."""
_PAPER_A = "20 (section 4.2) to 300 (table 3) epochs of 11,829 images, at 224 pixels"
_PAPER_B = "a fifth of MS-COCO, epochs not stated"
_PAPER_C = "25 epochs of 3,400 images, at 128 pixels of up to 20,000"


def _photographs(
    name: str, paper: str, epochs: int = 0, recipe: str = "", model: Mapping[str, Any] | None = None, draws: int = 8
) -> Row:
    """A row on photographs, with ``epochs`` in the place of the recipe's, unless 0.

    It is trained in bf16 where the processor multiplies it: 1.5 to 2.6 times as fast as fp32.
    """
    trainer = {"epochs": epochs} if epochs else {}
    return Row(name, recipe or name, model or {}, trainer, "auto", importance_samples=draws, paper=paper)


def _dual(name: str, epochs: int) -> Row:
    """A row of paper c. Decoding costs 40 times as much as in paper b, so its bounds use one latent per image."""
    return _photographs(name, _PAPER_C, epochs, draws=1)


def _scenes(name: str, model: Mapping[str, Any] | None = None) -> Row:
    """A row of paper a on about as many images as the paper had, for the first 50 of its 300 epochs."""
    row = _photographs(f"clip-grid-64-scenes-{name}", _PAPER_A, 50, "clip-grid-64", model)
    return dataclasses.replace(row, data="scenes-64-sentence")


def _rivals(grid: int, latent: int, dual: int) -> tuple[Row, ...]:
    """The papers' models of photographs, with these epochs for the models of papers a, b and c."""
    return (
        _photographs("clip-grid-64", _PAPER_A, grid),
        _photographs("clip-latent-64-add", _PAPER_B, latent),
        _photographs("clip-latent-64-concat", _PAPER_B, latent),
        _dual("clip-dual-64-text-dropout", dual),
    )


def _long(row: Row) -> Row:
    """A row with which a model of ours is compared.

    It has the epochs of its paper, or as many as fit into the minutes of our model, whichever is more. The latter are
    computed from the speed of the fastest measured row of its kind, so that none falls short. The models after an
    eighth, a quarter and half of them are kept, and can be measured while the training goes on.
    """
    epochs = int(row.trainer["epochs"])
    return dataclasses.replace(row, name=f"{row.name}-long", keep_epochs=(epochs // 8, epochs // 4, epochs // 2))


def _nature(embedding: str, ending: str = "", size: int = 64) -> Row:
    """Paper c's model as its authors' program has it, on about as many pictures of nature as the paper had of cows.

    The loss of their notebooks is flat after eight epochs.
    """
    row = _dual(f"clip-dual-{size}-{embedding}-code", 8)
    return dataclasses.replace(row, name=f"{row.name}-nature{ending}", data=f"scenes-nature-{size}-pair{ending}")


def _seeds(row: Row, *seeds: int) -> tuple[Row, ...]:
    """The row, and the same with other seeds, to report the spread over seeds."""
    others = [
        dataclasses.replace(row, name=f"{row.name}-seed{seed}", trainer={**row.trainer, "seed": seed}) for seed in seeds
    ]
    return row, *others


PAPERS: Mapping[str, tuple[Row, ...]] = {
    "a": (
        Row("onehot-dense-mnist", "onehot-dense-mnist"),
        Row("onehot-dense-fashion", "onehot-dense-fashion"),
        # The layer where the condition enters, and table 4, at 64 pixels. The first row has latent dimension 128.
        *_seeds(_photographs("clip-grid-64", _PAPER_A, PASSES), 1, 2),
        *_seeds(_photographs("clip-mid-64", _PAPER_A, PASSES), 1, 2),
        *_seeds(_photographs("clip-grid-64-latent-1024", _PAPER_A, PASSES, "clip-grid-64", {"latent_dim": 1024}), 1, 2),
        *(
            _photographs(f"clip-grid-64-latent-{n}", _PAPER_A, PASSES, "clip-grid-64", {"latent_dim": n})
            for n in (256, 512)
        ),
        # The deeper encoder and the attention that section 4.2 mentions.
        *_seeds(_photographs("clip-grid-64-deeper", _PAPER_A, PASSES, "clip-grid-64", {"extra_convolutions": 1}), 1, 2),
        *_seeds(_photographs("clip-grid-64-attention", _PAPER_A, PASSES, "clip-grid-64", {"attention": True}), 1, 2),
        # A tenth of the epochs of table 3; the first row stands for its 100 epochs.
        *(
            _photographs(f"clip-grid-64-epochs-{n}", f"{10 * n} epochs of 11,829 images", n, "clip-grid-64")
            for n in (5, 30)
        ),
        _photographs("clip-grid-224", _PAPER_A, 3),
        # Table 3 at its own epochs: one training, whose models are kept on the way.
        Row(
            "clip-grid-64-scenes",
            "clip-grid-64",
            trainer={"epochs": 300},
            data="scenes-64-sentence",
            importance_samples=8,
            paper="300 epochs of 11,829 images, at 224 pixels",
            keep_epochs=(50, 100, 150, 200, 250),
        ),
        # Table 4, and the deeper encoder and the attention, on as many images as the paper's.
        *_seeds(_scenes("latent-128", {"latent_dim": 128}), 1, 2),
        *_seeds(_scenes("latent-1024", {"latent_dim": 1024}), 1, 2),
        *(_scenes(f"latent-{n}", {"latent_dim": n}) for n in (256, 512)),
        _scenes("deeper", {"extra_convolutions": 1}),
        _scenes("attention", {"attention": True}),
        # Embeddings of sentences as long as those that a latent of their dimension would have; the other rows: 1.
        *_seeds(
            dataclasses.replace(
                _photographs("clip-grid-64-sqrt", _PAPER_A, PASSES, "clip-grid-64"), data="coco-mini-64-sentence-sqrt"
            ),
            1,
            2,
        ),
    ),
    "b": (
        *_seeds(Row("label-dense", "label-dense"), 1),
        *_seeds(Row("label-conv", "label-conv"), 1),
        # Not in the paper: the other interpretation of its equation 1.
        Row("label-dense-bernoulli", "label-dense", {"likelihood": "bernoulli"}),
        Row("label-conv-bernoulli", "label-conv", {"likelihood": "bernoulli"}),
        *(row for how in ("add", "concat") for row in _seeds(_photographs(f"clip-latent-64-{how}", _PAPER_B), 1, 2)),
        *(
            row
            for size in (128, 256)
            for how in ("add", "concat")
            for row in _seeds(_photographs(f"clip-latent-{size}-{how}", _PAPER_B, draws=1), 1)
        ),
    ),
    "c": (
        # Figure 2, in its order; then three ways to bridge the gap between image and sentence embeddings.
        *_seeds(_dual("clip-dual-64-image-dropout", 2), 1, 2),
        *_seeds(_dual("clip-dual-64-text-dropout", 2), 1, 2),
        *_seeds(_dual("clip-dual-128-image-dropout", 1), 1, 2),
        _dual("clip-dual-128-text-dropout", 1),
        *_seeds(_dual("clip-dual-128-image", 1), 1, 2),
        *(
            row
            for bridge in ("shifted", "noised", "unclip")
            for row in _seeds(_dual(f"clip-dual-64-image-{bridge}", 2), 1)
        ),
        # The authors' program, and the same with longer embeddings.
        *_seeds(_nature("image"), 1, 2),
        *_seeds(_nature("text"), 1, 2),
        _nature("image", size=128),
        _nature("image", "-sqrt"),
    ),
    "d": (
        *(
            _digits(f"caption-{kind}-{family}")
            for family in ("label", "sentence", "logic")
            for kind in ("rnn", "prior")
        ),
        # The headline, sums that were never seen.
        *(row for kind in ("rnn", "prior") for row in _seeds(_digits(f"caption-{kind}-arithmetic"), 1, 2)),
        # The authors' program, where it differs from their text.
        *(_digits(f"caption-rnn-{family}-code") for family in ("label", "sentence", "logic", "arithmetic")),
        # Section 3.2's other networks, the other covariance of the authors' code, and the future work of section 5.
        _digits("caption-rnn-arithmetic-elman", "caption-rnn-arithmetic", cell="rnn"),
        _digits("caption-rnn-arithmetic-lstm", "caption-rnn-arithmetic", cell="lstm"),
        _digits("caption-rnn-arithmetic-bidirectional", "caption-rnn-arithmetic", bidirectional=True),
        _digits("caption-rnn-arithmetic-correlated", "caption-rnn-arithmetic", correlated=True),
        _digits("caption-rnn-arithmetic-learned", "caption-rnn-arithmetic", learned_embeddings=True),
        # Five times as slow as the others: half of the epochs after which those stop, and fewer latents.
        Row(
            "caption-rnn-arithmetic-deconv",
            "caption-rnn-arithmetic",
            {"decoder": "deconv"},
            {"epochs": 20},
            nets=(),
            importance_samples=8,
        ),
        _digits("caption-rnn-arithmetic-attention", "caption-rnn-arithmetic", attention=True),
        # The effect of the encoder of sums of angles.
        _digits("caption-prior-arithmetic-gru", "caption-prior-arithmetic", reader="gru"),
        _digits("caption-slots-scenes"),
        # Each latent of the bound is eight glimpses of encoder and decoder.
        dataclasses.replace(_digits("caption-draw-scenes"), importance_samples=8),
        _digits("caption-tree-numbers"),
    ),
    "flow": (
        Row("latent-flow-fashion", "latent-flow-fashion", precision="auto"),
        Row("latent-flow-fashion-tiny", "latent-flow-fashion", precision="auto", preset="tiny"),
        Row("latent-flow-digits", "latent-flow-digits", precision="auto", nets=()),
        # The papers' models, of which only the prior is replaced.
        Row("label-dense-flow", "label-dense", flow=True),
        Row("label-conv-flow", "label-conv", flow=True),
        Row("caption-prior-arithmetic-flow", "caption-prior-arithmetic", flow=True, nets=()),
        *(
            Row(f"latent-flow-{source}", f"latent-flow-{source}", precision="auto")
            for source in ("flowers", "products", "coco", "scenes")
        ),
        *(
            Row(f"latent-flow-{source}-128", f"latent-flow-{source}", precision="auto", preset="128")
            for source in ("flowers", "scenes")
        ),
        # For comparison: the papers' models on the same images; first for a few epochs, then for as long as ours.
        *(
            dataclasses.replace(row, name=f"{source}-{row.name}", data=f"{source}-64-sentence")
            for source, *epochs in (("flowers102", PASSES, PASSES, 2), ("products", 3, 3, 1))
            for row in _rivals(*epochs)
        ),
        *(
            _long(dataclasses.replace(row, name=f"{source}-{row.name}", data=f"{source}-64-sentence"))
            for source, *epochs in (("flowers102", 300, 800, 25), ("products", 300, 190, 25))
            for row in _rivals(*epochs)
        ),
        *(_long(row) for row in _rivals(333, 645, 25)),
        _long(Row("label-dense", "label-dense", trainer={"epochs": 486})),
        _long(Row("label-conv", "label-conv", trainer={"epochs": 258})),
        _long(Row("caption-prior-arithmetic", "caption-prior-arithmetic", trainer={"epochs": 30}, nets=())),
        # Drawings with exact captions; the papers' models take the attributes of a caption as one vector.
        Row("latent-flow-sprouts", "latent-flow-sprouts"),
        *(dataclasses.replace(row, name=f"sprouts-{row.name}", data="sprouts") for row in _rivals(3, 3, 1)),
        *(_long(dataclasses.replace(row, name=f"sprouts-{row.name}", data="sprouts")) for row in _rivals(300, 34, 25)),
    ),
}

NEAREST = {"flowers": "flowers102-clip-latent-64-concat-long-epochs-100"}
"""For sets of photographs, the row of a paper's model that was trained for the longest time; shown beside ours."""


def rows_named(paper: str, only: Sequence[str] = ()) -> list[Row]:
    """The rows of a paper with these names, in their order; all rows for no names.

    Raises:
        UserError: there is no such row.
    """
    rows = {row.name: row for row in PAPERS[paper]}
    if unknown := [name for name in only if name not in rows]:
        raise UserError(f"paper {paper} has no row {unknown[0]!r}", f"its rows: {', '.join(rows)}")
    return [rows[name] for name in only] or list(rows.values())


def paper_training(name: str) -> str:
    """How long the paper trained the model of a row, where the row says it; else empty."""
    return next((row.paper for rows in PAPERS.values() for row in rows if row.name == name), "")

"""The papers' figures, redrawn from our runs; the same kinds of figures for our own models."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image

from textvae import data
from textvae.editing import edit, inpaint, interpolate
from textvae.evaluation.judges import ClassifierJudge, classifier_judge
from textvae.experiment.stages import MODEL_STAGE
from textvae.papers.plots import Points, plot
from textvae.papers.rows import NEAREST
from textvae.papers.stored import Stored
from textvae.pipeline import TextToImage
from textvae.recipes.conditions import conditions_of, image_conditions_of, with_captions
from textvae.runs.run import Run, read_history
from textvae.text.base import NONE
from textvae.utils.images import PAPER, grid, save_image
from textvae.utils.pixels import to_pil

COLUMNS = 12
JUDGED = 200
"""Images per class for the judge accuracy beside each row."""
PLOTTED = {
    "frechet_judge": "Fréchet distance, judge's features",
    "judge_accuracy": "judge accuracy",
    "frechet_efficientnet-lite0": "Fréchet distance, efficientnet-lite0",
    "retrieval_precision": "retrieval precision",
}
"""Measures plotted over guidance and over evaluations, with their titles."""


def draw(paper: str, runs: Mapping[str, Run], folder: Path) -> None:
    """Draws the figures of a paper that show images or training histories of the given runs into a folder."""
    _FIGURES[paper](runs, folder)


def draw_curves(stored: Stored, folder: Path) -> None:
    """Draws how guidance, steps and edits affect our models (``evaluation.curves``), from all stored metrics.

    The papers' models of photographs, whose distances are several times as large, would flatten the other curves.
    """
    found = {name: metrics["curves"] for name, metrics in stored.items() if "curves" in metrics and "clip-" not in name}

    def points(kind: str, x: str, y: str) -> dict[str, Points]:
        curves = {name: curve[kind] for name, curve in found.items() if kind in curve and y in curve[kind][0]}
        return {name: [(float(row[x]), row[y]) for row in rows] for name, rows in curves.items()}

    for key, title in PLOTTED.items():
        stem = key.replace("_", "-")
        guided = points("guidance", "guidance", key)
        if not guided:
            continue
        plot(title, {}, guided, folder / f"flow-guidance-{stem}.png", "guidance scale")
        solver, few_step = points("solver", "evaluations", key), points("strides", "evaluations", key)
        both = f"{title}; thin: solver, bold: few-step sampling"
        plot(both, solver, few_step, folder / f"flow-steps-{stem}.png", "evaluations of the network")
    if kept := points("edits", "guidance", "kept"):
        changed = points("edits", "guidance", "changed")
        title = "edits; thin: fraction kept, bold: fraction that shows the new caption"
        plot(title, kept, changed, folder / "flow-edit-balance.png", "guidance scale")


def class_rows(run: Run, path: Path, with_none: bool) -> None:
    """Paper a, figure 5: a row of samples for each class, with the judge accuracy for that class."""
    generator = TextToImage.load(run)
    names = list(run.recipe.prompts) if with_none else [name for name in run.recipe.prompts if name != NONE]
    judge = classifier_judge(run.recipe.data, torch.device("cpu"))
    rows, titles = [], []
    for name in names:
        condition = run.recipe.text.encode([name]).expand(JUDGED, -1)
        images = generator.draw(condition, range(JUDGED))
        rows.append(to_pil(images[:COLUMNS]))
        title = f"{name} (Invalid)" if name == NONE else name
        if isinstance(judge, ClassifierJudge) and name != NONE:
            right = (judge.classify(images) == int(condition[0].argmax())).double().mean()
            title += f"  {float(right):.0%}"
        titles.append(title)
    save_image(grid(rows, titles), path, {"model": run.name, "seed": "0", "prompt": " | ".join(names)})


def reconstructions(run: Run, path: Path) -> None:
    """Paper b, figure 2: test images above, their reconstructions below."""
    generator = TextToImage.load(run)
    images = data.load(run.recipe.data, "test").first(COLUMNS)
    if run.recipe.condition_on == "text":
        condition = conditions_of(images, run.recipe.text)[images.caption_range[:, 0]]
    else:
        condition = image_conditions_of(images, run.recipe, data.load(run.recipe.data, "train"))
    pictures = [to_pil(images.images), to_pil(generator.reconstruct_tensors(images.images, condition))]
    save_image(grid(pictures, ["test image", "reconstruction"]), path, {"model": run.name})


def samples(run: Run, prompts: tuple[str, ...], path: Path, columns: int = 8) -> None:
    """A row of samples for each prompt (paper b, figure 3: "Make a dress")."""
    pictures = TextToImage.load(run)(prompts, columns)
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    # Only small images are enlarged: large ones would make files of megabytes.
    scale = 2 if pictures[0].height <= 64 else 1
    save_image(grid(rows, prompts, scale), path, {"model": run.name, "seed": "0", "prompt": " | ".join(prompts)})


def side_by_side(pairs: Sequence[tuple[Run, Run]], path: Path, rows: int, columns: int = 4) -> None:
    """Samples of two models for the same prompts: of each pair, the first model left and the second right."""
    drawn: list[list[Image.Image]] = []
    titles: list[str] = []
    for left, right in pairs:
        prompts = right.recipe.prompts[:rows]
        sides = [TextToImage.load(run)(prompts, columns) for run in (left, right)]
        gap = Image.new("RGB", sides[0][0].size, PAPER)
        for row in range(0, len(sides[0]), columns):
            drawn.append([*sides[0][row : row + columns], gap, *sides[1][row : row + columns]])
        titles += prompts
    names = sorted({run.name for pair in pairs for run in pair})
    save_image(grid(drawn, titles, 1), path, {"model": ", ".join(names), "seed": "0", "prompt": " | ".join(titles)})


def interpolations(run: Run, ends: Sequence[tuple[str, str]], path: Path) -> None:
    """16 images from one prompt to another, a row for each pair of prompts, each with its own seed."""
    generator = TextToImage.load(run)
    rows = [interpolate(generator, first, second, 16, seed) for seed, (first, second) in enumerate(ends)]
    save_image(grid(rows, [f"{a} to {b}" for a, b in ends]), path, {"model": run.name})


def edited_samples(run: Run, changes: Sequence[tuple[str, str]], path: Path, pictures: int = 4) -> None:
    """Samples for one prompt, each beside its edit by another: a row for each change, seeds from 0.

    For models of photographs, whose test images cannot be shown.
    """
    generator = TextToImage.load(run)
    rows, titles = [], []
    for before, after in changes:
        condition = run.recipe.text.encode([before])
        drawn = generator.draw(condition.expand(pictures, *condition.shape[1:]), range(pictures))
        edits = [edit(generator, image, before, after) for image in drawn]
        rows.append([side for e in edits for side in (e.before, e.after)])
        titles.append(f"{before}\nto {after}: {sum(e.kept for e in edits) / pictures:.0%} kept")
    save_image(grid(rows, titles), path, {"model": run.name, "prompt": " | ".join(a for _, a in changes)})


def garment_edits(run: Run, folder: Path) -> None:
    """Interpolations, edits and inpaintings of test images by a model of garments."""
    generator = TextToImage.load(run)
    names = run.recipe.prompts
    ends = (("ankle boot", "sneaker"), ("dress", "coat"), ("t-shirt", "bag"))
    interpolations(run, ends, folder / "flow-interpolate.png")
    facts = {"model": run.name}
    images = data.load(run.recipe.data, "test").first(200)
    assert images.labels is not None
    first_of = {name: images.images[images.labels == names.index(name)][0] for name in names}
    changes = (("pullover", "dress"), ("t-shirt", "coat"), ("sneaker", "ankle boot"), ("dress", "trouser"))
    edits = [edit(generator, first_of[before], before, after) for before, after in changes]
    titles = [f"{a} to {b}: {e.kept:.0%} kept" for (a, b), e in zip(changes, edits, strict=True)]
    save_image(grid([[e.before, e.after] for e in edits], titles), folder / "flow-edit.png", facts)
    hole = torch.zeros(images.image_shape[1:], dtype=torch.bool)
    hole[hole.shape[0] // 2 :] = True
    filled = []
    for name in ("shirt", "ankle boot", "bag"):
        pictures = inpaint(generator, first_of[name], hole, name, 8)
        filled.append([*to_pil(torch.stack([first_of[name], first_of[name].masked_fill(hole, 127)])), *pictures])
    save_image(grid(filled, ["shirt", "ankle boot", "bag"]), folder / "flow-complete.png", facts)


def loss_curves(runs: Mapping[str, Run], term: str, path: Path) -> None:
    """Paper d, figure 2: a loss term over epochs, on training images (thin) and on validation images (bold).

    Of a model with a flow prior, those of the first stage.
    """
    thin, bold = {}, {}
    for name, run in runs.items():
        rows = [row for row in read_history(run.path) if row["stage"] == MODEL_STAGE]
        per_epoch = max(row["step"] for row in rows) / max(row["epoch"] for row in rows)
        # The loss of the first steps is so high that it would flatten the rest.
        thin[name] = [(row["step"] / per_epoch, row["loss"][term]) for row in rows[1:]]
        bold[name] = [(float(row["epoch"]), row["validation"][term]) for row in rows if "validation" in row]
    plot(f"{term}, nats per image; thin: training, bold: validation", thin, bold, path)


def accuracy_curves(runs: Mapping[str, Run], seen: str, unseen: str, path: Path) -> None:
    """Paper d, figure 3: judge accuracy during training, for captions of training (thin) and unseen ones (bold).

    Only ``reproduce`` measures it; runs that were trained otherwise are left out.
    """
    histories = {name: [row for row in read_history(run.path) if "watched" in row] for name, run in runs.items()}
    rows = {name: history for name, history in histories.items() if history}
    if not rows:
        return
    thin = {name: [(float(row["epoch"]), row["watched"][seen]) for row in kept] for name, kept in rows.items()}
    bold = {name: [(float(row["epoch"]), row["watched"][unseen]) for row in kept] for name, kept in rows.items()}
    plot(f"judge accuracy; thin: {seen}, bold: {unseen} captions", thin, bold, path)


def _photographs(runs: Mapping[str, Run], folder: Path) -> None:
    """Samples for the recipe's prompts, and reconstructions (papers a, figures 3, 4, 6; b, 4 to 6; c, 3 and 5).

    Reconstructions show test photographs, which may not be published: they stay in the run folder.
    """
    for name, run in runs.items():
        side = data.load(run.recipe.data, "test").image_shape[1]
        # Photographs without an entry in the catalog have no prompts: captions serve.
        prompts = with_captions(run.recipe, data.load(run.recipe.data, "train")).prompts
        samples(run, prompts, folder / f"{name}.png", 8 if side <= 64 else 4)
        reconstructions(run, run.path / "reconstructions.png")


def _split(runs: Mapping[str, Run]) -> tuple[dict[str, Run], dict[str, Run]]:
    """Runs on grey images, and runs on photographs."""
    photographs = {name: run for name, run in runs.items() if data.load(run.recipe.data, "test").image_shape[0] == 3}
    return {name: run for name, run in runs.items() if name not in photographs}, photographs


def _paper_a(runs: Mapping[str, Run], folder: Path) -> None:
    grey, photographs = _split(runs)
    for name, run in grey.items():
        class_rows(run, folder / f"{name}.png", with_none=True)
    _photographs(photographs, folder)


def _paper_b(runs: Mapping[str, Run], folder: Path) -> None:
    grey, photographs = _split(runs)
    for name, run in grey.items():
        class_rows(run, folder / f"{name}.png", with_none=False)
        reconstructions(run, folder / f"{name}-reconstructions.png")
    _photographs(photographs, folder)
    if "label-conv" in grey:
        samples(grey["label-conv"], ("Make a dress", "an ankle boot", "a shirt"), folder / "label-conv-phrases.png")


def _paper_c(runs: Mapping[str, Run], folder: Path) -> None:
    _photographs(runs, folder)
    # Figure 4 shows the whole loss; here its largest term, which all recipes have.
    for size in (64, 128):
        if some := {name: run for name, run in runs.items() if name.startswith(f"clip-dual-{size}")}:
            loss_curves(some, "reconstruction", folder / f"paper-c-loss-curves-{size}.png")


def _paper_d(runs: Mapping[str, Run], folder: Path) -> None:
    for name, run in runs.items():
        # Figure 4: samples for test captions, which no training image has.
        captions = data.load(run.recipe.data, "test").captions
        few = [captions[i * len(captions) // 10] for i in range(10)]
        samples(run, tuple(few), folder / f"{name}.png", COLUMNS)
    # Figures 2 and 3 show the families of models; ablations would crowd them.
    families = {name: run for name, run in runs.items() if name == run.recipe.name and "-arithmetic" in name}
    if families:
        loss_curves(families, "reconstruction", folder / "paper-d-loss-curves.png")
        accuracy_curves(families, "seen", "test-within", folder / "paper-d-judge-accuracy.png")


def _flow(runs: Mapping[str, Run], folder: Path) -> None:
    grey, photographs = _split(runs)
    _photographs(photographs, folder)
    for name, run in grey.items():
        samples(run, run.recipe.prompts, folder / f"{name}.png", COLUMNS)
    if "latent-flow-fashion" in runs:
        garment_edits(runs["latent-flow-fashion"], folder)
    if "latent-flow-flowers" in runs:
        ends = (("a red flower", "a white flower"), ("a purple flower", "a yellow flower"))
        interpolations(runs["latent-flow-flowers"], ends, folder / "flowers-interpolate.png")
        changes = (
            ("a flower with pink petals and a yellow center", "a flower with white petals and a yellow center"),
            ("a red flower", "a purple flower"),
            ("a white flower with large round petals", "an orange flower with large round petals"),
        )
        edited_samples(runs["latent-flow-flowers"], changes, folder / "flowers-edit.png")
    pairs = [(runs.get(paper), runs.get(f"latent-flow-{name}")) for name, paper in NEAREST.items()]
    if both := [(paper, ours) for paper, ours in pairs if paper and ours]:
        side_by_side(both, folder / "photographs-beside.png", rows=6 // len(both))


_FIGURES: Mapping[str, Callable[[Mapping[str, Run], Path], None]] = {
    "a": _paper_a,
    "b": _paper_b,
    "c": _paper_c,
    "d": _paper_d,
    "flow": _flow,
}

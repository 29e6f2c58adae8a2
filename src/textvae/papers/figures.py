"""The papers' figures, redrawn from our runs."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont

from textvae import data
from textvae.editing import edit, inpaint, interpolate
from textvae.evaluation.judges import ClassifierJudge, classifier_judge
from textvae.pipeline import TextToImage
from textvae.recipes.conditions import conditions_of, image_conditions_of
from textvae.runs.run import Run, read_history
from textvae.text.base import NONE
from textvae.utils.images import INK, PAPER, grid, save_image, to_pil

COLUMNS = 12
CURVES = (
    *((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14), (23, 190, 207)),
    *((140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34)),
)
"""Colours of curves, in order."""
GRID = (225, 225, 225)
CURVED = {
    "frechet_judge": "Frechet distance, judge features",
    "judge_accuracy": "judge accuracy",
    "frechet_efficientnet-lite0": "Frechet distance, efficientnet-lite0",
    "retrieval_precision": "retrieval precision",
}
"""What is drawn over guidance and steps."""
NEAREST = {"flowers": "flowers102-clip-latent-64-concat", "products": "products-clip-dual-64-text-dropout"}
"""The papers' model whose samples are nearest to real photographs (RESULTS.md), by the set: what ours stand beside."""
JUDGED = 200
"""Samples a row whose share of correct verdicts is lettered beside it."""


def draw(paper: str, runs: Mapping[str, Run], folder: Path, stored: Mapping[str, Any]) -> None:
    """Draws the figures of a paper into a folder: pictures by these runs, and the curves of all that was ever measured.

    ``stored`` has the metrics of all rows, so that measuring one of them anew keeps the others' curves.
    """
    _FIGURES[paper](runs, folder)
    measured_curves({name: metrics["curves"] for name, metrics in stored.items() if "curves" in metrics}, folder)


def class_rows(run: Run, path: Path, with_none: bool) -> None:
    """Paper a, figure 5: a row of samples for each class, with the judge's accuracy on that class beside its name."""
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


def phrase(run: Run, prompts: tuple[str, ...], path: Path, columns: int = 8) -> None:
    """Samples for phrases, a row each (paper b, figure 3: "Make a dress")."""
    pictures = TextToImage.load(run)(prompts, columns)
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    # Small pictures enlarged; large ones are large enough, and would fill megabytes.
    scale = 2 if pictures[0].height <= 64 else 1
    save_image(grid(rows, prompts, scale), path, {"model": run.name, "seed": "0", "prompt": " | ".join(prompts)})


Points = Sequence[tuple[float, float]]
"""Of a curve: epoch and value."""


def loss_curves(runs: Mapping[str, Run], term: str, path: Path) -> None:
    """Paper d, figure 2: a loss term over epochs, in training (thin) and on the validation images (bold)."""
    thin, bold = {}, {}
    for name, run in runs.items():
        rows = read_history(run.path)
        per_epoch = max(row["step"] for row in rows) / max(row["epoch"] for row in rows)
        # The first hundred steps are so far up that they would flatten all the rest.
        thin[name] = [(row["step"] / per_epoch, row["loss"][term]) for row in rows[1:]]
        bold[name] = [(float(row["epoch"]), row["validation"][term]) for row in rows if "validation" in row]
    curves(f"{term}, nats an image; bold: validation", thin, bold, path)


def watched_curves(runs: Mapping[str, Run], seen: str, unseen: str, path: Path) -> None:
    """Paper d, figure 3: judge accuracy while training, on seen captions (thin) and on unseen ones (bold).

    Only ``reproduce`` watches; runs that were trained otherwise are left out.
    """
    histories = {name: [row for row in read_history(run.path) if "watched" in row] for name, run in runs.items()}
    rows = {name: history for name, history in histories.items() if history}
    if not rows:
        return
    thin = {name: [(float(row["epoch"]), row["watched"][seen]) for row in kept] for name, kept in rows.items()}
    bold = {name: [(float(row["epoch"]), row["watched"][unseen]) for row in kept] for name, kept in rows.items()}
    curves(f"judge accuracy; thin: {seen}, bold: {unseen} captions", thin, bold, path)


def curves(title: str, thin: Mapping[str, Points], bold: Mapping[str, Points], path: Path, axis: str = "epoch") -> None:
    """Draws two families of curves over epochs (or whatever is ``axis`` says), a colour for each name."""
    width, height, margin, names = 720, 400, 48, 200
    canvas = Image.new("RGB", (width + names, height), PAPER)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=13)
    everything = [point for family in (thin, bold) for points in family.values() for point in points]
    low, high = min(value for _, value in everything), max(value for _, value in everything)
    last = float(max(epoch for epoch, _ in everything))

    def place(epoch: float, value: float) -> tuple[float, float]:
        across = margin + (width - 2 * margin) * epoch / last
        return across, margin + (height - 2 * margin) * (high - value) / max(high - low, 1e-9)

    for value in _ticks(low, high):
        pen.line([place(0.0, value), place(last, value)], GRID)
        pen.text((margin - 6, place(0.0, value)[1]), f"{value:g}", INK, font=font, anchor="rm")
    for value in _ticks(0.0, last):
        pen.text((place(value, low)[0], height - margin + 6), f"{value:g}", INK, font=font, anchor="ma")
    pen.line([place(0.0, high), place(0.0, low), place(last, low)], INK)
    pen.text((width - margin, height - margin + 24), axis, INK, font=font, anchor="ra")
    pen.text((margin, 8), title, INK, font=font)
    for number, name in enumerate(dict.fromkeys([*thin, *bold])):
        colour = CURVES[number % len(CURVES)]
        pen.line([place(x, y) for x, y in thin.get(name, ())], colour)
        pen.line([place(x, y) for x, y in bold.get(name, ())], colour, width=3)
        pen.text((width - margin + 12, margin + 16 * number), name, colour, font=font)
    save_image(canvas, path, {"model": ", ".join(dict.fromkeys([*thin, *bold])), "title": title})


def measured_curves(found: Mapping[str, Any], folder: Path) -> None:
    """What guidance, steps and edits buy, by the name of the row (``sampling_curves``)."""

    def points(kind: str, over: str, key: str) -> dict[str, Points]:
        kinds = {name: curve[kind] for name, curve in found.items() if kind in curve and key in curve[kind][0]}
        return {name: [(float(row[over]), row[key]) for row in rows] for name, rows in kinds.items()}

    for key, title in CURVED.items():
        stem = key.replace("_", "-")
        guided = points("guidance", "guidance", key)
        if not guided:
            continue
        curves(title, {}, guided, folder / f"flow-guidance-{stem}.png", "guidance")
        thin, bold = points("solver", "evaluations", key), points("strides", "evaluations", key)
        what = f"{title}; thin: solver, bold: learned strides"
        curves(what, thin, bold, folder / f"flow-steps-{stem}.png", "evaluations")
    if kept := points("edits", "guidance", "kept"):
        title = "edits; thin: share kept, bold: share that shows the new words"
        curves(title, kept, points("edits", "guidance", "changed"), folder / "flow-edit-balance.png", "guidance")


def _ticks(low: float, high: float) -> list[float]:
    """At most six round numbers between the two, evenly apart."""
    rough = max(high - low, 1e-9) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough)
    return [round(step * n, 9) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _photographs(runs: Mapping[str, Run], folder: Path) -> None:
    """Samples for the recipe's prompts, and reconstructions (papers a, figures 3, 4, 6; b, 4 to 6; c, 3 and 5).

    The photographs are not ours to hand on: test images and what is left of them stay in the run folder.
    """
    for name, run in runs.items():
        side = data.load(run.recipe.data, "test").image_shape[1]
        phrase(run, run.recipe.prompts, folder / f"{name}.png", 8 if side <= 64 else 4)
        reconstructions(run, run.path / "reconstructions.png")


def _split(runs: Mapping[str, Run]) -> tuple[dict[str, Run], dict[str, Run]]:
    """Runs on 28-pixel images, and those on photographs."""
    photographs = {name: run for name, run in runs.items() if data.load(run.recipe.data, "test").image_shape[0] == 3}
    return {name: run for name, run in runs.items() if name not in photographs}, photographs


def _paper_a(runs: Mapping[str, Run], folder: Path) -> None:
    small, photographs = _split(runs)
    for name, run in small.items():
        class_rows(run, folder / f"{name}.png", with_none=True)
    _photographs(photographs, folder)


def _paper_b(runs: Mapping[str, Run], folder: Path) -> None:
    small, photographs = _split(runs)
    for name, run in small.items():
        class_rows(run, folder / f"{name}.png", with_none=False)
        reconstructions(run, folder / f"{name}-reconstructions.png")
    _photographs(photographs, folder)
    if "label-conv" in small:
        phrase(small["label-conv"], ("Make a dress", "an ankle boot", "a shirt"), folder / "label-conv-phrases.png")


def _paper_c(runs: Mapping[str, Run], folder: Path) -> None:
    _photographs(runs, folder)
    # Figure 4 is the whole loss; here its largest term, which all recipes have.
    for size in (64, 128):
        if some := {name: run for name, run in runs.items() if name.startswith(f"clip-dual-{size}")}:
            loss_curves(some, "reconstruction", folder / f"paper-c-loss-curves-{size}.png")


def _paper_d(runs: Mapping[str, Run], folder: Path) -> None:
    for name, run in runs.items():
        # Figure 4: rows of samples for test captions, which no training image has.
        captions = data.load(run.recipe.data, "test").captions
        few = [captions[i * len(captions) // 10] for i in range(10)]
        phrase(run, tuple(few), folder / f"{name}.png", COLUMNS)
    # The curves of figures 2 and 3 are of the four families; ablations would crowd them.
    families = {name: run for name, run in runs.items() if name == run.recipe.name and "-arithmetic" in name}
    if families:
        loss_curves(families, "reconstruction", folder / "paper-d-loss-curves.png")
        watched_curves(families, "seen", "test-within", folder / "paper-d-judge-accuracy.png")


def _flow(runs: Mapping[str, Run], folder: Path) -> None:
    small, photographs = _split(runs)
    _photographs(photographs, folder)
    for name, run in small.items():
        phrase(run, run.recipe.prompts, folder / f"{name}.png", COLUMNS)
    if "latent-flow-fashion" in runs:
        play_figures(runs["latent-flow-fashion"], folder)
    if "latent-flow-flowers" in runs:
        ways = (("a red flower", "a white flower"), ("a purple flower", "a yellow flower"))
        ways_between(runs["latent-flow-flowers"], ways, folder / "flowers-interpolate.png")
        changes = (
            ("a flower with pink petals and a yellow center", "a flower with white petals and a yellow center"),
            ("a red flower", "a purple flower"),
            ("a white flower with large round petals", "an orange flower with large round petals"),
        )
        drawn_edits(runs["latent-flow-flowers"], changes, folder / "flowers-edit.png")
    pairs = [(runs.get(paper), runs.get(f"latent-flow-{name}")) for name, paper in NEAREST.items()]
    if both := [(paper, ours) for paper, ours in pairs if paper and ours]:
        beside(both, folder / "photographs-beside.png")


def beside(pairs: Sequence[tuple[Run, Run]], path: Path, rows: int = 3, columns: int = 4) -> None:
    """What two models draw of the same phrases, a row each: of a pair, the first model left and the other right."""
    drawn: list[list[Image.Image]] = []
    titles: list[str] = []
    for left, right in pairs:
        prompts = right.recipe.prompts[:rows]
        sides = [TextToImage.load(run)(prompts, columns) for run in (left, right)]
        empty = Image.new("RGB", sides[0][0].size, PAPER)
        for row in range(0, len(sides[0]), columns):
            drawn.append([*sides[0][row : row + columns], empty, *sides[1][row : row + columns]])
        titles += prompts
    names = {run.name for pair in pairs for run in pair}
    save_image(
        grid(drawn, titles, 1), path, {"model": ", ".join(sorted(names)), "seed": "0", "prompt": " | ".join(titles)}
    )


def ways_between(run: Run, ways: Sequence[tuple[str, str]], path: Path) -> None:
    """From one phrase to another in 16 pictures, a row for each pair, each of its own seed."""
    generator = TextToImage.load(run)
    rows = [interpolate(generator, first, second, 16, seed) for seed, (first, second) in enumerate(ways)]
    save_image(grid(rows, [f"{a} to {b}" for a, b in ways]), path, {"model": run.name})


def drawn_edits(run: Run, changes: Sequence[tuple[str, str]], path: Path, pictures: int = 4) -> None:
    """What the model drew, and beside each what other words make of it: a row a change, seeds from 0 up.

    Photographs are not ours to show; what is drawn is.
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


def play_figures(run: Run, folder: Path) -> None:
    """Interpolations, edits and completions by a model of garments, of test images."""
    generator = TextToImage.load(run)
    names = run.recipe.prompts
    ways = (("ankle boot", "sneaker"), ("dress", "coat"), ("t-shirt", "bag"))
    ways_between(run, ways, folder / "flow-interpolate.png")
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


_FIGURES: Mapping[str, Callable[[Mapping[str, Run], Path], None]] = {
    "a": _paper_a,
    "b": _paper_b,
    "c": _paper_c,
    "d": _paper_d,
    "flow": _flow,
}

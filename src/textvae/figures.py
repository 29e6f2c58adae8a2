"""The papers' figures, redrawn from our runs."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from textvae import data
from textvae.evaluation.judge import TrainedJudge, judge_of
from textvae.generator import TextToImage
from textvae.pictures import grid, save_png, to_pil
from textvae.runs import Run
from textvae.text.labels import NONE

COLUMNS = 12
JUDGED = 200
"""Samples a row whose share of correct verdicts is lettered beside it."""


def draw(paper: str, runs: Mapping[str, Run], folder: Path) -> None:
    """Draws all figures of a paper into a folder."""
    _FIGURES[paper](runs, folder)


def class_rows(run: Run, path: Path, with_none: bool) -> None:
    """Paper a, figure 5: a row of samples for each class, with the judge's accuracy on that class beside its name."""
    generator = TextToImage.load(run)
    names = list(run.recipe.prompts) if with_none else [name for name in run.recipe.prompts if name != NONE]
    judge = judge_of(run.recipe.data, torch.device("cpu"))
    rows, titles = [], []
    for name in names:
        condition = run.recipe.text.encode([name]).expand(JUDGED, -1)
        images = generator.draw(condition, range(JUDGED))
        rows.append(to_pil(images[:COLUMNS]))
        title = f"{name} (Invalid)" if name == NONE else name
        if isinstance(judge, TrainedJudge) and name != NONE:
            right = (judge.verdicts(images) == int(condition[0].argmax())).double().mean()
            title += f"  {float(right):.0%}"
        titles.append(title)
    save_png(grid(rows, titles), path, {"model": run.name, "seed": "0", "prompt": " | ".join(names)})


def reconstructions(run: Run, path: Path) -> None:
    """Paper b, figure 2: test images above, their reconstructions below."""
    generator = TextToImage.load(run)
    images = data.load(run.recipe.data, "test").first(COLUMNS)
    condition = run.recipe.text.encode([images.captions[int(start)] for start, _ in images.caption_range])
    pictures = [to_pil(images.images), to_pil(generator.reconstruct(images.images, condition))]
    save_png(grid(pictures, ["test image", "reconstruction"]), path, {"model": run.name})


def phrase(run: Run, prompts: tuple[str, ...], path: Path, columns: int = 8) -> None:
    """Samples for phrases, a row each (paper b, figure 3: "Make a dress")."""
    pictures = TextToImage.load(run)(prompts, columns)
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    save_png(grid(rows, prompts), path, {"model": run.name, "seed": "0", "prompt": " | ".join(prompts)})


def _paper_a(runs: Mapping[str, Run], folder: Path) -> None:
    for name, run in runs.items():
        class_rows(run, folder / f"{name}.png", with_none=True)


def _paper_b(runs: Mapping[str, Run], folder: Path) -> None:
    for name, run in runs.items():
        class_rows(run, folder / f"{name}.png", with_none=False)
        reconstructions(run, folder / f"{name}-reconstructions.png")
    phrase(runs["label-conv"], ("Make a dress", "an ankle boot", "a shirt"), folder / "label-conv-phrases.png")


_FIGURES: Mapping[str, Callable[[Mapping[str, Run], Path], None]] = {"a": _paper_a, "b": _paper_b}

"""``recipes`` lists what can be trained; ``ship`` bundles a finished run with the package."""

import inspect
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro

from textvae.cli.shared import Device, Output, in_range
from textvae.utils.errors import UserError

OWN, SCORING = "textvae's own", "models that score images or read captions"
"""Groups of recipes beside those of the papers."""


def recipes(
    name: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RECIPE]", help_behavior_hint="(default: list all)")
    ] = None,
    /,
) -> Output:
    """List the recipes, or show one in detail.

    Args:
        name: Recipe to show.

    Examples:
        textvae recipes
        textvae recipes label-conv
    """
    from textvae.recipes import RECIPES
    from textvae.recipes.resolve import resolve
    from textvae.runs.find import shipped_models
    from textvae.runs.run import read_config

    ships = {str(read_config(path)["recipe"]): model for model, path in shipped_models().items()}
    if name is not None:
        recipe = resolve(name)
        make = RECIPES.get(name)
        facts = _facts(recipe, ships)
        facts["description"] = inspect.getdoc(getattr(make, "func", make)) if make else None
        return Output({name: facts}, _shown(name, facts))
    found = {key: _facts(make(), ships) for key, make in RECIPES.items()}
    return Output(found, _listed(found))


def _listed(found: Mapping[str, Mapping[str, Any]]) -> str:
    """All names under what they come from: a screen of them."""
    from textvae.utils.citations import PAPERS

    groups: dict[str, list[str]] = {group: [] for group in (*(f"paper {letter}" for letter in PAPERS), OWN, SCORING)}
    for name, facts in found.items():
        paper = next((group for group in groups if group in facts["source"]), OWN)
        groups[paper if facts["generates"] else SCORING].append(name)
    width = shutil.get_terminal_size().columns
    lines = []
    for group, names in groups.items():
        letter = group.removeprefix("paper ")
        title = f"{group}: {PAPERS[letter].short}" if letter in PAPERS else group
        lines += textwrap.wrap(title, width, subsequent_indent=" " * 9)
        lines += textwrap.wrap("  ".join(names), width - 2, initial_indent="  ", subsequent_indent="  ",
                               break_on_hyphens=False)  # fmt: skip
    return "\n".join([*lines, "", "textvae recipes RECIPE shows one in detail."])


def _facts(recipe: Any, ships: dict[str, str]) -> dict[str, Any]:
    from textvae.experiment.stages import stages_of, trainer_of
    from textvae.papers.stored import measured, measured_training

    return {
        "summary": recipe.summary,
        "source": recipe.source,
        "data": recipe.data,
        "generates": recipe.draws,
        "presets": list(recipe.presets),
        "published": dict(recipe.published),
        "epochs": {stage: trainer_of(recipe, stage).epochs for stage in stages_of(recipe)},
        "measured": measured(recipe.name),
        "measured_after": measured_training(recipe.name),
        "ships_as": ships.get(recipe.name),
    }


def _shown(name: str, facts: dict[str, Any]) -> str:
    lines = [f"{name}: {facts['summary']}", "", *([facts["description"], ""] if facts.get("description") else [])]
    lines += [f"{'source':<12}{facts['source']}", *_cited(facts["source"]), f"{'data':<12}{facts['data']}"]
    if facts["presets"]:
        lines.append(f"{'presets':<12}{', '.join(facts['presets'])}")
    if facts["ships_as"]:
        lines.append(f"{'bundled as':<12}{facts['ships_as']}")
    stages = facts["epochs"]
    epochs = " + ".join(f"{count} ({stage})" if len(stages) > 1 else f"{count}" for stage, count in stages.items())
    lines += [f"{'train':<12}textvae train {name}", f"{'epochs':<12}{epochs}"]
    if facts["measured_after"]:
        lines += textwrap.wrap(f"{'measured':<12}after {facts['measured_after']}", 110, subsequent_indent=" " * 12)
    published, measured = facts["published"], facts["measured"]
    if published or measured:
        lines += ["", f"{'':<46}{'published':>10}{'measured':>10}"]
    for key in dict.fromkeys([*published, *measured]):
        values = (f"{part[key]:.3f}" if key in part else "-" for part in (published, measured))
        lines.append(f"{key:<46}" + "".join(f"{value:>10}" for value in values))
    return "\n".join(lines)


def _cited(source: str) -> list[str]:
    """The citation of the paper that a source names by its letter."""
    from textvae.utils.citations import PAPERS

    found = [paper for letter, paper in PAPERS.items() if f"paper {letter}" in source]
    return [f"{'':<12}{line}" for paper in found for line in textwrap.wrap(paper.citation, 68)]


def ship(
    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")],
    /,
    num_samples: int = 1000,
    repository: Path = Path(),
    device: Device = "auto",
) -> Output:
    """Bundle a finished run with textvae, in a clone of it.

    Its weights are stored in 8 bits and evaluated, and a model card is written.

    Args:
        run: Run folder.
        name: Name of the model, as in textvae generate NAME.
        num_samples: Number of test images, and of generated images, for the evaluation.
        repository: Root of the clone.

    Examples:
        textvae ship runs/latent-flow-fashion fashion
    """
    in_range("--num-samples", num_samples, 2, 10_000_000)
    if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
        raise UserError(f"{name!r} is not a valid model name", "use letters, digits and hyphens")
    from textvae.evaluation.evaluate import FEATURE_NETS, evaluate_run
    from textvae.runs.card import write_card
    from textvae.runs.files import METRICS, MODEL
    from textvae.runs.ship import ship
    from textvae.utils.device import choose_execution

    weights = repository / "src" / "textvae" / "weights"
    if not weights.is_dir():
        raise UserError(f"{repository} is not a clone of textvae: it has no {weights}", "name its root: --repository")
    shipped = ship(run, weights / name)
    found = evaluate_run(shipped, choose_execution(device).device, num_samples, 64, seed=0, nets=FEATURE_NETS)
    found.write(shipped.path / METRICS)
    write_card(shipped)
    size = (shipped.path / MODEL).stat().st_size
    return Output({"name": name, "folder": str(shipped.path), "bytes": size}, f"{shipped.path}: {size / 1e6:.1f} MB")

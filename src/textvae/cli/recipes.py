"""``recipes``: what can be trained; ``ship``: a finished run into the package."""

import inspect
import shutil
from pathlib import Path
from typing import Annotated, Any

import tyro

from textvae.cli.shared import Device, Output, in_range
from textvae.utils.errors import UserError


def recipes(
    name: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RECIPE]", help_behavior_hint="(default: list all)")
    ] = None,
    /,
) -> Output:
    """List the recipes, or show one with its numbers.

    Args:
        name: Recipe to show.

    Examples:
        textvae recipes
        textvae recipes label-conv
    """
    from textvae.recipes import RECIPES
    from textvae.recipes.resolve import resolve
    from textvae.runs.run import read_config, shipped_models

    ships = {str(read_config(path)["recipe"]): model for model, path in shipped_models().items()}
    if name is not None:
        recipe = resolve(name)
        make = RECIPES.get(name)
        facts = _facts(recipe, ships)
        facts["description"] = inspect.getdoc(getattr(make, "func", make)) if make else None
        return Output({name: facts}, _shown(name, facts))
    found = {key: _facts(make(), ships) for key, make in RECIPES.items()}
    width, room = max(map(len, found)) + 2, shutil.get_terminal_size().columns
    lines = [f"{key:<{width}}{facts['summary']}"[:room] for key, facts in found.items()]
    return Output(found, "\n".join([*lines, "", "textvae recipes RECIPE shows one with its numbers."]))


def _facts(recipe: Any, ships: dict[str, str]) -> dict[str, Any]:
    from textvae.papers.stored import measured

    return {
        "summary": recipe.summary,
        "source": recipe.source,
        "data": recipe.data,
        "presets": list(recipe.presets),
        "published": dict(recipe.published),
        "measured": measured(recipe.name),
        "ships_as": ships.get(recipe.name),
    }


def _shown(name: str, facts: dict[str, Any]) -> str:
    lines = [f"{name}: {facts['summary']}", "", *([facts["description"], ""] if facts.get("description") else [])]
    lines += [f"{'source':<12}{facts['source']}", f"{'data':<12}{facts['data']}"]
    if facts["presets"]:
        lines.append(f"{'presets':<12}{', '.join(facts['presets'])}")
    if facts["ships_as"]:
        lines.append(f"{'bundled as':<12}{facts['ships_as']}")
    lines.append(f"{'train':<12}textvae train {name}")
    published, measured = facts["published"], facts["measured"]
    if published or measured:
        lines += ["", f"{'':<46}{'published':>10}{'measured':>10}"]
    for key in dict.fromkeys([*published, *measured]):
        values = (f"{part[key]:.3f}" if key in part else "-" for part in (published, measured))
        lines.append(f"{key:<46}" + "".join(f"{value:>10}" for value in values))
    return "\n".join(lines)


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
        num_samples: Test images, and generated images, of the evaluation.
        repository: Root of the clone.

    Examples:
        textvae ship runs/latent-flow-fashion fashion
    """
    in_range("--num-samples", num_samples, 2, 10_000_000)
    if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
        raise UserError(f"{name!r} is no name for a model", "use letters, digits and hyphens")
    from textvae.evaluation.evaluate import FEATURE_NETS, evaluate_run
    from textvae.runs.card import ship, write_card
    from textvae.runs.run import METRICS, MODEL
    from textvae.utils.device import choose_execution

    weights = repository / "src" / "textvae" / "weights"
    if not weights.is_dir():
        raise UserError(f"{repository} is no clone of textvae: it has no {weights}", "name its root: --repository")
    shipped = ship(run, weights / name)
    found = evaluate_run(shipped, choose_execution(device).device, num_samples, 64, seed=0, nets=FEATURE_NETS)
    found.write(shipped.path / METRICS)
    write_card(shipped)
    size = (shipped.path / MODEL).stat().st_size
    return Output({"name": name, "folder": str(shipped.path), "bytes": size}, f"{shipped.path}: {size / 1e6:.1f} MB")

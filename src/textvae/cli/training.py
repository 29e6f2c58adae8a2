"""Verbs that train: recipes, train, sweep; and ship, which hands on what was trained."""

import dataclasses
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from textvae.cli.shared import ExecutionOptions, Result, parsed
from textvae.utils.errors import UserError


def recipes(arguments: list[str]) -> tuple[Result, str]:
    """List what can be trained, with published and measured numbers."""

    def options() -> None:
        """List what can be trained: name, source, and published | measured numbers."""

    parsed("recipes", options, arguments)
    from textvae.papers.stored import measured
    from textvae.recipes import RECIPES
    from textvae.runs.run import read_config, shipped_models

    rows, lines = {}, []
    width = max(map(len, RECIPES)) + 2
    ships = {str(read_config(path)["recipe"]): name for name, path in shipped_models().items()}
    for name, make in RECIPES.items():
        recipe, found = make(), measured(name)
        rows[name] = {
            "summary": recipe.summary,
            "source": recipe.source,
            "published": dict(recipe.published),
            "measured": found,
            "ships_as": ships.get(name),
        }
        shipped = f"; ships as {ships[name]}" if name in ships else ""
        lines.append(f"{name:<{width}}{recipe.summary}  ({recipe.source}{shipped})")
        for key in dict.fromkeys([*recipe.published, *found]):
            published = recipe.published.get(key)
            lines.append(
                f"{'':<{width}}  {key:<34}"
                f"{'-' if published is None else f'{published:.3f}':>9} | "
                f"{f'{found[key]:.3f}' if key in found else '-':>9}"
            )
    return rows, "\n".join(lines)


def train(arguments: list[str]) -> tuple[Result, str]:
    """Train a recipe into a run folder; the same command again resumes."""
    from textvae.recipes import RECIPES, recipe

    if not arguments or arguments[0].startswith("-"):
        text = f"usage: textvae train RECIPE [options]\n\nrecipes: {', '.join(RECIPES)}\n"
        if arguments[:1] in (["-h"], ["--help"]):
            return {"recipes": list(RECIPES)}, text + "textvae train RECIPE --help lists its options."
        raise UserError("textvae train needs a recipe", f"recipes: {', '.join(RECIPES)}")
    chosen, rest = _with_preset(recipe(arguments[0]), arguments[1:])
    # The recipe's own settings become the options: their names, types, defaults and docstrings are its dataclasses'.
    flow = _flow_of(chosen, rest)
    stage_two: list[Any] = []
    if flow is not None:
        stage_two = [("flow", type(flow), dataclasses.field(default_factory=lambda: flow))]
    options = dataclasses.make_dataclass(
        "TrainOptions",
        [
            ("out", Path, Path("runs") / chosen.name),
            ("prior", Literal["own", "flow"], "own" if flow is None else "flow"),
            ("model", type(chosen.model), dataclasses.field(default_factory=lambda: chosen.model)),
            ("data", str, chosen.data),
            ("trainer", type(chosen.trainer), dataclasses.field(default_factory=lambda: chosen.trainer)),
            *stage_two,
            ("sample_every", int, 5),
            ("limit", int | None, None),
            ("execution", tyro.conf.OmitArgPrefixes[ExecutionOptions], ExecutionOptions()),
        ],
        namespace={"__doc__": f"Train {chosen.name}: {chosen.summary}."},
    )
    presets = f" --preset {'|'.join(chosen.presets)} has other defaults." if chosen.presets else ""
    options.__doc__ = f"""Train {chosen.name}: {chosen.summary} ({chosen.source}).{presets}

    Attributes:
        out: The run folder. If it holds the same training, that goes on.
        data: What to train on: of recipes for photographs, any prepared set SOURCE-SIZE-ENCODER of the recipe's size.
        prior: own, the model's; flow, learned on the latents of the trained model, also of a run that was finished
            without one. Then there are options --flow.*, too.
        sample_every: Epochs between two updates of samples.png.
        limit: Train on the first so many images only.
    """
    asked = parsed(f"train {chosen.name}", options, rest)

    from textvae.experiment.train import train_recipe
    from textvae.recipes.photographs import on
    from textvae.runs.run import read_history
    from textvae.utils.device import choose_execution
    from textvae.utils.progress import say

    how = choose_execution(asked.execution.device, asked.execution.precision, asked.execution.threads)
    for reason in how.reasons:
        say(reason)
    flow = getattr(asked, "flow", None) if asked.prior == "flow" else None
    if asked.data != chosen.data:
        chosen = on(chosen, asked.data)
        if hasattr(asked.model, "condition_dim"):
            # The length of a condition is the set's, whatever the recipe's own set had.
            asked.model = dataclasses.replace(asked.model, condition_dim=chosen.model.condition_dim)
    settings = dataclasses.replace(chosen, model=asked.model, trainer=asked.trainer, flow=flow)
    complete = train_recipe(settings, asked.out, how, asked.sample_every, asked.limit)
    history = read_history(asked.out)
    last = history[-1] if history else {}
    result: Result = {"run": str(asked.out), "complete": complete, "last": last, "interrupted": not complete}
    if not complete:
        return result, f"{asked.out}: interrupted, resumable"
    shown = "  ".join(f"{name} {value:.2f}" for name, value in last["loss"].items())
    return result, f"{asked.out}: trained in {last['seconds']:.0f} s  {shown}"


def _with_preset(chosen: Any, arguments: list[str]) -> tuple[Any, list[str]]:
    """The recipe with the defaults of ``--preset NAME``, and the arguments without it."""
    words = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--preset=") else [word])]
    if "--preset" not in words:
        return chosen, words
    place = words.index("--preset")
    name = words[place + 1] if place + 1 < len(words) else ""
    if name not in chosen.presets:
        known = ", ".join(chosen.presets) or "none"
        raise UserError(f"{chosen.name} has no preset {name!r}", f"its presets: {known}")
    return dataclasses.replace(chosen, **chosen.presets[name]), words[:place] + words[place + 2 :]


def _flow_of(chosen: Any, arguments: list[str]) -> Any:
    """The second stage whose settings become options: the recipe's, or one that fits it where that is asked for."""
    from textvae.recipes.recipe import fitting_flow

    asked = "--prior=flow" in arguments or ("--prior", "flow") in pairwise(arguments)
    return fitting_flow(chosen) if chosen.flow is None and asked else chosen.flow


def sweep(arguments: list[str]) -> tuple[Result, str]:
    """Train a recipe for each value of one setting and compare on held-out images."""

    def options(
        recipe: Annotated[str, tyro.conf.Positional],
        setting: Annotated[str, tyro.conf.Positional],
        values: Annotated[tuple[str, ...], tyro.conf.Positional],
        epochs: int | None = None,
        validation_images: int = 10_000,
        out: Path = Path("runs/sweep"),
    ) -> Result:
        """Train a recipe for each value of one setting and compare the loss on held-out training images.

        Args:
            recipe: What to train.
            setting: As the options of train call it, such as trainer.weight-decay.
            values: To try.
            epochs: Passes for each; default: the recipe's.
            validation_images: Training images held out to compare on; the test set stays untouched.
            out: Folder of the run folders.
        """
        from textvae.experiment.sweep import sweep_setting

        return sweep_setting(recipe, setting, values, epochs, validation_images, out)

    result = parsed("sweep", options, arguments)
    rows = [f"{row['value']:>10}  validation loss {row['loss']:.3f}" for row in result["rows"]]
    return result, "\n".join([result["setting"], *rows, f"best: {result['best']}"])


def ship(arguments: list[str]) -> tuple[Result, str]:
    """Put a finished run into the package: weights of 8 bits, measured anew, with a model card."""

    def options(
        run: Annotated[str, tyro.conf.Positional],
        name: Annotated[str, tyro.conf.Positional],
        num_samples: int = 1000,
        repository: Path = Path(),
        device: str = "cpu",
    ) -> Result:
        """Put a finished run into a clone of textvae, as a model that ships: `textvae generate NAME ...`.

        Args:
            run: A run folder.
            name: What the model shall be called.
            num_samples: Test images, and pictures, by which the weights that ship are measured.
            repository: Root of the clone.
            device: auto, cpu, cuda or cuda:N.
        """
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
        return {"name": name, "folder": str(shipped.path), "bytes": (shipped.path / MODEL).stat().st_size}

    result: Result = parsed("ship", options, arguments)
    return result, f"{result['folder']}: {result['bytes'] / 1e6:.1f} MB"

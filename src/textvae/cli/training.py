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
    from textvae.recipes import RECIPES
    from textvae.recipes.resolve import resolve
    from textvae.utils.config import to_dict

    if not arguments or arguments[0].startswith("-"):
        text = f"usage: textvae train RECIPE [options]\n\nrecipes: {', '.join(RECIPES)}\n"
        if arguments[:1] in (["-h"], ["--help"]):
            return {"recipes": list(RECIPES)}, text + "textvae train RECIPE --help lists its options."
        raise UserError("textvae train needs a recipe", f"recipes: {', '.join(RECIPES)}")
    name, rest = arguments[0], [part for word in arguments[1:] for part in _split(word)]
    preset = _taken(rest, "--preset")
    # The defaults of the other options depend on these two, which stay options themselves.
    data, asked_prior = _value(rest, "--data"), _value(rest, "--prior")
    prior: Literal["flow"] | None = "flow" if asked_prior == "flow" else None
    chosen = resolve(name, preset, data, prior=prior)
    # The recipe's own settings become the options: their names, types, defaults and docstrings are its dataclasses'.
    flow = chosen.flow
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
    from textvae.runs.run import read_history
    from textvae.utils.device import choose_execution
    from textvae.utils.progress import say

    how = choose_execution(asked.execution.device, asked.execution.precision, asked.execution.threads)
    for reason in how.reasons:
        say(reason)
    overrides = {"model": to_dict(asked.model), "trainer": to_dict(asked.trainer)}
    if asked.prior == "flow":
        overrides["flow"] = to_dict(asked.flow)
    settings = resolve(name, preset, data, overrides, asked.prior)
    complete = train_recipe(settings, asked.out, how, asked.sample_every, asked.limit)
    history = read_history(asked.out)
    last = history[-1] if history else {}
    result: Result = {"run": str(asked.out), "complete": complete, "last": last, "interrupted": not complete}
    if not complete:
        return result, f"{asked.out}: interrupted, resumable"
    shown = "  ".join(f"{name} {value:.2f}" for name, value in last["loss"].items())
    return result, f"{asked.out}: trained in {last['seconds']:.0f} s  {shown}"


def _split(word: str) -> list[str]:
    """``--data=NAME`` as two words, like ``--data NAME``."""
    return word.split("=", 1) if word.startswith(("--preset=", "--data=", "--prior=")) else [word]


def _value(words: list[str], option: str) -> str | None:
    """What follows an option, the last time it is given; None where it is not."""
    found = [after for word, after in pairwise([*words, ""]) if word == option]
    return found[-1] if found else None


def _taken(words: list[str], option: str) -> str | None:
    """``_value``, and the option taken out of the words."""
    found = _value(words, option)
    while option in words:
        place = words.index(option)
        del words[place : place + 2]
    return found


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

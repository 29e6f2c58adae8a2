"""Verbs that train: train, and sweep, which compares values of one setting."""

import functools
import shlex
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from textvae.cli.settings import common_options, options_of, overrides_of
from textvae.cli.shared import Device, Output, Precision, call, in_range, parse
from textvae.utils.errors import UserError

EXAMPLES = """

    Examples:
        textvae train {name}
        textvae train {name} --trainer.epochs 5 --out runs/short
"""

PROMPTS = 50
"""Training captions, of which the shortest is shown as an example prompt."""


def train(arguments: Sequence[str]) -> Output:
    """Train a recipe or on your own pictures; run again to resume.

    The recipe or folder comes first, because the available options depend on it.
    """
    from textvae.recipes import RECIPES
    from textvae.recipes.resolve import resolve

    if not arguments or arguments[0].startswith("-"):
        if arguments and arguments[0] in ("-h", "--help"):
            return Output({"recipes": list(RECIPES)}, _help(list(RECIPES)))
        raise UserError(
            "the first argument of train must be a folder of pictures or a recipe",
            "write textvae train my_pictures, or textvae train RECIPE; textvae recipes lists the recipes",
        )
    name, *words = arguments
    from textvae.own_pictures import is_pictures

    if is_pictures(name):
        return call("train", _pictures, arguments)

    # The defaults of the other options depend on these.
    def choice(
        preset: str | None = None,
        data: str | None = None,
        prior: Literal["own", "flow"] | None = None,
        clip: str | None = None,
    ) -> dict[str, Any]:
        return {"preset": preset, "data": data, "prior": prior, "clip": clip}

    words_of_choice = [word for word in words if word not in ("-h", "--help")]
    chosen = parse(f"train {name}", choice, words_of_choice, others=True)()
    recipe = resolve(name, **chosen)

    options = options_of(recipe)
    options.__doc__ = f"Train {recipe.name}: {recipe.summary} ({recipe.source})." + EXAMPLES.format(name=name)
    asked = parse(f"train {name}", options, words)
    return asked if isinstance(asked, Output) else _train(name, chosen, recipe, asked)


def _pictures(
    folders: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER [FOLDER ...]", help_behavior_hint="")
    ],
    /,
    minutes: float = 30.0,
    size: Literal[64, 128, 256] = 64,
    start: Annotated[
        str | None, tyro.conf.arg(name="from", metavar="MODEL", help_behavior_hint="(default: train from scratch)")
    ] = None,
    out: Annotated[
        Path | None, tyro.conf.arg(help_behavior_hint="(default: runs/FOLDER; for several folders runs/FOLDER+FOLDER)")
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: int = 0,
    log: Annotated[
        Literal["tensorboard", "trackio", "wandb"] | None, tyro.conf.arg(help_behavior_hint="(default: none)")
    ] = None,
    watch: bool = False,
) -> Output:
    """Train a model on captioned pictures: prepare, train, measure, write the model card.

    Run the same command again to resume an interrupted training.

    Args:
        folders: Captioned pictures: a folder, or hf://datasets/OWNER/NAME. Several become one set.
        minutes: Training time; preparing the pictures and evaluating the model take a few minutes more.
        size: Side length of the generated pictures in pixels.
        start: Model to start from, such as flowers: keeps its autoencoder and trains its flow prior further.
        out: Run folder.
        threads: CPU threads; 0 uses the cores that this process may use.
        log: Logger for losses, learning rates and samples during training; tensorboard writes to RUN/tensorboard.
        watch: Show progress, samples and losses in the browser.

    Examples:
        textvae train my_pictures
        textvae train my_pictures --watch
        textvae train my_pictures --minutes 120 --size 128 --out runs/boats
        textvae train holiday garden hf://datasets/OWNER/NAME
        textvae train my_pictures --minutes 10 --from flowers
    """
    from textvae.data import load
    from textvae.own_pictures import train_pictures
    from textvae.runs.files import METRICS
    from textvae.runs.metrics import Metrics
    from textvae.runs.run import open_run, read_history
    from textvae.utils.device import choose_execution
    from textvae.utils.processes import is_first
    from textvae.utils.progress import duration, say

    execution = choose_execution(device, precision, threads)
    for reason in execution.reasons:
        say(reason)
    run, complete = train_pictures(folders, out, execution, minutes, size, start=start, showing=_showing(log, watch))
    if not complete:
        return Output({"run": str(run), "complete": False}, f"{run}: interrupted; the same command resumes", 130)
    if not is_first():
        return Output({}, "")
    metrics = Metrics.read(run / METRICS)
    captions = load(open_run(run).recipe.data, "train").captions
    prompt = min(captions[:PROMPTS], key=len)
    draw = f"textvae generate {shlex.quote(str(run))} {shlex.quote(prompt)}"
    seconds = read_history(run)[-1]["seconds"]
    data = {"run": str(run), "complete": True, "seconds": seconds, "metrics": metrics.to_dict(), "draw": draw}
    lines = [f"{run}: trained in {duration(seconds)}; samples.png shows what it draws, README.md is its card"]
    return Output(data, "\n".join([*lines, *_measured(metrics), f"draw: {draw}"]))


def _measured(metrics: Any) -> list[str]:
    """The most informative metrics, each beside its reference value."""
    shown = (
        ("faithful to the caption (retrieval)", "generation.retrieval_precision.samples", "real pictures",
         "generation.retrieval_precision.real"),
        ("named colour shown", "generation.colour.accuracy", "real pictures", "generation.colour.real"),
        ("Fréchet distance", "generation.frechet.efficientnet-lite0", "training pictures",
         "reference.real_train.frechet.efficientnet-lite0"),
        ("distance to the nearest training picture", "generation.nearest_training_image.samples", "held-out pictures",
         "generation.nearest_training_image.real_test"),
    )  # fmt: skip
    found = [(title, metrics.get(key), other, metrics.get(than)) for title, key, other, than in shown]
    return [f"{title}: {value:.3g} ({other}: {than:.3g})" for title, value, other, than in found if value is not None]


def _train(name: str, chosen: dict[str, Any], recipe: Any, asked: Any) -> Output:
    in_range("--sample-every", asked.run.sample_every, 1, 10**9)
    if asked.run.limit is not None:
        in_range("--limit", asked.run.limit, 1, 10**12)
    from textvae.experiment.minutes import check_epochs
    from textvae.experiment.train import train_recipe
    from textvae.recipes.resolve import resolve
    from textvae.runs.run import open_run, read_history
    from textvae.utils.device import choose_execution
    from textvae.utils.processes import is_first
    from textvae.utils.progress import duration, say

    start = open_run(asked.run.start) if asked.run.start else None
    keep = _epochs("--keep-epochs", asked.run.keep_epochs)
    settings = resolve(name, **chosen, overrides=overrides_of(asked, recipe))
    if asked.minutes is not None:
        check_epochs(settings, recipe)
    execution = choose_execution(asked.device, asked.precision, asked.run.threads)
    for reason in execution.reasons:
        say(reason)
    callbacks = [show(asked.out) for show in _showing(asked.run.log, asked.run.watch)]
    complete = train_recipe(
        settings,
        asked.out,
        execution,
        asked.run.sample_every,
        asked.run.limit,
        callbacks,
        keep,
        asked.minutes,
        start=start,
    )
    if not is_first():
        return Output({}, "", 0 if complete else 130)
    history = read_history(asked.out)
    last = history[-1] if history else {}
    result = {"run": str(asked.out), "complete": complete, "last": last, "interrupted": not complete}
    if not complete:
        return Output(result, f"{asked.out}: interrupted; the same command resumes", 130)
    losses = "  ".join(f"{term} {value:.2f}" for term, value in last["loss"].items())
    return Output(result, f"{asked.out}: trained in {duration(last['seconds'])}  {losses}")


def _showing(log: str | None, watch: bool) -> list[Callable[[Path], Any]]:
    """Functions from a run folder to the callbacks that show its training: a logger, and the page of ``--watch``.

    If several processes share the training, only the first shows the page.
    """
    from textvae.experiment.loggers import logging_to
    from textvae.utils.processes import is_first

    showing: list[Callable[[Path], Any]] = [functools.partial(logging_to, log)] if log else []
    if watch and is_first():
        try:
            from textvae.serve.watch import Watching
        except ImportError as error:
            raise UserError(f"--watch needs the package {error.name}", "pip install 'textvae[serve]'") from None
        showing.append(Watching)
    return showing


def _epochs(option: str, words: str) -> list[int]:
    """The epochs that an option lists, separated by commas."""
    try:
        return sorted({int(word) for word in words.split(",")}) if words else []
    except ValueError:
        raise UserError(f"{option} {words}: not a list of epochs", f"write it as in {option} 50,100") from None


def _help(recipes: Sequence[str]) -> str:
    listed = textwrap.wrap(", ".join(recipes), 76, break_on_hyphens=False)
    lines = ["usage: textvae train FOLDER [FOLDER ...]|RECIPE [OPTIONS]", "", (train.__doc__ or "").partition("\n")[0]]
    lines += ["", "FOLDER has captioned pictures: textvae train my_pictures --minutes 30 --size 64 is all it takes."]
    lines += ["", "RECIPE is one of those below, or a function of your own, FILE.py:FUNCTION.", "", "options:"]
    for option, help_ in common_options().items():
        wrapped = textwrap.wrap(help_, 50)
        lines += [f"  {option:<28}{wrapped[0]}", *(f"{'':<30}{line}" for line in wrapped[1:])]
    lines += ["", "textvae train RECIPE --help lists all settings of a recipe, with their defaults."]
    lines += ["", "recipes:", *(f"  {line}" for line in listed), "", "examples:"]
    return "\n".join([*lines, "  textvae train label-conv", "  textvae train latent-flow-fashion --preset tiny"])


def sweep(
    recipe: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")],
    setting: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SETTING")],
    values: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="VALUE [VALUE ...]", help_behavior_hint="(required)"),
    ],
    /,
    epochs: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: the recipe's)")] = None,
    validation_images: int = 10_000,
    out: Path = Path("runs/sweep"),
) -> Output:
    """Compare values of one setting by the loss on held-out images.

    Trains the recipe once for each value; the images are held out from the training set.

    Args:
        recipe: Recipe to train.
        setting: Setting to vary, named like the option of train, such as trainer.weight-decay.
        values: Values to compare.
        epochs: Passes over the training images for each value.
        validation_images: Training images held out for the comparison; the test set is not used.
        out: Folder for the run folders.

    Examples:
        textvae sweep label-dense trainer.weight-decay 0 1e-4 1e-3
    """
    from textvae.experiment.sweep import sweep_setting

    result = sweep_setting(recipe, setting, values, epochs, validation_images, out)
    rows = [f"{row['value']:>10}  validation loss {row['loss']:.3f}" for row in result["rows"]]
    return Output(result, "\n".join([result["setting"], *rows, f"best: {result['best']}"]))

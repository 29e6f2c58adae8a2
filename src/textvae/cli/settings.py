"""The options of ``train``: those that most people need first, then every setting of the recipe in groups."""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import tyro

from textvae.cli.shared import Clip, Device

FIRST = (
    "trainer.epochs", "trainer.batch_size", "trainer.learning_rate", "trainer.seed",
    "flow.trainer.epochs", "flow.trainer.batch_size", "flow.trainer.learning_rate",
)  # fmt: skip
"""Settings of the recipe that are shown before the others."""
GROUPS = {
    "model": "Settings of the model.",
    "trainer": "Settings of the training.",
    "flow": "Settings of the flow prior, which is trained after the model, on its latents.",
}


@dataclass(frozen=True)
class Setting:
    """One number, word or tuple of a recipe."""

    path: str
    """Such as "flow.trainer.batch_size"."""
    kind: Any
    """Its type."""
    value: Any
    help: str

    @property
    def identifier(self) -> str:
        """The path as a Python name."""
        return self.path.replace(".", "__")

    @property
    def field(self) -> tuple[str, Any, Any]:
        """The field in the form that ``dataclasses.make_dataclass`` expects."""
        option = tyro.conf.arg(name=self.path.replace("_", "-"), help=self.help)
        return self.identifier, Annotated[self.kind, option], self.value


def settings_of(recipe: Any) -> list[Setting]:
    """Every setting of the recipe's model, trainer and flow prior."""
    parts = {part: getattr(recipe, part) for part in GROUPS if getattr(recipe, part) is not None}
    return [setting for part, value in parts.items() for setting in _leaves(value, part)]


def _leaves(settings: Any, path: str) -> Iterator[Setting]:
    hints, docs = get_type_hints(type(settings)), field_docs(type(settings))
    for field in dataclasses.fields(settings):
        value, inner = getattr(settings, field.name), f"{path}.{field.name}"
        if dataclasses.is_dataclass(value):
            yield from _leaves(value, inner)
        elif path == "flow.trainer":
            # The second trainer has the settings of the first: said once.
            yield Setting(inner, hints[field.name], value, f"See --trainer.{field.name.replace('_', '-')}.")
        else:
            yield Setting(inner, hints[field.name], value, docs.get(field.name, ""))


def field_docs(cls: type) -> dict[str, str]:
    """The docstrings of a dataclass's fields, read from the source because Python does not keep them; else empty."""
    docs: dict[str, str] = {}
    for base in reversed([base for base in cls.__mro__ if dataclasses.is_dataclass(base)]):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except (OSError, TypeError, SyntaxError):
            continue
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for field, doc in pairwise(statements):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(doc, ast.Expr):
                docs[field.target.id] = " ".join(str(getattr(doc.value, "value", "")).replace("``", "").split())
    return docs


def options_of(recipe: Any) -> type:
    """The dataclass of the options of ``textvae train`` for this recipe; the recipe's settings are the defaults."""
    settings = settings_of(recipe)
    by_path = {setting.path: setting for setting in settings}
    presets: list[tuple[str, Any, Any]] = []
    if recipe.presets:
        option = tyro.conf.arg(
            metavar="|".join(recipe.presets), help="Alternative default settings.", help_behavior_hint="(default: none)"
        )
        presets = [("preset", Annotated[str | None, option], None)]
    first: list[tuple[str, Any, Any]] = [
        ("out", Annotated[Path, tyro.conf.arg(help="Run folder. If it holds this training, it is resumed.")],
         Path("runs") / recipe.name),
        ("data", Annotated[str, tyro.conf.arg(help="Data set; for photographs, any prepared set that fits.")],
         recipe.data),
        ("prior", Annotated[Literal["own", "flow"], tyro.conf.arg(
            help="own: the model's own prior. flow: a flow prior trained on its latents (options --flow.*), also for "
            "a finished run.")],
         "own" if recipe.flow is None else "flow"),
        *presets,
        ("minutes", Annotated[float | None, tyro.conf.arg(
            metavar="M", help="Training time in minutes, instead of epochs.",
            help_behavior_hint="(default: the epochs below)")], None),
        *(by_path[path].field for path in FIRST if path in by_path),
        ("device", Device, "auto"),
        ("precision", Annotated[Literal["auto", "fp32", "bf16"], tyro.conf.arg(
            help="Numeric precision; auto picks the fastest and says why.")], "auto"),
    ]  # fmt: skip
    groups: list[tuple[str, Any, Any]] = []
    for part, doc in GROUPS.items():
        rest = [s.field for s in settings if s.path.startswith(f"{part}.") and s.path not in FIRST]
        if rest:
            groups.append(_group(part, doc, rest))
    expert: list[tuple[str, Any, Any]] = [
        ("sample_every", Annotated[int, tyro.conf.arg(
            help="Epochs between updates of samples.png; at most 20 a stage.")], 5),
        ("start", Annotated[str | None, tyro.conf.arg(
            name="from", metavar="MODEL", help="Model to start from: keeps its autoencoder, trains its flow further.",
            help_behavior_hint="(default: none)")], None),
        ("keep_epochs", Annotated[str, tyro.conf.arg(
            metavar="N[,N...]", help="Keep the weights after these epochs in RUN/epochs/N.",
            help_behavior_hint="(default: none)")], ""),
        ("limit", Annotated[int | None, tyro.conf.arg(
            help="Train on the first images only, up to this number.",
            help_behavior_hint="(default: all)")], None),
        ("log", Annotated[Literal["tensorboard", "trackio", "wandb"] | None, tyro.conf.arg(
            help="Logger for losses, learning rates and samples; tensorboard writes to RUN/tensorboard.",
            help_behavior_hint="(default: none)")], None),
        ("watch", Annotated[bool, tyro.conf.arg(
            help="Show progress, samples and losses in the browser.")], False),
        ("threads", Annotated[int, tyro.conf.arg(
            help="CPU threads; 0 uses the cores that this process may use.")], 0),
        ("clip", Clip, None),
    ]  # fmt: skip
    groups.append(_group("run", "Settings of the run.", expert))
    return dataclasses.make_dataclass("TrainOptions", [*first, *groups])


def _group(name: str, doc: str, fields: list[tuple[str, Any, Any]]) -> tuple[str, Any, Any]:
    group = dataclasses.make_dataclass(name, fields, namespace={"__doc__": doc})
    return name, Annotated[group, tyro.conf.OmitArgPrefixes], dataclasses.field(default_factory=group)


def overrides_of(options: Any, recipe: Any) -> dict[str, Any]:
    """The settings in the form of ``resolve``'s ``overrides``: a mapping by part, with nested mappings."""
    values = dict(vars(options))
    for part in (*GROUPS, "run"):
        values |= vars(values.pop(part, None)) if part in values else {}
    overrides: dict[str, Any] = {}
    for setting in settings_of(recipe):
        *parents, name = setting.path.split(".")
        place: Any = overrides
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = values[setting.identifier]
    return overrides


def common_options() -> Mapping[str, str]:
    """Help texts of the options that every recipe has, for ``textvae train --help``."""
    from textvae.training.config import TrainerConfig

    docs = field_docs(TrainerConfig)
    return {
        "--out RUN": "Run folder (default: runs/RECIPE). If it holds this training, it is resumed.",
        "--data NAME": "Data set (default: the recipe's).",
        "--prior own|flow": "The model's own prior, or a flow prior trained on its latents.",
        "--preset NAME": "Alternative default settings of the recipe.",
        "--minutes M": "Training time in minutes, instead of a number of epochs.",
        "--trainer.epochs N": docs["epochs"],
        "--trainer.batch-size N": docs["batch_size"],
        "--trainer.learning-rate X": docs["learning_rate"],
        "--trainer.seed N": docs["seed"],
        "--watch": "Show progress, samples and losses in the browser.",
        "--log tensorboard|trackio|wandb": "Logger for losses, learning rates and samples during training.",
        "--device DEVICE": "auto, cpu, cuda or cuda:N.",
        "--precision P": "auto, fp32 or bf16.",
    }

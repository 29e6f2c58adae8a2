"""What the verbs share: their output, the parsing of arguments, and options that several of them have."""

import contextlib
import functools
import inspect
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from textvae.utils.errors import UserError


@dataclass(frozen=True)
class Output:
    """The result of a verb."""

    data: dict[str, Any]
    """Printed as JSON under --json."""
    text: str
    """Printed for people otherwise."""
    exit_code: int = 0


_TRAINED = "Run folder, name of a bundled model"
Model = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="MODEL", help=f"{_TRAINED}, hf://OWNER/NAME[@REVISION], or exported folder."),
]
TrainedModel = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="MODEL", help=f"{_TRAINED}, or hf://OWNER/NAME[@REVISION]."),
]
"""Of verbs that need the whole model: an export only generates."""
Device = Annotated[str, tyro.conf.arg(metavar="DEVICE", help="auto, cpu, cuda or cuda:N.")]
Precision = Annotated[
    Literal["auto", "fp32", "bf16"],
    tyro.conf.arg(
        help="Numeric precision; auto chooses the fastest for this device. In fp32 a seed gives the same image on "
        "every machine; in bf16 pixels differ by a few grey levels."
    ),
]
Recipe = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="FILE.py:FUNCTION",
        help="Your own recipe that trained the model; its code is executed.",
        help_behavior_hint="(default: the built-in recipe that the run names)",
    ),
]
Clip = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="CLIP",
        help="CLIP weights: a folder, or a model name on the Hugging Face hub.",
        help_behavior_hint="(default: those recorded when the data set was prepared)",
    ),
]
Seed = Annotated[int, tyro.conf.arg(help="Random seed of the first image; image i uses SEED + i.")]
Guidance = Annotated[
    float | None,
    tyro.conf.arg(
        help="Classifier-free guidance scale: 1 samples the learned distribution, more follows the prompt more closely "
        "and varies less. Flow priors only.",
        help_behavior_hint="(default: the model's)",
    ),
]
Scale = Annotated[int, tyro.conf.arg(help="Enlargement of each pixel, 1 to 16.")]


def call(verb: str, function: Callable[..., Output], arguments: Sequence[str]) -> Output:
    """Calls a verb with the arguments of the command line, or returns its help.

    Raises:
        UserError: the arguments do not fit the function, or the verb fails for a reason that the user can correct.
    """
    parsed = parse(verb, function, arguments)
    return parsed if isinstance(parsed, Output) else parsed()


def parse(verb: str, function: Callable[..., Any], arguments: Sequence[str], others: bool = False) -> Any:
    """Parses arguments into a call of ``function`` that is still to be made, or into an instance of a dataclass.

    Returns the help as ``Output`` if the arguments ask for it.

    Args:
        verb: for the help and the errors.
        function: whose parameters are the options.
        arguments: the words after the verb.
        others: ignore options that the function does not have.

    Raises:
        UserError: the arguments do not fit the function.
    """

    @functools.wraps(function)
    def deferred(*positional: Any, **named: Any) -> Callable[[], Any]:
        return functools.partial(function, *positional, **named)

    options: Callable[..., Any] = function if isinstance(function, type) else deferred
    if {"-h", "--help"} & set(arguments):
        arguments = ["--help"]  # tyro leaves out of the help what the other words have given already

    # Captured: errors become UserErrors, and text that is not written to a terminal has no colours.
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            without = (tyro.conf.DisallowNone,)
            if others:
                return tyro.cli(
                    options, prog=f"textvae {verb}", args=arguments, config=without, return_unknown_args=True
                )[0]
            return tyro.cli(options, prog=f"textvae {verb}", args=arguments, config=without)
    except SystemExit as exit_:
        if exit_.code:
            raise _usage_error(verb, err.getvalue()) from None
        text = "\n".join([*map(str.rstrip, out.getvalue().rstrip().splitlines()), *_examples(function)])
        return Output({"verb": verb, "help": text}, text)


def _examples(function: Callable[..., Any]) -> list[str]:
    """The last section of a verb's docstring, which is no part of the help that tyro makes."""
    _, found, lines = (inspect.getdoc(function) or "").partition("Examples:\n")
    return ["", "examples:", *(f"  {line.strip()}" for line in lines.strip().splitlines())] if found else []


def _usage_error(verb: str, box: str) -> UserError:
    """Tyro's error, a titled box of sections between rulers, as a cause and a cure."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip("│|╭╮╰╯+ ") for line in box.splitlines()]
    sections: list[list[str]] = [[]]
    for line in lines[1:]:  # after the title
        if re.fullmatch(r"[-─]+", line):
            sections.append([])
        elif line:
            sections[-1].append(line)
    body, *rest = [section for section in sections if section] or [["the arguments are not understood"]]
    cause = " ".join(body)
    if cause.startswith("Missing from"):
        names = [line for line in body[1:] if (re.fullmatch(r"(\[?[A-Z]|--).*", line) and line.split()[0].isupper())
                 or line.startswith("--")]  # fmt: skip
        cause = f"missing: {', '.join(names)}"
    meant = next((line for section in rest for line in section if line.startswith("--")), None)
    cure = f"textvae {verb} --help lists the options"
    if meant and cause.startswith("Unrecognized"):
        cure = f"did you mean {meant.split()[0].rstrip(',')}? {cure}"
    elif cause.startswith("Unrecognized") and not cause.partition(": ")[2].startswith("-"):
        cure = f"positional arguments come before the options; {cure}"
    return UserError(cause, cure)


def in_range(option: str, value: int | float, low: int | float, high: int | float) -> None:
    """Checks a number of the command line.

    Raises:
        UserError: it is outside of [low, high].
    """
    if not low <= value <= high:
        raise UserError(f"{option} {value} is out of range", f"choose a number from {low} to {high}")


def check_seed(seed: int) -> None:
    """Checks ``--seed``.

    Raises:
        UserError: it is negative, or so large that seeds counted up from it are out of range.
    """
    in_range("--seed", seed, 0, 2**62)


def check_scale(scale: int) -> None:
    """Checks ``--scale``, the enlargement of each pixel.

    Raises:
        UserError: it is out of range.
    """
    in_range("--scale", scale, 1, 16)


def read_lines(file: Path, what: str) -> list[str]:
    """The lines of a UTF-8 text file that are not blank.

    Raises:
        UserError: the file cannot be read, or all lines are blank.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} can't be read: {error}", f"give a UTF-8 text file with one {what} a line") from None
    if not any(lines):
        raise UserError(f"{file} holds no {what}s", f"write one {what} a line")
    return [line for line in lines if line]


@dataclass(frozen=True)
class ExportedRecipe:
    """The part of a recipe that a verb needs to generate images."""

    text: Any
    name: None = None


@dataclass(frozen=True)
class ExportFolder:
    """The part of a run that a verb needs to generate images, for a folder that textvae export wrote."""

    path: Path
    recipe: ExportedRecipe

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name


def open_model(
    model: str, device: str, precision: Literal["auto", "fp32", "bf16"], recipe: str | None, clip: str | None = None
) -> Any:
    """The run of a model, and its ``TextToImage``.

    Raises:
        UserError: there is no such model or device, or the model generates no images.
    """
    from textvae.exported.spec import is_export
    from textvae.pipeline import TextToImage
    from textvae.runs.find import find_run

    if is_export(model):
        generator = TextToImage.load(model, device, precision)
        return ExportFolder(Path(model), ExportedRecipe(generator.text)), generator
    path = find_run(model)  # before torch is imported
    from textvae.runs.run import open_run
    from textvae.utils.device import choose_execution

    run = open_run(path, recipe, clip)
    execution = choose_execution(device, precision)
    return run, TextToImage.load(run, execution.device, execution.precision)

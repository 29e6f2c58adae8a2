"""The command line: each verb is one function, whose arguments are the options and whose docstring is the help.

Nothing heavy is imported before a verb runs, so that ``textvae --help`` answers at once.
"""

import difflib
import errno
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from textvae.cli import (
    chat,
    completion,
    data,
    doctor,
    edit,
    evaluate,
    export,
    generate,
    made,
    recipes,
    reproduce,
    runs,
    serve,
    train,
)
from textvae.cli.shared import Output, call
from textvae.utils.errors import UserError
from textvae.utils.printable import printable, printable_lines
from textvae.utils.processes import is_first, place, speaks
from textvae.utils.version import __version__

VERBS: dict[str, Callable[..., Output] | Mapping[str, Callable[..., Output]]] = {
    "recipes": recipes.recipes,
    "train": train.train,
    "models": runs.models,
    "generate": generate.generate,
    "chat": chat.chat,
    "reconstruct": edit.reconstruct,
    "interpolate": edit.interpolate,
    "edit": edit.edit,
    "inpaint": edit.inpaint,
    "evaluate": evaluate.evaluate,
    "caption": evaluate.caption,
    "describe": evaluate.describe,
    "info": made.info,
    "export": export.export,
    "page": export.page,
    "serve": serve.serve,
    "data": data.ACTIONS,
    "sweep": train.sweep,
    "reproduce": reproduce.reproduce,
    "plot": runs.plot,
    "push": runs.push,
    "ship": recipes.ship,
    "doctor": doctor.doctor,
    "completion": completion.completion,
}

GROUPS = {"data": "List, fetch, prepare, describe or publish data sets."}
"""The summary of verbs that have actions."""

SHARED = ("train", "generate", "evaluate", "data prepare")
"""The verbs whose work several processes share, under torchrun."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Errors of a disk that is full or read-only, wherever they happen."""
FORBIDDEN = (errno.EACCES, errno.EPERM)
"""Errors of a file that this user may not read or write."""

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits: 0 done, 1 a bug (with a traceback), 2 an error of the user, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for terminals that know fewer characters than a prompt has
    as_json = "--json" in words
    if as_json:
        words.remove("--json")
    try:
        _check_unicode(words)
        output = run(words)
        if is_first():
            print(json.dumps(output.data, indent=2) if as_json else printable_lines(output.text))
        sys.stdout.flush()
        sys.exit(output.exit_code)
    except KeyboardInterrupt:
        if is_first():
            print("textvae: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of stdout has left, as `head` does: this is no error, and there is nobody left to write to.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        known = _of_the_user(error)
        if known is None:
            raise
        if not speaks():
            pass
        elif as_json:
            print(json.dumps({"error": {"cause": known.cause, "cure": known.cure}}, indent=2))
        else:
            cure = printable_lines(known.cure).replace("\n", "\n  ")
            print(f"textvae: {printable(known.cause)}\n  {cure}", file=sys.stderr)
        sys.exit(2)


def _of_the_user(error: Exception) -> UserError | None:
    """The error as one that the user can correct; None for a bug."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, MemoryError | RuntimeError):
        # torch's errors where memory is short: of the CPU, of a GPU.
        short = "not enough memory" in str(error) or "out of memory" in str(error)
        if isinstance(error, MemoryError) or short:
            return UserError("there is not enough memory", "ask for fewer images or a smaller model")
    if isinstance(error, OSError):
        file = str(error.filename or "a file")
        if error.errno in NO_ROOM:
            cure = "free some space, or choose another place; the same command then resumes"
            return UserError(f"{file} cannot be written: {error.strerror}", cure)
        if error.errno in FORBIDDEN:
            return UserError(
                f"{file} cannot be opened: {error.strerror}", "check its permissions, or choose another place"
            )
        if error.errno == errno.ENAMETOOLONG:
            cure = "give a shorter one; a prompt comes after the name of the model"
            return UserError(f"the name {file[:60]!r}... is too long for a file", cure)
    return None


def _check_unicode(words: Sequence[str]) -> None:
    """Checks that arguments are UTF-8: Python passes on other bytes as lone surrogates, which no file can hold."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UserError(f"the argument {word!r} is not UTF-8", "write it in UTF-8, or rename the file") from None


def run(words: Sequence[str]) -> Output:
    """Runs one command, given as its words without "textvae".

    Raises:
        UserError: the command is wrong, or fails for a reason that the user can correct.
    """
    if not words or words[0] in ("-h", "--help"):
        return Output({"verbs": list(VERBS)}, overview())
    if words[0] in ("-V", "--version"):
        return Output({"version": __version__}, f"textvae {__version__}")
    verb, *rest = words
    if verb == "help":
        return run([*rest, "--help"])
    function = _chosen(VERBS, verb, "command")
    if not any(words[: len(shared.split())] == shared.split() for shared in SHARED) and place()[1] > 1:
        raise UserError(f"textvae {verb} runs in one process", f"torchrun can start: {', '.join(SHARED)}")
    if isinstance(function, Mapping):
        if not rest or rest[0] in ("-h", "--help"):
            return Output({"actions": list(function)}, _listed(f"textvae {verb}", "COMMAND", function))
        action, *rest = rest
        return call(f"{verb} {action}", _chosen(function, action, f"command of textvae {verb},"), rest)
    # The options of train depend on the recipe.
    return train.train(rest) if verb == "train" else call(verb, function, rest)


def _chosen(known: Mapping[str, T], name: str, kind: str) -> T:
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"there is no {kind} {name!r}", f"{hint}there are: {', '.join(known)}")
    return known[name]


def overview() -> str:
    """The help of ``textvae`` itself."""
    return (
        _listed("textvae", "COMMAND", VERBS, "Text-to-image with variational autoencoders, trained in minutes.")
        + "\n\nMODEL is a run folder, the name of a bundled model, or hf://OWNER/NAME.\n"
        "textvae COMMAND --help shows the options of a command.\n"
        "--json prints the result, or the error, as JSON."
    )


def _listed(command: str, kind: str, functions: Mapping[str, object], summary: str = "") -> str:
    lines = [f"usage: {command} {kind} ... [--json]", *(["", summary] if summary else []), ""]
    for name, function in functions.items():
        doc = GROUPS[name] if isinstance(function, Mapping) else (function.__doc__ or "").partition("\n")[0]
        lines.append(f"  {name:<13}{doc}")
    return "\n".join(lines)

"""How an image was made: the facts that are stored in its file, and ``info``, which reads them."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from textvae.cli.shared import Output
from textvae.utils.errors import UserError

ARGUMENTS = {
    "generate": ("model", "prompts"),
    "interpolate": ("model", "from", "to"),
    "reconstruct": ("model", "images"),
    "edit": ("model", "image"),
    "inpaint": ("model", "image"),
}
"""The positional arguments of the verbs whose images say how they were made. Other facts are options."""
OPTIONS = (
    "from", "to", "prompt", "mask", "num_images", "frames", "seed", "guidance", "steps", "negative", "scale",
    "precision",
)  # fmt: skip


def made_by(verb: str, run: Any, precision: str, **facts: Any) -> dict[str, str]:
    """The facts that a verb stores in its image files; those that are None are left out.

    Args:
        verb: one of ``ARGUMENTS``. It is stored for verbs other than generate.
        run: the ``Run`` of the model.
        precision: of drawing; "fp32", the default of the verbs, is not stored.
        facts: by name; lists are stored as JSON. Of a run outside of the current folder only the name is stored, as
            images are given to others.
    """
    from textvae.runs.find import shipped_models

    here = Path.cwd()
    outside = run.path in shipped_models().values() or not run.path.absolute().is_relative_to(here)
    model = run.name if outside else str(run.path.absolute().relative_to(here))
    chosen = {"precision": None if precision == "fp32" else precision, "verb": None if verb == "generate" else verb}
    found = {"model": model, **facts, **chosen}
    return {
        key: json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
        for key, value in found.items()
        if value is not None
    }


def prompt_facts(prompts: Sequence[str]) -> dict[str, str]:
    """The prompts of an image as one text for people, and several also as JSON."""
    several = {"prompts": json.dumps(list(prompts), ensure_ascii=False)} if len(prompts) > 1 else {}
    return {"prompt": " | ".join(prompts), **several}


def command_of(facts: Mapping[str, str]) -> str | None:
    """The command that reproduces an image with these facts; None if they are not sufficient.

    The facts may come from an untrusted file: each is quoted as one word, and none can act as an option.
    """
    verb = facts.get("verb", "generate")
    if verb not in ARGUMENTS or (verb == "generate" and not {"seed", "num_images"} <= facts.keys()):
        return None
    words = []
    try:
        for name in ARGUMENTS[verb]:
            words += _several(facts, name)
    except (KeyError, ValueError):
        return None
    for name in OPTIONS:
        if name in facts and name not in ARGUMENTS[verb] and not (name == "prompt" and verb == "generate"):
            words += [f"--{name.replace('_', '-')}", facts[name]]
    values = [word for word in words if word.startswith("-") and word[2:].replace("-", "_") not in OPTIONS]
    return None if values else shlex.join(["textvae", verb, *words])


def _several(facts: Mapping[str, str], name: str) -> list[str]:
    """The words of a positional argument, which are several where its name is a plural."""
    if not name.endswith("s"):
        return [facts[name]]
    if name not in facts:
        return [facts[name.removesuffix("s")]]
    values = json.loads(facts[name])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} is no list of texts")
    return values


def info(image: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")], /) -> Output:
    """Show how an image was made, and the command that makes it again.

    Args:
        image: Image file that textvae wrote: by a command, by the HTTP API or by the web page.

    Examples:
        textvae info generated.png
    """
    from textvae.utils.images import read_metadata

    facts = read_metadata(image)
    if not facts:
        raise UserError(f"{image} does not say how it was made", "name an image file that textvae wrote")
    command = command_of(facts)
    data: dict[str, Any] = {**facts, **({"command": command} if command else {})}
    return Output(data, "\n".join(f"{key:<12}{value}" for key, value in data.items()))

"""What ``textvae reproduce`` does for rows of a paper, as single commands: preparing photographs, and training."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from textvae.data.catalog import photograph_set
from textvae.data.prepared import conventional_contents
from textvae.papers.rows import Row, rows_named
from textvae.papers.stored import ENCODED
from textvae.preparation.subset import THEMES
from textvae.recipes import RECIPES
from textvae.utils.config import option_of


def plan_rows(paper: str, runs: Path, only: Sequence[str] = ()) -> tuple[str, ...]:
    """Commands that prepare the photographs of the rows, and train the rows; nothing is read or written.

    ``reproduce`` itself trains and measures, and expects the photographs to be prepared.

    Raises:
        UserError: there is no such row.
    """
    rows = rows_named(paper, only)
    sets = dict.fromkeys(_data_of(row) for row in rows)
    prepared = dict.fromkeys(command for name in sets for command in _preparing(name, runs))
    return (*prepared, *(train_command(row, runs) for row in rows))


def _data_of(row: Row) -> str:
    """The name of a row's data set, which need not be prepared yet."""
    recipe = RECIPES[row.recipe]()
    preset = recipe.presets[row.preset] if row.preset else {}
    return row.data or str(preset.get("data", recipe.data))


def train_command(row: Row, runs: Path) -> str:
    """``textvae train`` for a row, in its run folder below ``runs``."""
    words = ["textvae train", row.recipe]
    words += [f"--preset {row.preset}"] if row.preset else []
    words += [f"--data {shlex.quote(row.data)}"] if row.data else []
    words += ["--prior flow"] if row.flow else []
    for part, settings in (("model", row.model), ("trainer", row.trainer)):
        words += [option_of(part, name, value) for name, value in settings.items()]
    words += [f"--keep-epochs {','.join(map(str, row.keep_epochs))}"] if row.keep_epochs else []
    words += [f"--precision {row.precision}"] if row.precision != "fp32" else []
    return " ".join([*words, f"--out {shlex.quote(str(runs / row.name))}"])


def _preparing(name: str, runs: Path) -> list[str]:
    """Commands that make a set of photographs by its name, with the dual encoders that condition and judge its models;
    none for the other data sets.
    """
    wanted = conventional_contents(name)
    about = photograph_set(wanted.source) if wanted else None
    if wanted is None or about is None:
        return []
    features = f"textvae data prepare {about.name} --size 64 --text sentence --image-encoder efficientnet"
    pairs = [about.retrieval_judge] + ([about.pair] if wanted.text.name == "pair" else [])
    command = f"textvae data prepare {about.name} --size {wanted.side} --text {wanted.text.name}"
    command += f" --image-encoder {wanted.image.name}" if wanted.image else ""
    command += f" --pair {shlex.quote(str(runs / about.pair))}" if wanted.text.name == "pair" else ""
    # What stands between the source and the size, in the name of the set.
    theme = name.removeprefix(about.name).partition(f"-{wanted.side}-")[0].removeprefix("-")
    command += f" --theme {theme}" if theme in THEMES else ""
    encoded = ENCODED.search(name)
    command += f" --embedding-length {encoded[1]}" if encoded and encoded[1] else ""
    trained = [f"textvae train {pair} --out {shlex.quote(str(runs / pair))}" for pair in pairs]
    # The set of the judge may be the set of the models; prepared a second time, without features, it is refused.
    return [features, *trained, *([] if features.startswith(f"{command} ") else [command])]

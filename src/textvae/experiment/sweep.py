"""``sweep_setting``: trains a recipe once for each value of one setting, and compares them on held-out images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textvae.experiment.train import train_recipe
from textvae.recipes.recipe import Recipe
from textvae.recipes.resolve import RecipeLike, resolve
from textvae.runs.run import read_history
from textvae.utils.config import to_dict
from textvae.utils.device import choose_execution
from textvae.utils.errors import UserError
from textvae.utils.progress import say


def sweep_setting(
    recipe: RecipeLike, setting: str, values: Sequence[str], epochs: int | None, validation_images: int, out: Path
) -> dict[str, Any]:
    """Trains a recipe once for each value and compares the loss on held-out images after the last epoch.

    Args:
        recipe: see ``resolve``.
        setting: as the options of ``textvae train`` name it: "trainer.weight-decay", "model.latent-dim".
        values: as text; each is read as the type of the setting's present value.
        epochs: for each value; None keeps the recipe's.
        validation_images: held out from the end of the training set, never trained on.
        out: a folder, in which each value gets a run folder.

    Returns:
        "recipe", "setting", "rows" (one a value, with all validation terms in nats an image), and the "best" value.

    Raises:
        UserError: there is no such setting, or a value is of another type.
    """
    trainer = {"validation_images": validation_images} | ({} if epochs is None else {"epochs": epochs})
    # Only settings of the model and of its training are compared, so a flow prior is not trained.
    chosen = resolve(recipe, overrides={"trainer": trainer}, prior="own")
    variants = [(value, _with_setting(chosen, setting, value)) for value in values]
    if not variants:
        raise UserError("there is nothing to compare", "give two or more values")
    execution = choose_execution()
    rows = []
    for value, variant in variants:
        run = out / f"{chosen.name}-{setting}-{value}"
        say(f"{setting} = {value}")
        if not train_recipe(variant, run, execution):
            raise KeyboardInterrupt
        rows.append({"value": value, "run": str(run)} | read_history(run)[-1]["validation"])
    best = min(rows, key=lambda row: row["loss"])
    return {"recipe": chosen.name, "setting": setting, "rows": rows, "best": best["value"]}


def _with_setting(recipe: Recipe, setting: str, value: str) -> Recipe:
    part, _, key = setting.replace("-", "_").partition(".")
    if part not in ("model", "trainer") or not key:
        raise UserError(
            f"{setting!r} is no setting of the model or of its training, which are what a sweep compares",
            "name one as train does: trainer.weight-decay",
        )
    if key not in (known := to_dict(getattr(recipe, part))):
        raise UserError(f"{part} has no setting {key!r}", f"it has: {', '.join(known)}")
    current = known[key]
    try:
        typed = type(current)(value) if isinstance(current, int | float | str) else None
    except ValueError:
        typed = None
    if typed is None or isinstance(current, bool):
        raise UserError(f"{value!r} is no value for {setting}", f"it is now {current!r}")
    return resolve(recipe, overrides={part: {key: typed}})

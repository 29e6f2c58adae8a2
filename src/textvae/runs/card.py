"""The model card of a run, and the copy of a run that ships inside the package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors

from textvae.data import source
from textvae.models.base import TextVAE
from textvae.recipes import RECIPES
from textvae.recipes.recipe import Recipe
from textvae.runs.metrics import SHOWN, numbers
from textvae.runs.quantize import SCALE, half_precision, quantized
from textvae.runs.run import CARD, METRICS, MODEL, SAMPLES, Run, open_run, read_config, write_config, write_weights
from textvae.text.caption_words import CaptionWords
from textvae.utils.config import to_dict
from textvae.utils.files import write_text

LIMITS = (
    "It draws what its data shows, with its data's biases and nothing else. The numbers above hold for that data and "
    "that protocol."
)
USE = "For study, teaching, play, and as a start for models of one's own."
RESEARCH = (
    "The photographs that it was trained on are for research and belong to their makers; use it, and what it draws, "
    "likewise."
)
WHOLE = "It has read whole captions only: prompts should be like them; a word or two alone may come out as nothing."
SHOWN_OF_PHOTOGRAPHS = (
    "reconstruction.frechet.efficientnet-lite0",
    "generation.frechet.efficientnet-lite0",
    "generation.colour.accuracy",
    "generation.colour.real",
    "speed.generated_images_per_s",
)


def write_card(run: Run) -> None:
    """Writes README.md of a run folder from its other files.

    Raises:
        UserError: the folder's files can't be read.
    """
    from textvae.runs.metrics import Metrics

    recipe, data = run.recipe, source(run.recipe.data)
    lines = [f"# {run.name}", "", f"{recipe.summary[0].upper()}{recipe.summary[1:]} ({recipe.source}).", ""]
    if (run.path / SAMPLES).exists():
        lines += [f"![a row of samples for each prompt]({SAMPLES})", ""]
    lines += [
        f"- Recipe: `{recipe.name}`, trained by `{_command(recipe)}`",
        f"- Data: {data.title} ({data.home})",
        f"- Terms of the data: {data.terms}",
        *(["- Weights: 8-bit matrices with a scale for each row (`textvae.runs.quantize`)"] if _is_packed(run) else []),
        "- Licence of the weights: MIT",
        f"- Use: {RESEARCH if data.terms.endswith('for research') else USE}",
        "",
    ]
    if isinstance(recipe.text, CaptionWords):
        lines += [
            f"It reads {len(recipe.text.words)} words, all of them from its training captions, at most "
            f"{recipe.text.length} a prompt; others are left out, with a notice. It knows no order of words but what "
            "those captions taught it, and nothing that they do not speak of.",
            *([WHOLE] if recipe.flow and not recipe.flow.model.prior.word_dropout else []),
            "",
        ]
    if (run.path / METRICS).exists():
        metrics = Metrics.read(run.path / METRICS).to_dict()
        found = numbers(metrics, (*SHOWN, *SHOWN_OF_PHOTOGRAPHS, "classification.accuracy"))
        lines += [
            "| measured | value |",
            "| --- | --- |",
            *(f"| {key} | {value:.4g} |" for key, value in found.items()),
        ]
        protocol = metrics["protocol"]
        told = ", ".join(
            f"{key} {protocol[key]}" for key in ("data", "split", "num_samples", "seed") if key in protocol
        )
        lines += ["", f"Protocol: {told}; the whole of it stands in {METRICS}.", ""]
    lines += [LIMITS, ""]
    write_text(run.path / CARD, "\n".join(lines))


def _is_packed(run: Run) -> bool:
    if not (run.path / MODEL).exists():
        return False
    with safetensors.safe_open(run.path / MODEL, "pt") as stored:
        return any(name.endswith(SCALE) for name in stored.keys())  # noqa: SIM118


def _command(trained: Recipe) -> str:
    """What trains it: the recipe's name, and the settings that are not the recipe's own."""
    # The file of a recipe of one's own is not imported for this: its settings are not compared.
    named = RECIPES[trained.name]() if trained.name in RECIPES and not trained.origin else trained
    words = [f"textvae train {trained.origin or trained.name}"]
    if trained.data != named.data:
        words.append(f"--data {trained.data}")
    for part in ("model", "trainer", "flow"):
        before, now = getattr(named, part), getattr(trained, part)
        if before is not None and now is not None:
            words += _changed(to_dict(before), to_dict(now), part)
        elif part == "flow" and before is not now:
            words.append(f"--prior {'own' if now is None else 'flow'}")
    return " ".join(words)


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], where: str) -> list[str]:
    found = []
    for key, value in now.items():
        if isinstance(value, dict):
            found += _changed(before[key], value, f"{where}.{key}")
        # How many words a caption may be made of is the data's, and no setting.
        elif value != before[key] and (where, key) != ("flow.model", "size"):
            shown = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            found.append(f"--{where}.{key.replace('_', '-')} {shown}")
    return found


def ship(run: str, folder: Path) -> Run:
    """Copies a finished run, its weights quantized, to a folder of the package; measure it there anew.

    A judge's are in half precision, as what all others are measured by.

    Raises:
        UserError: there is no such run, or its weights don't go into half precision.
    """
    shipped = open_run(run)
    config, model = read_config(shipped.path), shipped.load_model()
    narrowed = quantized if isinstance(model, TextVAE) else half_precision
    write_weights(folder, narrowed(model.state_dict()))
    write_config(folder, shipped.recipe, config["data"]["fingerprint"], config["execution"])
    return open_run(folder)

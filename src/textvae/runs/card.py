"""The model card (README.md) of a run, with metadata for the Hugging Face hub."""

import contextlib
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors

from textvae.data import contents, source
from textvae.data.catalog import photograph_set
from textvae.data.manifest import SetContents
from textvae.data.prepared import conventional_contents
from textvae.models.attribute_classifier import AttributeClassifier
from textvae.models.captioner import Captioner
from textvae.models.classifier import Classifier
from textvae.models.dual_encoder import DualEncoder
from textvae.recipes import RECIPES
from textvae.recipes.resolve import resolve
from textvae.runs.files import CARD, METRICS, MODEL, SAMPLES
from textvae.runs.metrics import SHOWN, Metrics, numbers
from textvae.runs.quantize import SCALE
from textvae.runs.run import COMMAND, LIMIT, START, Run
from textvae.text.base import NONE
from textvae.text.caption_words import CaptionWords
from textvae.utils.citations import PAPERS
from textvae.utils.config import option_of, to_dict
from textvae.utils.errors import UserError
from textvae.utils.files import write_text

LIMITS = "The model can only draw what its training data shows, and it reproduces the biases of that data."
SCORING_LIMITS = "The model is valid only for data like its training data."
USE = "research, teaching, experiments, and as a starting point for further training"
RESEARCH = (
    "research only, like the photographs that it was trained on, which belong to their owners; the same applies to "
    "generated images"
)
WHOLE = (
    "It was trained on complete captions only. Prompts should resemble them; one or two words alone may draw nothing."
)
LISTED = (
    *SHOWN,
    "generation.retrieval_precision.real",
    "reconstruction.frechet.efficientnet-lite0",
    "generation.frechet.efficientnet-lite0",
    "generation.kernel.efficientnet-lite0.mean",
    "reference.real_train.frechet.efficientnet-lite0",
    "generation.colour.accuracy",
    "generation.colour.real",
    "generation.nearest_training_image.samples",
    "generation.nearest_training_image.real_test",
    "speed.generated_images_per_s",
    "classification.accuracy",
)
"""The metrics of a card, as far as they were measured."""

HUB_DATASETS = {"fashion-mnist": "zalando-datasets/fashion_mnist", "mnist": "ylecun/mnist"}
"""Data sets by the names that the Hugging Face hub has for them."""


@dataclass(frozen=True)
class _Data:
    """What a card says about the training data."""

    title: str
    home: str
    terms: str
    hub_name: str


def write_card(run: Run) -> None:
    """Writes README.md of a run folder from the folder's other files, unless it says the same already.

    Raises:
        UserError: one of the files cannot be read, or nothing is known about the training data.
    """
    text = card_of(run)
    if not (run.path / CARD).is_file() or (run.path / CARD).read_bytes() != text.encode():
        write_text(run.path / CARD, text)


def card_of(run: Run, address: str = "") -> str:
    """Returns the text of a run's model card.

    Args:
        run: the run.
        address: hf://OWNER/NAME, where the card is for the hub; it then says how to use the model.

    Raises:
        UserError: as ``write_card``.
    """
    recipe, data = run.recipe, _data_of(run)
    metrics, start = _metrics_of(run), run.config.get(START)
    draws = recipe.draws
    found = numbers(metrics, LISTED)
    lines = [
        *_front_matter(run, data, metrics.get("protocol", {}), found, draws),
        f"# {run.name}",
        "",
        f"{recipe.summary[0].upper()}{recipe.summary[1:]} ({recipe.source}).",
        *(
            f"Paper {letter}: {paper.citation}."
            for letter, paper in PAPERS.items()
            if f"paper {letter}" in recipe.source
        ),
        "",
    ]
    if address and draws:
        prompt = shlex.quote(recipe.prompts[0] if recipe.prompts else NONE)
        lines += ["```bash", "pip install 'textvae[hub]'", f"textvae generate {address} {prompt}", "```", ""]
    if (run.path / SAMPLES).exists():
        lines += [f"![Samples, one row per prompt]({SAMPLES})", ""]
    lines += [
        f"- Recipe: `{recipe.name}`, trained by `{training_command(run)}`",
        f"- Training data: {data.title}" + (f" ({data.home})" if data.home else ""),
        f"- Terms of the data: {data.terms}",
        *([f"- Started from: `{start['model']}`, whose data's terms apply as well"] if start else []),
        *([f"- Weight format: {form}"] if (form := _weight_format(run)) else []),
        "- Licence of the weights: MIT",
        f"- Intended use: {RESEARCH if 'research' in data.terms else USE}",
        "",
    ]
    if isinstance(recipe.text, CaptionWords):
        lines += [
            f"The model knows {len(recipe.text.words):,} words, all from its training captions, and uses at most "
            f"{recipe.text.length} per prompt. Other words are replaced by known words of related meaning, or ignored; "
            "a notice says so. The model only knows subjects and phrasings like those of its training captions.",
            # The captions of sprouts leave attributes out themselves.
            *([WHOLE] if recipe.flow and not recipe.flow.model.prior.word_dropout and recipe.data != "sprouts" else []),
            "",
        ]
    if found:
        shown = ", ".join(
            f"{key} {metrics['protocol'][key]}"
            for key in ("data", "split", "num_samples", "seed")
            if key in metrics["protocol"]
        )
        lines += [
            "| metric | value |",
            "| --- | --- |",
            *(f"| {key} | {value:.4g} |" for key, value in found.items()),
            "",
            f"Protocol: {shown}; complete in {METRICS}. The numbers above hold for this data and this protocol only.",
            "",
        ]
    return "\n".join([*lines, LIMITS if draws else SCORING_LIMITS, ""])


def _metrics_of(run: Run) -> dict[str, Any]:
    """What was measured of a run's present weights; empty where they were trained further since."""
    if not (run.path / METRICS).exists():
        return {}
    metrics = Metrics.read(run.path / METRICS).to_dict()
    measured = metrics["protocol"].get("weights")
    return metrics if measured in (None, run.weights_id) else {}


def training_command(run: Run) -> str:
    """Returns the command that trains such a run, with all options that differ from the recipe's defaults."""
    words = [str(run.config[COMMAND])] if run.config.get(COMMAND) else _command_of(run)
    if precision := run.config.get("execution", {}).get("precision"):
        words.append(f"--precision {precision}")
    return " ".join(words)


def _command_of(run: Run) -> list[str]:
    trained = run.recipe
    words = [f"textvae train {trained.origin or trained.name}"]
    # The file of a user's own recipe is not imported for this, so its settings are not compared.
    if trained.name in RECIPES and not trained.origin:
        # Which preset was used is not stored: the one that leaves the fewest options is named.
        options: list[list[str]] = []
        for preset in (None, *trained.presets):
            with contextlib.suppress(UserError):  # a preset for images of another size
                options.append(_options(run, preset))
        shortest: list[str] = min(options, key=len)
        words += shortest
    if start := run.config.get(START):
        words.append(f"--from {shlex.quote(str(start['model']))}")
    if limit := run.config.get(LIMIT):
        words.append(f"--limit {limit}")
    if run.snapshot is not None:
        words.append(f"--keep-epochs {run.snapshot}")
    return words


def _options(run: Run, preset: str | None) -> list[str]:
    trained = run.recipe
    words = [f"--preset {preset}"] if preset else []
    base = resolve(trained.name, preset)
    if trained.data != base.data:
        words.append(f"--data {shlex.quote(trained.data)}")
        base = resolve(trained.name, preset, _contents_of(run) or trained.data)
    if (trained.flow is None) != (base.flow is None):
        words.append(f"--prior {'own' if trained.flow is None else 'flow'}")
        base = resolve(base, prior="own" if trained.flow is None else "flow")
    for part in ("model", "trainer", "flow"):
        before, now = getattr(base, part), getattr(trained, part)
        if before is not None and now is not None:
            words += _changed(to_dict(before), to_dict(now), part)
    return words


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], where: str) -> Iterator[str]:
    for key, value in now.items():
        if isinstance(value, dict):
            yield from _changed(before[key], value, f"{where}.{key}")
        # The size of a flow's conditions follows from the data and is not a setting.
        elif value != before[key] and (where, key) != ("flow.model", "size"):
            yield option_of(where, key, value)


def _front_matter(
    run: Run, data: _Data, protocol: Mapping[str, Any], found: Mapping[str, float], draws: bool
) -> list[str]:
    """Metadata for the Hugging Face hub: YAML between two lines of dashes. JSON strings are YAML strings."""
    model, flow = run.recipe.model, run.recipe.flow
    task, tags = "other", ["pytorch"]  # a user's own model that is no VAE
    if draws:
        task, tags = "text-to-image", ["text-to-image", "variational-autoencoder", *(["flow-matching"] if flow else [])]
    elif isinstance(model, AttributeClassifier.Config | Classifier.Config):
        task, tags = "image-classification", ["image-classification", "evaluation"]
    elif isinstance(model, Captioner.Config):
        task, tags = "image-to-text", ["image-captioning", "evaluation"]
    elif isinstance(model, DualEncoder.Config):
        task, tags = "feature-extraction", ["contrastive-learning"]
    lines = ["---", "license: mit", "library_name: textvae", f"pipeline_tag: {task}", "tags:"]
    lines += [f"- {tag}" for tag in tags]
    lines += ["datasets:", f"- {json.dumps(data.hub_name)}"]
    if found:
        lines += [
            "model-index:",
            f"- name: {json.dumps(run.name)}",
            "  results:",
            "  - task:",
            f"      type: {task}",
            "    dataset:",
            f"      name: {json.dumps(str(protocol['data']))}",
            f"      type: {json.dumps(data.hub_name)}",
            f"      split: {json.dumps(str(protocol.get('split', 'test')))}",
            "    metrics:",
            *(f"    - type: {key}\n      value: {value:.4g}" for key, value in found.items()),
        ]
    return [*lines, "---", ""]


def _data_of(run: Run) -> _Data:
    """Facts about the training data. Of a named photograph set they are known where it is not prepared, too."""
    name = run.recipe.data
    held = _contents_of(run)
    if held is not None and (entry := photograph_set(held.source)):
        title = f"{entry.title}; prepared at {held.side} x {held.side} pixels, text: {held.text.name}"
        return _Data(title, entry.home, entry.terms, entry.name)
    known = source(name)
    # Captioned digits and digit scenes are made of MNIST's images.
    images = "mnist" if known.home == source("mnist").home else name
    return _Data(known.title, known.home, known.terms, HUB_DATASETS.get(images, Path(name).name))


def _contents_of(run: Run) -> SetContents | None:
    """What the prepared set held that a run was trained on; None for other data sets."""
    name, stored = run.recipe.data, run.config.get("data", {}).get("contents")
    return SetContents.from_dict(name, stored) if stored else contents(name) or conventional_contents(name)


def _weight_format(run: Run) -> str:
    """How the weights are stored; empty before there are any."""
    if not (run.path / MODEL).exists():
        return ""
    with safetensors.safe_open(run.path / MODEL, "pt") as stored:
        names = list(stored.keys())
        if any(name.endswith(SCALE) for name in names):
            return "8-bit matrices with one scale per row (`textvae.runs.quantize`)"
        halves = any(stored.get_slice(name).get_dtype() == "F16" for name in names)
        return "half precision" if halves else "single precision"

"""Measures a trained model on test images and writes the protocol beside the numbers."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from textvae import data
from textvae.data.captioned_images import CaptionedImages
from textvae.data.remote import is_url
from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.evaluators.classification import attribute_classification, classification
from textvae.evaluation.evaluators.description import captioning
from textvae.evaluation.evaluators.generation import generation
from textvae.evaluation.evaluators.likelihood import likelihood
from textvae.evaluation.evaluators.reconstruction import reconstruction
from textvae.evaluation.evaluators.reference import reference
from textvae.evaluation.evaluators.retrieval import dual_encoder
from textvae.evaluation.evaluators.speed import speed
from textvae.evaluation.judges import read_by
from textvae.evaluation.measurement import Measurement, merged
from textvae.models.attribute_classifier import AttributeClassifier
from textvae.models.base import TextVAE
from textvae.models.captioner import Captioner
from textvae.models.classifier import Classifier
from textvae.models.dual_encoder import DualEncoder
from textvae.pipeline import TextToImage
from textvae.runs.metrics import Metrics
from textvae.runs.run import Run
from textvae.utils.device import Arithmetic
from textvae.utils.errors import UserError
from textvae.utils.processes import Processes, processes
from textvae.utils.progress import ProgressLine

FEATURE_NETS = ("efficientnet-lite0", "inception")
"""Feature networks for grey images, besides the judge's."""
PHOTOGRAPH_NETS = (*FEATURE_NETS, "inception-768")
"""For colour images. The loss of some models is a distance in EfficientNet's features; inception-768 is in no loss."""
MAX_SAMPLES = 10_000
"""Test images by default, if the test set has as many."""
SECTIONS: Mapping[str, Callable[[EvaluationContext], Measurement]] = {
    "reconstruction": reconstruction,
    "generation": generation,
    "likelihood": likelihood,
    "reference": reference,
    "speed": speed,
}
"""The sections of metrics.json of a model that generates images, and what measures them."""


def nets_for(images: CaptionedImages) -> tuple[str, ...]:
    """The default feature networks for comparing samples with these images, besides the judge's."""
    return PHOTOGRAPH_NETS if images.image_shape[0] == 3 else FEATURE_NETS


def evaluate_run(
    run: Run,
    device: torch.device,
    num_samples: int | None = None,
    importance_samples: int = 64,
    seed: int = 0,
    nets: Sequence[str] | None = None,
    clip: str = "",
    precision: Arithmetic = "fp32",
) -> Metrics:
    """Measures reconstruction, generation, likelihood and speed of a model; of a classifier, its accuracy.

    Under torchrun, processes share the work, and each returns the same numbers except for speed.

    Images are generated for the captions of the test images that they are compared with, so classes are as frequent as
    in the test set.

    Args:
        run: the run of the model.
        device: where to compute.
        num_samples: number of test images, and of generated images. Fréchet distances can only be compared at equal
            numbers. Default: all test images, at most ``MAX_SAMPLES``.
        importance_samples: posterior samples per image for the likelihood bounds.
        seed: image i is generated with ``seed + i``; also the seed of draws from the posterior.
        nets: feature networks for the distances, besides the judge's; default: ``FEATURE_NETS``, for colour images
            ``PHOTOGRAPH_NETS``.
        clip: the CLIP model for the CLIP score, a name on the hub or a folder; see ``judges.clip_judge``.
        precision: precision of generation.

    Raises:
        UserError: the test set has fewer images than asked for, or the model is of an unknown kind.
    """
    group = processes()
    run = read_by(run, clip)
    images = group.in_turn(lambda: _test_images(run, num_samples))
    model = run.load_model()
    fingerprint = images.checked_fingerprint()
    protocol: dict[str, Any] = {
        "model": run.recipe.name,
        "weights": run.weights_id,
        "data": run.recipe.data,
        "split": "test",
        "fingerprints": {"data": fingerprint},
        "num_samples": len(images),
        "seed": seed,
        "device": str(device),
    }
    _check_same(group, {"weights": run.weights_id, "test images": fingerprint})
    if isinstance(model, Classifier):
        return _metrics(protocol, {"classification": classification(model.to(device), images)})
    if isinstance(model, AttributeClassifier):
        return _metrics(protocol, {"classification": attribute_classification(model.to(device), images)})
    if isinstance(model, Captioner):
        return _metrics(protocol, {"captions": captioning(model, run.recipe, images, seed)})
    if isinstance(model, DualEncoder):
        return _metrics(protocol, {"retrieval_precision": dual_encoder(model, run.recipe, images, seed)})
    if not isinstance(model, TextVAE):
        raise UserError(f"there is no evaluation for {run.name}, a {type(model).__name__}", "evaluate another model")
    pipeline = TextToImage(model, run.recipe.text, device, precision)
    pipeline.processes = group
    context = EvaluationContext(
        run,
        pipeline,
        images,
        nets_for(images) if nets is None else nets,
        seed=seed,
        importance_samples=importance_samples,
        clip=clip,
    )
    protocol |= {"precision": precision} | context.protocol()
    if is_url(run.recipe.data):
        protocol["training_images"] = f"the first {len(context.train)}"
    _check_same(group, {"networks": [net.name for net in context.nets]})
    measured = {}
    for number, (name, evaluator) in enumerate(SECTIONS.items(), start=1):
        with ProgressLine(f"measuring {name}, {number} of {len(SECTIONS)}"):
            measured[name] = evaluator(context)
    return _metrics(protocol, measured)


def _test_images(run: Run, num_samples: int | None) -> CaptionedImages:
    """The first ``num_samples`` test images of a run's data."""
    images = data.load(run.recipe.data, "test")
    if num_samples is None:
        num_samples = min(MAX_SAMPLES, len(images))
    if not 2 <= num_samples <= len(images):
        raise UserError(
            f"{num_samples} samples can't be compared with {len(images)} test images",
            f"choose --num-samples from 2 to {len(images)}",
        )
    return images.first(num_samples)


def _check_same(group: Processes, facts: Mapping[str, object]) -> None:
    """Checks that all processes measure the same: otherwise they would wait for one another.

    Raises:
        UserError: they do not.
    """
    every = group.gather(facts)
    for name, fact in every[0].items():
        if any(other[name] != fact for other in every):
            raise UserError(f"not all processes have the same {name}", "give all hosts the same files and packages")


def _metrics(protocol: dict[str, Any], sections: Mapping[str, Measurement]) -> Metrics:
    """The content of metrics.json: the numbers of each section, with the protocol and absences of all."""
    whole = merged(sections.values())
    absent = dict(whole.absent)
    numbers = {name: _finite(measurement.numbers, name, absent) for name, measurement in sections.items()}
    return Metrics(protocol | whole.protocol, numbers, absent)


def _finite(value: Any, name: str, absent: dict[str, str]) -> Any:
    """The numbers that are finite; the others, such as ratios to test images that are all alike, become absent."""
    if not isinstance(value, Mapping):
        return value
    kept = {}
    for key, inner in value.items():
        numbers = inner if isinstance(inner, list) else [inner]
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            absent[f"{name}.{key}"] = "it is not finite for these images"
        else:
            kept[key] = _finite(inner, f"{name}.{key}", absent)
    return kept

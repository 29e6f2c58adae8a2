"""Whether generated images show what captions say, for captions of training and for held-out kinds of captions."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from textvae import data
from textvae.data.digit_numbers import DIGIT_NUMBERS, digit_halves
from textvae.data.digit_scenes import DIGIT_SCENES, halves
from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.judges import ClassifierJudge
from textvae.evaluation.measurement import Measurement
from textvae.evaluation.metrics.confusion import judge_report
from textvae.pipeline import TextToImage
from textvae.text.expression_grammar import parse_expression, value_of_expression
from textvae.text.scene_grammar import Scene, parse_scene

SAMPLES = 2000
"""Images generated for each kind of captions."""


def caption_accuracy(context: EvaluationContext) -> Measurement:
    """``caption_accuracy``, ``scene_accuracy`` of two-digit scenes, or ``number_accuracy`` of numbers of two digits;
    nothing for data with one kind of captions.
    """
    name, generator = context.run.recipe.data, context.pipeline
    accuracy: dict[str, Any]
    if name == DIGIT_SCENES.name:
        accuracy = scene_accuracy(generator, SAMPLES, context.seed, generator.device)
        return Measurement({"scene_accuracy": accuracy | {"samples_each": SAMPLES}})
    if name == DIGIT_NUMBERS.name:
        accuracy = number_accuracy(generator, SAMPLES, context.seed, generator.device)
        return Measurement({"number_accuracy": accuracy | {"samples_each": SAMPLES}})
    if not isinstance(context.judge, ClassifierJudge) or not held_out_splits(name):
        return Measurement()
    accuracy = accuracy_by_part(generator, name, context.judge, SAMPLES, context.seed)
    return Measurement({"caption_accuracy": accuracy | {"samples_each": SAMPLES}})


def held_out_splits(source: str) -> tuple[str, ...]:
    """The splits of test captions of a data set with several, such as "test-within" and "test-beyond"."""
    return tuple(split for split in data.source(source).splits if split.startswith("test-"))


def accuracy_by_part(
    generator: TextToImage, source: str, judge: ClassifierJudge, num_samples: int, seed: int
) -> dict[str, float]:
    """Judge accuracy for training captions ("seen") and for each split of test captions, each caption equally likely.

    Args:
        generator: the model.
        source: a data set with classes, in which all images of a class share their captions.
        judge: classifies the generated images.
        num_samples: images generated for each split.
        seed: chooses the captions; image i is generated with ``seed + i``.
    """
    found = {}
    for split in ("train", *held_out_splits(source)):
        part = data.load(source, split)
        assert part.labels is not None
        meaning = torch.zeros(len(part.captions), dtype=torch.int64)
        # All images of a class share their captions, so the captions of one image per class are enough.
        for label in part.labels.unique().tolist():  # type: ignore[no-untyped-call]
            first, last = part.caption_range[int((part.labels == label).nonzero()[0])].tolist()
            meaning[first:last] = label
        drawn = torch.randint(len(part.captions), (num_samples,), generator=torch.Generator().manual_seed(seed))
        conditions = generator.text.encode(part.captions)[drawn]
        images = generator.draw(conditions, range(seed, seed + num_samples))
        report = judge_report(judge.classify(images), meaning[drawn], part.class_names)
        found["seen" if split == "train" else split] = report.accuracy
    return found


def scene_accuracy(generator: TextToImage, num_samples: int, seed: int, device: torch.device) -> dict[str, float]:
    """Exact match: fraction of two-digit scenes in which the judge sees both digits, each in its place.

    "seen": pairs of digits of training; "held_out": pairs that were never together in training; "real_held_out": the
    same for real images of held-out pairs, what a perfect model would reach.
    """
    judge = ClassifierJudge("judge-digits", device)
    found = {}
    for name, split in (("seen", "test-seen"), ("held_out", "test")):
        part = data.load(DIGIT_SCENES.name, split).first(num_samples)
        captions = [part.captions[int(start)] for start, _ in part.caption_range]
        scenes = [parse_scene(caption) for caption in captions]
        images = generator.draw(generator.text.encode(captions), range(seed, seed + len(captions)))
        found[name] = float(_both_right(images, scenes, judge).double().mean())
        if split == "test":
            found["real_held_out"] = float(_both_right(part.images, scenes, judge).double().mean())
    return found


def number_accuracy(generator: TextToImage, num_samples: int, seed: int, device: torch.device) -> dict[str, float]:
    """Exact match: fraction of calculations whose result the judge reads in the image, both digits or the one.

    "seen": calculations of training; "test-unseen" and "test-longer": the kinds of ``expression_splits``, each
    calculation equally likely; "real_held_out": the same for real images of "test-unseen", what a perfect model would
    reach.
    """
    judge = ClassifierJudge("judge-digits", device)
    found = {}
    for name, split in (("seen", "train"), *((part, part) for part in held_out_splits(DIGIT_NUMBERS.name))):
        captions = data.load(DIGIT_NUMBERS.name, split).captions
        drawn = torch.randint(len(captions), (num_samples,), generator=torch.Generator().manual_seed(seed)).tolist()
        chosen = [captions[number] for number in drawn]
        images = generator.draw(generator.text.encode(chosen), range(seed, seed + num_samples))
        found[name] = _right_numbers(images, chosen, judge)
    real = data.load(DIGIT_NUMBERS.name, "test-unseen").first(num_samples)
    described = [real.captions[int(start)] for start, _ in real.caption_range]
    return found | {"real_held_out": _right_numbers(torch.as_tensor(real.images), described, judge)}


def _right_numbers(images: UInt8[Tensor, "n 1 60 60"], captions: Sequence[str], judge: ClassifierJudge) -> float:
    tens, units, two = digit_halves(images.cpu())
    read = torch.where(two, 10 * judge.classify(tens), 0) + judge.classify(units)
    values = torch.tensor([value_of_expression(parse_expression(caption)) for caption in captions])
    # A zero in the place of the tens is no number.
    return float(((read == values) & (two == (values > 9))).double().mean())


def _both_right(images: UInt8[Tensor, "n 1 60 60"], scenes: list[Scene], judge: ClassifierJudge) -> Bool[Tensor, "n"]:
    first, second = halves(images, [scene.relation for scene in scenes])
    right = judge.classify(first) == torch.tensor([scene.first for scene in scenes])
    return right & (judge.classify(second) == torch.tensor([scene.second for scene in scenes]))

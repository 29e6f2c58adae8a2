"""The distance to the nearest training image; with classes, diversity within them and the nearest class mean."""

import math
from typing import Any

import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.measurement import Measurement
from textvae.evaluation.metrics.chunks import mean_of_rows
from textvae.evaluation.metrics.diversity import mean_distance_within_classes, nearest_neighbours

COMPARED = 1000
"""Images whose nearest training image is searched for."""
LEAST_IN_A_CLASS = 2


def diversity(context: EvaluationContext) -> Measurement:
    """``nearest_training_image``; where there are classes, ``diversity_within_class`` and ``nearest_class_mean``."""
    labels = context.images.labels
    images = {"samples": context.generated.images, "real_test": context.images.images}
    train, nearest = _flat(context.train.images), {}
    for name, some in images.items():
        distance, _ = nearest_neighbours(_flat(some[:COMPARED]), train)
        nearest[name] = float(distance.mean()) / 255
    numbers: dict[str, Any] = {"nearest_training_image": nearest}
    if labels is None:
        return Measurement(numbers)
    numbers |= _nearest_class_mean(images, labels, context)
    if int(labels.bincount().max()) < LEAST_IN_A_CLASS:
        reason = f"no class has {LEAST_IN_A_CLASS} test images among the {len(labels)} that are measured"
        return Measurement(numbers, absent={"generation.diversity_within_class": reason})
    within = {"pixels": _within_classes(_flat(images["samples"]), _flat(images["real_test"]), labels, 255.0)}
    if "judge" in context.generated_features:
        drawn, real = context.generated_features["judge"], context.real_features["judge"]
        within["judge"] = _within_classes(drawn, real, labels, 1.0)
    return Measurement({"diversity_within_class": within, **numbers})


def _within_classes(drawn: Tensor, real: Tensor, labels: Int64[Tensor, "n"], unit: float) -> dict[str, float]:
    """Mean distances within classes of generated and real images, in multiples of ``unit``, and their ratio."""
    samples, reference = (mean_distance_within_classes(rows, labels) / unit for rows in (drawn, real))
    return {"samples": samples, "real": reference, "ratio": samples / reference if reference else math.inf}


def _nearest_class_mean(
    images: dict[str, UInt8[Tensor, "n c h w"]], labels: Int64[Tensor, "n"], context: EvaluationContext
) -> dict[str, Any]:
    """How often the nearest mean training image is that of the class asked for: whether captions are understood,
    independent of how sharp the images are.
    """
    train = context.train
    if train.labels is None or train.labels.bincount().min() == 0:
        return {}
    means = torch.stack([_class_mean(train.images[train.labels == k]) for k in range(int(train.labels.max()) + 1)])
    found = {}
    for name, some in images.items():
        _, nearest = nearest_neighbours(_flat(some), means)
        found[name] = float((nearest == labels).double().mean())
    return {"nearest_class_mean": found}


def _class_mean(images: UInt8[Tensor, "n c h w"]) -> Float64[Tensor, "pixels"]:
    return mean_of_rows(images).flatten()


def _flat(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n pixels"]:
    """The images as rows of 8-bit pixels: a view, without a copy of what may be memory-mapped."""
    return images.flatten(1)

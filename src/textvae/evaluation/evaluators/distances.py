"""Fréchet and kernel distance between two sets of images, in the features of each network."""

from typing import Any

from textvae.evaluation.context import Features
from textvae.evaluation.metrics.frechet import frechet_from_features
from textvae.evaluation.metrics.kernel import kernel_distance


def distances(features: Features, real: Features) -> dict[str, Any]:
    """``frechet`` and ``kernel``, each by the name of the feature network."""
    return {
        "frechet": {name: frechet_from_features(features[name], real[name]) for name in features},
        "kernel": {name: dict(vars(kernel_distance(features[name], real[name]))) for name in features},
    }

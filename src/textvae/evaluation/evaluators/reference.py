"""The section ``reference``: metrics of real training images, the mean training image and real test images."""

import torch

from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.evaluators.distances import distances
from textvae.evaluation.evaluators.judge_accuracy import judge_accuracy
from textvae.evaluation.evaluators.reconstruction import similarity
from textvae.evaluation.measurement import Measurement
from textvae.evaluation.metrics.chunks import mean_of_rows
from textvae.evaluation.metrics.frechet import frechet_from_features


def reference(context: EvaluationContext) -> Measurement:
    """Reference values for the distances.

    ``real_train``: as many training images, what a perfect model would reach. ``mean_image``: the mean training image,
    repeated. ``real_test``: judge accuracy on the test images themselves.
    """
    test = context.images.images
    mean = mean_of_rows(context.train.images).round().to(torch.uint8)[None]
    frechet = {}
    for net in context.nets:
        features = net(mean).expand(len(test), -1)
        frechet[net.name] = frechet_from_features(features, context.real_features[net.name])
    return Measurement(
        {
            "real_train": distances(context.features_of_real(context.train.first(len(test))), context.real_features),
            "mean_image": {"frechet": frechet} | similarity(mean.expand_as(test), test),
            "real_test": judge_accuracy(context, test),
        }
    )

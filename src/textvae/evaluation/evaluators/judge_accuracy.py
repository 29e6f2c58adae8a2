"""Judge accuracy: how often a classifier sees the class that the caption asks for."""

from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.judges import ClassifierJudge
from textvae.evaluation.metrics.confusion import judge_report


def judge_accuracy(context: EvaluationContext, images: UInt8[Tensor, "n c h w"]) -> dict[str, Any]:
    """Accuracy, accuracy per class and confusion matrix; empty without a judge.

    Args:
        context: has the judge, and the labels of the test images.
        images: one for each test image, in their order.
    """
    if not isinstance(context.judge, ClassifierJudge) or context.images.labels is None:
        return {}
    report = judge_report(context.judge.classify(images), context.images.labels, context.images.class_names)
    return {
        "judge_accuracy": report.accuracy,
        "judge_accuracy_per_class": report.per_class,
        "judge_confusion": report.confusion,
    }

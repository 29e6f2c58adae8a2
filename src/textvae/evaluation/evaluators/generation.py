"""The section ``generation``: images generated for the captions of the test images, compared with those images."""

from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.evaluators.attribute_accuracy import attribute_accuracy
from textvae.evaluation.evaluators.caption_accuracy import caption_accuracy
from textvae.evaluation.evaluators.clip_score import clip_score
from textvae.evaluation.evaluators.colour import colour
from textvae.evaluation.evaluators.description import description
from textvae.evaluation.evaluators.distances import distances
from textvae.evaluation.evaluators.diversity import diversity
from textvae.evaluation.evaluators.judge_accuracy import judge_accuracy
from textvae.evaluation.evaluators.retrieval import retrieval
from textvae.evaluation.evaluators.word_sensitivity import word_sensitivity
from textvae.evaluation.measurement import Measurement, merged

PARTS = (caption_accuracy, attribute_accuracy, diversity, colour, word_sensitivity, retrieval, description, clip_score)
"""Each measures nothing where it does not apply, such as colours of grey images."""


def generation(context: EvaluationContext) -> Measurement:
    """Distances and judge accuracy, then all ``PARTS``."""
    whole = Measurement(
        distances(context.generated_features, context.real_features)
        | judge_accuracy(context, context.generated.images),
        absent=context.absent,
    )
    return merged([whole, *(part(context) for part in PARTS)])

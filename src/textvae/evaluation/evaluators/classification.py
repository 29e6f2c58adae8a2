"""The section ``classification``: the accuracy of a classifier on real test images."""

from textvae.data.captioned_images import CaptionedImages
from textvae.evaluation.evaluators.attribute_accuracy import attributes_of
from textvae.evaluation.judges import seen_in
from textvae.evaluation.measurement import Measurement
from textvae.evaluation.metrics.confusion import judge_report
from textvae.models.attribute_classifier import AttributeClassifier
from textvae.models.classifier import Classifier
from textvae.text.sprout_grammar import ATTRIBUTES


def classification(model: Classifier, images: CaptionedImages) -> Measurement:
    """Accuracy, accuracy per class, confusion matrix and number of images."""
    assert images.labels is not None
    report = judge_report(seen_in(images.images, model), images.labels, images.class_names)
    return Measurement(dict(vars(report)))


def attribute_classification(model: AttributeClassifier, images: CaptionedImages) -> Measurement:
    """Accuracy of a classifier of attributes: of each, and of all together where a caption names them."""
    named = attributes_of([images.captions[first] for first in images.caption_range[:, 0].tolist()])
    right = (seen_in(images.images, model) == named).double()
    by_attribute = {name: float(right[named[:, i] >= 0, i].mean()) for i, name in enumerate(ATTRIBUTES)}
    every = float(((right > 0) | (named < 0)).all(1).double().mean())
    return Measurement({"accuracy": every, "per_attribute": by_attribute, "count": len(images)})

"""The section ``classification``: the accuracy of a classifier on real test images."""

import torch

from textvae.data.captioned_images import CaptionedImages
from textvae.evaluation.measurement import Measurement
from textvae.evaluation.metrics.confusion import judge_report
from textvae.models.classifier import Classifier
from textvae.pipeline import unit_interval


def classification(model: Classifier, images: CaptionedImages) -> Measurement:
    """Accuracy, accuracy per class, confusion matrix and number of images."""
    assert images.labels is not None
    device = next(model.parameters()).device
    with torch.no_grad():
        logits = torch.cat([model(unit_interval(batch, device)) for batch in torch.split(images.images, 500)])
    return Measurement(dict(vars(judge_report(logits.argmax(1).cpu(), images.labels, images.class_names))))

"""Retrieval precision of generated images, judged by a dual encoder; and of a dual encoder itself."""

import torch

from textvae import data
from textvae.data.captioned_images import CaptionedImages
from textvae.data.catalog import PHOTOGRAPHS
from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.fitted_judge import FittedJudge, fitted_judge
from textvae.evaluation.judges import RetrievalJudge, retrieval_judge
from textvae.evaluation.measurement import Measurement
from textvae.evaluation.metrics.retrieval import OTHERS, retrieval_precision
from textvae.evaluation.partners import partners
from textvae.models.dual_encoder import DualEncoder
from textvae.pretrained.feature_nets import Unavailable
from textvae.recipes.conditions import conditions_of
from textvae.recipes.recipe import Recipe

FITTED_LEAST, FITTED_FOR_EACH = 1000, 4
"""Training images that a judge is fitted to: so many for each test image, but not fewer than the first number."""


def retrieval(context: EvaluationContext) -> Measurement:
    """``retrieval_precision`` of generated images, of real images, and of generated images with shuffled captions."""
    if not context.in_colour:
        return Measurement()
    photographs = data.photographs(context.run.recipe.data)
    judge: RetrievalJudge | FittedJudge | Unavailable | None = None
    if photographs is not None and photographs.name in PHOTOGRAPHS:
        judge = retrieval_judge(context.run)
        if isinstance(judge, Unavailable):
            return Measurement(absent={"generation.retrieval_precision": judge.reason})
    if RetrievalJudge.features not in context.generated_features:
        reason = f"the judge needs the feature network {RetrievalJudge.features}, which is not available"
        return Measurement(absent={"generation.retrieval_precision": reason})
    captions = context.captions
    if len(set(captions)) < 2:
        return Measurement(absent={"generation.retrieval_precision": "all captions of the test images are equal"})
    if judge is None:  # pictures of one's own, or several sets joined, for which there is no recipe of a judge
        train = context.train.first(max(FITTED_LEAST, FITTED_FOR_EACH * len(captions)))
        judge = fitted_judge(train, context.features_of_real(train)[RetrievalJudge.features])
    if isinstance(judge, Unavailable):
        return Measurement(absent={"generation.retrieval_precision": judge.reason})
    texts = judge.embed_captions(captions)
    generated, real = (
        judge.embed_images(features[RetrievalJudge.features])
        for features in (context.generated_features, context.real_features)
    )
    wrong = context.mismatched
    shuffled = [captions[number] for number in wrong.tolist()]
    return Measurement(
        {
            "retrieval_precision": {
                "samples": retrieval_precision(generated, texts, captions, context.seed),
                "real": retrieval_precision(real, texts, captions, context.seed),
                "shuffled": retrieval_precision(generated, texts[wrong], shuffled, context.seed),
            }
        },
        {"retrieval": {"judge": judge.name, "others": min(OTHERS, len(captions) - 1)}},
    )


@torch.no_grad()
def dual_encoder(model: DualEncoder, recipe: Recipe, images: CaptionedImages, seed: int) -> Measurement:
    """Retrieval precision of a dual encoder on real test images, and with captions of other images as chance level."""
    numbers = images.one_caption_each(seed)
    device = next(model.parameters()).device
    texts = model.embed_text(conditions_of(images, recipe.text)[numbers].to(device)).cpu()
    pictures = model.embed_image(images.images.flatten(1).to(device)).cpu()
    captions = [images.captions[number] for number in numbers.tolist()]
    wrong = partners(len(images))
    return Measurement(
        {
            "real": retrieval_precision(pictures, texts, captions, seed),
            "shuffled": retrieval_precision(pictures, texts[wrong], [captions[i] for i in wrong.tolist()], seed),
        },
        {"retrieval": {"others": min(OTHERS, len(images) - 1), "captions": "one an image, drawn at random"}},
    )

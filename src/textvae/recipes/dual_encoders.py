"""Dual encoders of captions and images, two for each named photograph set: one conditions models, one judges them."""

import dataclasses

from textvae.data.catalog import PHOTOGRAPHS
from textvae.models.dual_encoder import DualEncoder
from textvae.recipes.recipe import Recipe
from textvae.text.sentence import SentenceText
from textvae.training.config import TrainerConfig


def pair(source: str) -> Recipe:
    """Embeds captions and images in one space, as a replacement of CLIP for paper c; trained on frozen features.

    Source: ours, with CLIP's loss (Radford et al. 2021).
    Choices: both projections are linear, as in CLIP. The batch size is 256: larger batches leave few steps in an epoch
    of coco-mini. EfficientNet sees the 64-pixel pictures, as it will see generated ones.
    Data: ``textvae data prepare coco-mini --size 64 --text sentence --image-encoder efficientnet``.
    Time: one minute on one core. Result: ``textvae evaluate runs/pair-coco-mini``.
    Command: ``textvae train pair-coco-mini``.

    Args:
        source: a name in ``catalog.PHOTOGRAPHS``.
    """
    return Recipe(
        name=PHOTOGRAPHS[source].pair,
        summary=f"captions and images of {source} in one embedding space, as conditions instead of CLIP's",
        source="ours, after Radford et al. 2021",
        data=f"{source}-64-sentence-features",
        text=SentenceText(),
        model=DualEncoder.Config(),
        trainer=TrainerConfig(
            epochs=40,
            batch_size=256,
            learning_rate=1e-3,
            weight_decay=1e-5,
            schedule="cosine",
            validation_images=200,
        ),
        prompts=(),
    )


def pair_judge(source: str) -> Recipe:
    """A second dual encoder, which judges by retrieval whether a sample shows its caption.

    Choices: it never conditions a model, since a model must not be scored by what conditioned it. It therefore also
    differs from ``pair`` in its seed, width and hidden layer.
    Result: ``textvae evaluate runs/pair-judge-coco-mini``.
    Command: ``textvae train pair-judge-coco-mini``.

    Args:
        source: a name in ``catalog.PHOTOGRAPHS``.
    """
    other = pair(source)
    return dataclasses.replace(
        other,
        name=PHOTOGRAPHS[source].retrieval_judge,
        summary=f"captions and images of {source} in one embedding space, to judge samples by retrieval",
        model=DualEncoder.Config(width=192, hidden=384, dropout=0.4),
        trainer=dataclasses.replace(other.trainer, seed=1),
    )

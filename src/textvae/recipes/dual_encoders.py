"""The pairs: small dual encoders of captions and images, trained on prepared photographs, in minutes on one core."""

import dataclasses
from typing import Literal

from textvae.models.dual_encoder import DualEncoder
from textvae.recipes.recipe import Recipe
from textvae.text.sentence import SentenceText
from textvae.training.config import TrainerConfig

Source = Literal["coco-mini", "flowers102", "products"]

SOURCES: tuple[Source, ...] = ("coco-mini", "flowers102", "products")


def source_of(data: str) -> Source | None:
    """The source of a prepared set by the set's name: a part of it, or all, of any size; None where it is another."""
    # A subset's name goes on after its source's: coco-mini-cow-sheep-64-sentence.
    return next((source for source in SOURCES if data == source or data.startswith(f"{source}-")), None)


def pair(source: Source) -> Recipe:
    """Captions and images in one space, by CLIP's loss on frozen features of both: stands in for CLIP in paper c.

    The features come from ``textvae data prepare coco-mini --size 64 --text sentence --image-encoder efficientnet``;
    EfficientNet sees the 64-pixel pictures, as it will see drawn ones. Both projections are linear, as CLIP's.
    The batch is 256: with more, few steps are left in an epoch of coco-mini; a tenth of the pairs validates.

    Command: ``textvae train pair-coco-mini``, a minute on one core; measured: ``textvae evaluate runs/pair-coco-mini``.
    """
    return Recipe(
        name=f"pair-{source}",
        summary=f"captions and images of {source} in one space: conditions where CLIP can't be had",
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


def pair_judge(source: Source) -> Recipe:
    """Another pair, which never conditions a model: it judges whether a drawn picture fits its caption.

    What scores a model must not be what conditioned it: another seed, another width, and a hidden layer.

    Command: ``textvae train pair-judge-coco-mini``; measured: ``textvae evaluate runs/pair-judge-coco-mini``.
    """
    other = pair(source)
    return dataclasses.replace(
        other,
        name=f"pair-judge-{source}",
        summary=f"captions and images of {source} in one space: judges drawn pictures by retrieval",
        model=DualEncoder.Config(width=192, hidden=384, dropout=0.4),
        trainer=dataclasses.replace(other.trainer, seed=1),
    )

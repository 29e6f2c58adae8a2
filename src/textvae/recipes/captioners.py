"""Captioners, one for each named photograph set: from a picture to a caption, the reverse of what the models do."""

from textvae.data.catalog import PHOTOGRAPHS
from textvae.models.captioner import Captioner
from textvae.recipes.recipe import Recipe
from textvae.text.caption_words import CaptionWords
from textvae.training.config import TrainerConfig


def captioner(source: str) -> Recipe:
    """Captions of pictures, real or drawn, from frozen features: what can be read off a picture again.

    Source: ours, for the wish of paper c ("reverse the pipeline", Areas of Improvement); the network is that of
    Vinyals et al. 2015 in small.
    Choices: EfficientNet sees the 64-pixel pictures, as it will see generated ones. Dropout of 0.4, and the epoch with
    the best loss on held-out pictures: there are few captions for a model of language.
    Data: ``textvae data prepare flowers102 --size 64 --text sentence --image-encoder efficientnet``.
    Command: ``textvae train captioner-flowers102``. Result: ``textvae evaluate runs/captioner-flowers102``.

    Args:
        source: a name in ``catalog.PHOTOGRAPHS``.
    """
    entry = PHOTOGRAPHS[source]
    return Recipe(
        name=entry.captioner,
        summary=f"writes captions of pictures like those of {source}, for textvae describe",
        source="ours, after paper c",
        data=f"{source}-64-sentence-features",
        text=CaptionWords(length=entry.caption_length),
        model=Captioner.Config(),
        trainer=TrainerConfig(
            epochs=12,
            batch_size=64,
            learning_rate=1e-3,
            weight_decay=1e-5,
            schedule="cosine",
            validation_images=400,
            patience=3,
        ),
        prompts=(),
    )

"""Captioners, one for each named photograph set: they write captions for pictures, the reverse of generation."""

from textvae.data.catalog import PHOTOGRAPHS
from textvae.models.captioner import Captioner
from textvae.recipes.recipe import Recipe
from textvae.text.caption_words import CaptionWords
from textvae.training.config import TrainerConfig


def captioner(source: str) -> Recipe:
    """Writes captions for pictures, real or generated, from frozen image features.

    Source: ours, as suggested by paper c ("reverse the pipeline", Areas of Improvement); a small version of the network
    of Vinyals et al. 2015.
    Choices: EfficientNet sees the 64-pixel pictures, as it will see generated ones. Dropout is 0.4 and
    the epoch with the best held-out loss is kept, because there are few captions for training a language model.
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

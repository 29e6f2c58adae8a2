"""What a model is told of each caption: computed before, or now."""

from torch import Tensor

from textvae.data.images import CaptionedImages
from textvae.errors import UserError
from textvae.recipes.recipe import TextEncoder


def conditions_of(images: CaptionedImages, text: TextEncoder) -> Tensor:
    """One condition a caption: those that came with the data, else what the recipe's encoder makes of the captions.

    Raises:
        UserError: the data was prepared with another encoder than the one that will read prompts.
    """
    if images.conditions is None:
        return text.encode(images.captions)
    identity = getattr(text, "identity", type(text).__name__)
    if images.encoder not in ("", identity):
        raise UserError(
            f"{images.name} was prepared with the text encoder {images.encoder}, the model reads with {identity}",
            "Prepare the data with the model's encoder, or train a recipe for the data's",
        )
    return images.conditions

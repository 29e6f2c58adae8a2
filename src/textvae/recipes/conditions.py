"""What a model is told: of each caption, or of each image; computed before, or now."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.recipes.recipe import Recipe
from textvae.text.base import TextEncoder
from textvae.text.caption_words import CaptionWords
from textvae.utils.errors import UserError

PROMPTS = 5
"""Captions that are drawn while a recipe without prompts of its own is trained, at most."""
Conditions = tuple[Tensor, Int64[Tensor, "n 2"]]
"""What may be told, and for each image the stretch of it from which one is drawn a step."""


def with_captions(recipe: Recipe, images: CaptionedImages) -> Recipe:
    """The recipe with what it takes from its training captions: words where its text encoder learns them, and prompts
    where it has none.
    """
    captions = images.captions
    if not recipe.prompts:
        recipe = replace(recipe, prompts=tuple(captions[:: -(-len(captions) // PROMPTS)]))
    if not isinstance(recipe.text, CaptionWords):
        return recipe
    # Stretches begun less those ended before: how many images own a caption.
    begun, ended = (edge.bincount(minlength=len(captions) + 1) for edge in images.caption_range.unbind(1))
    of_each = (begun - ended).cumsum(0)[:-1]
    text, flow = recipe.text.learned_from(captions, of_each.tolist()), recipe.flow
    if flow is not None:
        flow = replace(flow, model=replace(flow.model, size=text.num_tokens))
    return replace(recipe, text=text, flow=flow)


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


def training_conditions(images: CaptionedImages, recipe: Recipe) -> Conditions:
    """The conditions of a training set, and the stretch of them from which each image draws one a step.

    Raises:
        UserError: the data was prepared with another encoder, or has no embeddings of its images.
    """
    if recipe.condition_on == "text":
        return conditions_of(images, recipe.text), images.caption_range
    rows = torch.arange(len(images))
    trained = images.first(len(images) - recipe.trainer.validation_images)
    return image_conditions_of(images, recipe, trained), torch.stack([rows, rows + 1], dim=1)


def image_conditions_of(images: CaptionedImages, recipe: Recipe, trained: CaptionedImages) -> Float[Tensor, "n d"]:
    """One condition an image, of its embedding, as a recipe that is trained on embeddings of images wants it.

    Args:
        images: to describe.
        recipe: its ``condition_on`` is not text.
        trained: the training images, whose means say how far images lie from captions. The shift is made here, where
            embeddings of images come in, so that a trained model has nothing to remember: prompts go in as they are.
    """
    if images.image_conditions is None:
        raise UserError(
            f"{images.name} has no embeddings of its images, on which {recipe.name} is trained",
            "textvae data prepare ... --image-encoder adds them",
        )
    if recipe.condition_on == "image":
        return images.image_conditions
    assert trained.image_conditions is not None
    return images.image_conditions + (conditions_of(trained, recipe.text).mean(0) - trained.image_conditions.mean(0))

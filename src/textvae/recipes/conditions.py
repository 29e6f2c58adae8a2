"""The conditions that a model is trained on: of captions or images, stored with the data or computed now."""

from dataclasses import replace
from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.data.parts import ConditionsInParts
from textvae.data.remote import ImagesInParts
from textvae.data.stored_captions import READ_AT_ONCE
from textvae.models.captioner import Captioner
from textvae.recipes.recipe import Recipe
from textvae.text.base import TextEncoder
from textvae.text.caption_words import CaptionWords
from textvae.utils.errors import UserError
from textvae.utils.memory import zeros
from textvae.utils.progress import say, without_notices

PROMPTS = 5
"""Training captions, at most, that serve as prompts of a recipe without any."""
Conditions = tuple[Tensor, Int64[Tensor, "n 2"]]
"""All conditions, and for each image the range of them from which each step draws one."""


def with_captions(recipe: Recipe, images: CaptionedImages | ImagesInParts) -> Recipe:
    """The recipe completed from its training captions: with a vocabulary, if its text encoder learns one, and with
    prompts, if it has none.
    """
    if not recipe.prompts:
        captions = images.some_captions(PROMPTS) if isinstance(images, ImagesInParts) else images.captions
        recipe = replace(recipe, prompts=tuple(captions[:: -(-len(captions) // PROMPTS)]))
    if not isinstance(recipe.text, CaptionWords):
        return recipe
    if isinstance(images, ImagesInParts):
        text = recipe.text.learned_from_counts(images.words())
    else:
        text = recipe.text.learned_from(images.captions, images.times_shown())
    model, flow = recipe.model, recipe.flow
    if isinstance(model, Captioner.Config):
        model = replace(model, num_tokens=text.num_tokens)
    if flow is not None:
        flow = replace(flow, model=replace(flow.model, size=text.num_tokens))
    return replace(recipe, text=text, model=model, flow=flow)


def conditions_of(images: CaptionedImages, text: TextEncoder) -> Tensor:
    """One condition a caption: those stored with the data, else what the recipe's encoder returns. Words that are
    learned with the model are always read from the captions.

    Raises:
        UserError: the data was prepared with another encoder than the one that reads prompts.
    """
    if images.conditions is None or isinstance(text, CaptionWords):
        return text.encode(images.captions)
    _check_encoder(images, text)
    return images.conditions


def _check_encoder(images: CaptionedImages | ImagesInParts, text: TextEncoder) -> None:
    identity = getattr(text, "identity", type(text).__name__)
    if images.encoder not in ("", identity):
        raise UserError(
            f"{images.name} was prepared with the text encoder {images.encoder}, the model reads with {identity}",
            "prepare the data with the model's encoder, or choose a recipe for the data's encoder",
        )


def conditions_in_parts(images: ImagesInParts, recipe: Recipe) -> ConditionsInParts:
    """A function that returns the conditions of some rows of a part of a training set.

    Raises:
        UserError: as ``training_conditions``; or the recipe needs all images at once.
    """
    text, stored = recipe.text, images.stored
    if recipe.condition_on == "image" and stored.image is not None and recipe.flow is None:
        return lambda part, rows, captions: cast(Tensor, part.image)[rows]
    if recipe.condition_on != "text":
        raise UserError(
            f"{recipe.name} cannot be trained on the set in parts {images.name}",
            "prepare a set on this disk, with embeddings of its images, and train on that",
        )
    if stored.text.kind == "words":
        if not isinstance(text, CaptionWords):
            raise UserError(f"{recipe.name} reads stored embeddings, {images.name} has none", "choose another recipe")
        return lambda part, rows, captions: torch.from_numpy(
            text.training_rows([part.captions[number] for number in captions.tolist()])
        )
    _check_encoder(images, text)
    _check_width(recipe, images, stored.text.width)
    return lambda part, rows, captions: cast(Tensor, part.text)[captions]


def conditions_for(images: CaptionedImages | ImagesInParts, recipe: Recipe) -> Conditions | ConditionsInParts:
    """Whichever of ``training_conditions`` and ``conditions_in_parts`` the training set needs."""
    if isinstance(images, ImagesInParts):
        return conditions_in_parts(images, recipe)
    return training_conditions(images, recipe)


def _check_width(recipe: Recipe, images: CaptionedImages | ImagesInParts, found: int) -> None:
    width = getattr(recipe.model, "condition_dim", None)
    if width not in (None, found):
        raise UserError(
            f"{recipe.name} takes conditions of {width} numbers, {images.name} has {found}",
            f"add --model.condition-dim {found}",
        )


def training_conditions(images: CaptionedImages, recipe: Recipe) -> Conditions:
    """The conditions of a training set, and for each image the range of them from which each step draws one.

    Raises:
        UserError: the data was prepared with another encoder, its conditions have another width than the model takes,
            or it has no embeddings of its images.
    """
    if recipe.condition_on == "text":
        if isinstance(recipe.text, CaptionWords):
            conditions: Tensor = _token_ids(images, recipe.text)
            words, length = len(recipe.text.words), recipe.text.length
            say(f"vocabulary: the {words:,} words that occur often enough; captions are cut after {length} words")
        else:
            conditions = conditions_of(images, recipe.text)
        _check_width(recipe, images, conditions.shape[-1])
        return conditions, images.caption_range
    rows = torch.arange(len(images))
    trained = images.first(len(images) - recipe.trainer.validation_images)
    return image_conditions_of(images, recipe, trained), torch.stack([rows, rows + 1], dim=1)


def _token_ids(images: CaptionedImages, text: CaptionWords) -> Int64[Tensor, "captions length"]:
    """The token ids of the captions that images have, in a file if they are many.

    Raises:
        UserError: no caption has a known word.
    """
    count = int(images.caption_range[:, 1].max())
    ids, known = zeros((count, text.length), torch.int64), False
    for start in range(0, count, READ_AT_ONCE):
        rows = text.training_rows(images.captions[start : min(start + READ_AT_ONCE, count)])
        ids[start : start + len(rows)] = torch.from_numpy(rows)
        known = known or bool(rows.any())
    if not known:
        with without_notices():
            text.encode(images.captions[:READ_AT_ONCE])
    return ids


def image_conditions_of(images: CaptionedImages, recipe: Recipe, trained: CaptionedImages) -> Float[Tensor, "n d"]:
    """One condition an image: its stored embedding, for a recipe that is trained on embeddings of images.

    Args:
        images: the images.
        recipe: its ``condition_on`` is "image" or "shifted-image".
        trained: the training images. For "shifted-image", embeddings are translated by the difference of their mean
            from the mean of their captions. Prompts are not translated, so a trained model stores no shift.

    Raises:
        UserError: the data has no embeddings of its images.
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

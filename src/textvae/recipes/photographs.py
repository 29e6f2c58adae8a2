"""What recipes for photographs share: a prepared set, by whose name its size and its text encoder are known."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from textvae.errors import UserError
from textvae.recipes.recipe import Recipe, TextEncoder
from textvae.text.sentence import SentenceText
from textvae.training import TrainerConfig

PROMPTS = (
    "a cow standing in the green grass under a blue sky",
    "a man skiing down a hill of white snow",
    "a red bus on a city street",
    "a plate of food on a wooden table",
    "a beach with the sea and a surfer",
)
"""What paper c asked for: grass, sky and snow; and what MS-COCO shows most."""

ENCODERS: Mapping[str, tuple[Callable[[], TextEncoder], int]] = {
    "sentence": (SentenceText, 384),
    "pair": (SentenceText, 384),
}
"""The text encoders whose pooled embeddings condition these models, with their lengths, by the last part of a set's
name: ``coco-mini-64-sentence`` is read by ``sentence``."""


def photograph_recipe(
    name: str, summary: str, source: str, data: str, model: Any, trainer: TrainerConfig, **more: Any
) -> Recipe:
    """A recipe on a prepared set: the text encoder, and the length of a condition, are those of the set."""
    draft = Recipe(name, summary, source, data, _encoder(data)[0](), model, trainer, PROMPTS, **more)
    return on(draft, data)


def on(recipe: Recipe, data: str) -> Recipe:
    """The recipe on another prepared set of its size: other photographs, or another text encoder (``-clip``).

    Raises:
        UserError: the set is of another size, or of an encoder without pooled embeddings; the recipe is for no photos.
    """
    encoder, dimensions = _encoder(data)
    if not hasattr(recipe.model, "condition_dim"):
        raise UserError(f"{recipe.name} is made for {recipe.data} alone", "choose a recipe for photographs: clip-...")
    size = recipe.model.image_size
    if int(_parts(data)[1]) != size:
        raise UserError(
            f"{recipe.name} draws {size} pixels, {data} is of another size",
            f"textvae data prepare SOURCE --size {size} makes one that fits",
        )
    model = dataclasses.replace(recipe.model, condition_dim=dimensions)
    return dataclasses.replace(recipe, data=data, text=encoder(), model=model)


def _encoder(data: str) -> tuple[Callable[[], TextEncoder], int]:
    name = _parts(data)[2]
    if name not in ENCODERS:
        raise UserError(
            f"{data} has no pooled embedding of each caption", f"prepare the data with one of: {', '.join(ENCODERS)}"
        )
    return ENCODERS[name]


def _parts(data: str) -> tuple[str, str, str]:
    """SOURCE, SIZE and ENCODER of a set's name."""
    named = re.fullmatch(r"(.+)-(\d+)-([a-z-]+)", data)
    if named is None:
        raise UserError(f"{data!r} is no prepared set", "name one as SOURCE-SIZE-ENCODER: coco-mini-64-sentence")
    return named[1], named[2], named[3]

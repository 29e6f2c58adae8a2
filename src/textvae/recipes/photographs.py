"""What recipes for photographs share: a prepared set, by whose name its size and its text encoder are known."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from textvae.encoders import PairText
from textvae.errors import UserError
from textvae.models.pair import Pair
from textvae.recipes import pairs
from textvae.recipes.recipe import Recipe, TextEncoder
from textvae.text.caption_words import CaptionWords
from textvae.text.clip import ClipText
from textvae.text.minilm import WIDTH
from textvae.text.sentence import SentenceText
from textvae.training import TrainerConfig

CLIP_WIDTH = 512
"""Of ViT-B/32, the papers' CLIP."""

PROMPTS: Mapping[pairs.Source, tuple[str, ...]] = {
    # What paper c asked for: grass, sky and snow; and what MS-COCO shows most.
    "coco-mini": (
        "a cow standing in the green grass under a blue sky",
        "a man skiing down a hill of white snow",
        "a red bus on a city street",
        "a plate of food on a wooden table",
        "a beach with the sea and a surfer",
    ),
    "flowers102": (
        "a flower with pink petals and a yellow center",
        "this flower has red petals",
        "a white flower with large round petals",
        "this flower is purple and has long thin petals",
        "bright yellow petals and green leaves",
        "an orange flower",
        "a blue flower",
    ),
    "products": (
        "men black shirt",
        "women red handbag",
        "white casual shoes",
        "blue jeans",
        "women pink top",
        "brown leather belt",
        "black dial watch",
    ),
}
"""What is drawn while training and for the figures, by the source of the set."""


def prompts_of(data: str) -> tuple[str, ...]:
    """Prompts for a prepared set: its source's; none for a source of one's own, whose captions then serve."""
    source = pairs.source_of(data)
    return PROMPTS[source] if source else ()


def photograph_recipe(
    name: str, summary: str, source: str, data: str, model: Any, trainer: TrainerConfig, **more: Any
) -> Recipe:
    """A recipe on a prepared set: the text encoder, and the length of a condition, are those of the set."""
    draft = Recipe(name, summary, source, data, encoder_of(data)[0], model, trainer, (), **more)
    return on(draft, data)


def on(recipe: Recipe, data: str) -> Recipe:
    """The recipe on another prepared set of its size: other photographs, or another text encoder (``-clip``).

    Raises:
        UserError: the set is of another size, or of an encoder without pooled embeddings; the recipe is for no photos.
    """
    reads = isinstance(recipe.text, CaptionWords)
    if not reads and not hasattr(recipe.model, "condition_dim"):
        raise UserError(
            f"{recipe.name} is made for {recipe.data} alone",
            "choose a recipe for photographs: clip-... or latent-flow-flowers",
        )
    size = recipe.model.image_shape[1] if reads else recipe.model.image_size
    if int(_parts(data)[1]) != size:
        raise UserError(
            f"{recipe.name} draws {size} pixels, {data} is of another size",
            f"textvae data prepare SOURCE --size {size} makes one that fits",
        )
    if reads:
        if _parts(data)[2] != "words":
            raise UserError(f"{recipe.name} learns to read, {data} has been read", "prepare it with --text words")
        return dataclasses.replace(recipe, data=data, prompts=prompts_of(data))
    encoder, dimensions = encoder_of(data)
    model = dataclasses.replace(recipe.model, condition_dim=dimensions)
    return dataclasses.replace(recipe, data=data, text=encoder, model=model, prompts=prompts_of(data))


def encoder_of(data: str) -> tuple[TextEncoder, int]:
    """The text encoder of a prepared set, by the last part of its name, and the length of its embeddings.

    ``pair`` is the one of the set's source, where ``textvae train pair-SOURCE`` leaves it.

    Raises:
        UserError: the set's captions were not embedded, or as tokens.
    """
    source, _, name = _parts(data)
    if name == "sentence":
        return SentenceText(), WIDTH
    if name == "clip":
        return ClipText(), CLIP_WIDTH
    if name == "pair":
        return PairText(f"runs/pair-{pairs.source_of(source) or source}"), Pair.Config().width
    raise UserError(f"{data} has no pooled embedding of each caption", "prepare it with --text sentence, clip or pair")


def _parts(data: str) -> tuple[str, str, str]:
    """SOURCE, SIZE and ENCODER of a set's name."""
    named = re.fullmatch(r"(.+)-(\d+)-([a-z-]+)", data)
    if named is None:
        raise UserError(
            f"{data!r} does not say what it holds",
            "name a set, and its folder, as SOURCE-SIZE-ENCODER: coco-mini-64-sentence",
        )
    return named[1], named[2], named[3]

"""What recipes for photographs share: a prepared set, by whose name its size and its text encoder are known."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from textvae.data.frozen_encoders import TOKENS, DualEncoderText
from textvae.models.dual_encoder import DualEncoder
from textvae.models.with_flow import FlowConfig
from textvae.recipes import dual_encoders as pairs
from textvae.recipes.recipe import Recipe
from textvae.text.base import TextEncoder
from textvae.text.caption_words import CaptionWords
from textvae.text.clip import ClipText
from textvae.text.minilm import WIDTH
from textvae.text.sentence import SentenceText
from textvae.training.config import TrainerConfig
from textvae.utils.errors import UserError

CLIP_WIDTH = 512
"""Of ViT-B/32, the papers' CLIP: of a caption's embedding, and of each token's."""

TOKEN_ENCODERS: Mapping[str, tuple[TextEncoder, int]] = {
    "sentence-tokens": (SentenceText(TOKENS), WIDTH),
    "clip-tokens": (ClipText(tokens=True), CLIP_WIDTH),
}
"""What a set's name calls frozen vectors of tokens, and how long each is."""

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

    A recipe that learns to read has a flow that reads what the set's encoder has frozen, instead: vectors of tokens,
    each attended to (``-sentence-tokens``, ``-clip-tokens``), or one vector.

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
    moved = dataclasses.replace(recipe, data=data, prompts=prompts_of(data))
    if reads and _parts(data)[2] == "words":
        return moved
    if reads:
        return _with_frozen_text(moved)
    encoder, dimensions = encoder_of(data)
    model = dataclasses.replace(recipe.model, condition_dim=dimensions)
    return dataclasses.replace(moved, text=encoder, model=model)


def _with_frozen_text(recipe: Recipe) -> Recipe:
    """A recipe that learned to read, with the text encoder of its set, which has no words to leave out."""
    assert recipe.flow is not None
    named = _parts(recipe.data)[2]
    by_token = named in TOKEN_ENCODERS
    encoder, size = TOKEN_ENCODERS[named] if by_token else encoder_of(recipe.data)
    prior = dataclasses.replace(recipe.flow.model.prior, word_dropout=0.0)
    reads = FlowConfig(prior, "vectors" if by_token else "none", size)
    flow = dataclasses.replace(recipe.flow, model=reads)
    return dataclasses.replace(recipe, text=encoder, flow=flow)


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
        return DualEncoderText(f"runs/pair-{pairs.source_of(source) or source}"), DualEncoder.Config().width
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

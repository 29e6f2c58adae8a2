"""``resolve``: combines a recipe, a preset, a data set and settings into the recipe to train."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from textvae import data as data_sets
from textvae.data.catalog import photograph_set
from textvae.data.frozen_encoders import DualEncoderText, encoder_of
from textvae.data.manifest import SetContents
from textvae.data.prepared import FEATURES
from textvae.models.base import TextVAE
from textvae.models.captioner import Captioner
from textvae.models.dual_encoder import DualEncoder
from textvae.models.with_flow import FlowConfig, reader_of
from textvae.priors import FlowPrior
from textvae.recipes import RECIPES
from textvae.recipes.from_file import called, is_spec, load_recipe
from textvae.recipes.recipe import FlowStage, Recipe
from textvae.text.base import NONE
from textvae.text.caption_words import CaptionWords
from textvae.text.clip import ClipText
from textvae.text.sentence import SentenceText
from textvae.text.sprout_grammar import SproutVectors
from textvae.utils.config import check_ranges, updated
from textvae.utils.errors import UserError

RecipeLike = str | Recipe | Callable[[], Recipe]
"""A recipe's name, ``FILE.py:FUNCTION``, a recipe, or a function that returns one."""


VECTORS: Mapping[str, SproutVectors] = {"sprouts": SproutVectors()}
"""For sets that are the same everywhere and whose captions a grammar reads: the encoder of a caption as one vector."""


def resolve(
    name: RecipeLike,
    preset: str | None = None,
    data: str | SetContents | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    prior: Literal["own", "flow"] | None = None,
    where: str = "",
    clip: str | None = None,
) -> Recipe:
    """The complete recipe to train: text encoder, prompts and the width of conditions follow from the data set.

    Changes are applied in this order: preset, data, overrides of text, model and trainer, prior, overrides of the flow.

    Args:
        name: the recipe. A ``FILE.py:FUNCTION`` is imported, so never pass one that was read from a file.
        preset: one of the recipe's presets.
        data: a data set by name, or what a prepared set declares of itself; default: the recipe's own.
        overrides: settings by part ("text", "model", "trainer", "flow") and name, which replace the recipe's. A value
            has the type of the one that it replaces; nested settings are nested mappings.
        prior: "own": without a flow prior; "flow": with one, created to fit if the recipe has none; default: the
            recipe's choice.
        where: prefix of settings' names in error messages, such as a file name.
        clip: the CLIP weights for a data set prepared with CLIP; default: those recorded when it was prepared.

    Raises:
        UserError: there is no such recipe, preset, data set or setting, or they do not fit each other.
    """
    recipe = _named(name)
    if preset is not None:
        if preset not in recipe.presets:
            raise UserError(
                f"{recipe.name} has no preset {preset!r}", f"its presets: {', '.join(recipe.presets) or 'none'}"
            )
        recipe = replace(recipe, **recipe.presets[preset])
    contents = _contents_of(recipe, data)
    if contents is not None:
        recipe = _on(recipe, contents)
    if clip is not None:
        if not isinstance(recipe.text, ClipText):
            raise UserError(f"{recipe.name} on {recipe.data} does not use CLIP", "leave out --clip")
        recipe = replace(recipe, text=recipe.text.at(clip))
    settings = dict(overrides or {})
    flow = settings.pop("flow", {})
    for part, values in settings.items():
        if part not in ("text", "model", "trainer"):
            raise UserError(f"{where}{part} is no part of a recipe", "its parts: text, model, trainer, flow")
        recipe = replace(recipe, **{part: updated(getattr(recipe, part), values, f"{where}{part}")})
    if contents is not None:
        _check_side(recipe, contents)
    if prior == "own":
        recipe = replace(recipe, flow=None)
    elif prior == "flow" and recipe.flow is None:
        recipe = replace(recipe, flow=_fitting_flow(recipe, contents))
    if flow:
        if recipe.flow is None:
            raise UserError(f"{where}flow: {recipe.name} has no flow prior here", "add --prior flow")
        recipe = replace(recipe, flow=updated(recipe.flow, flow, f"{where}flow"))
    for part in ("model", "trainer", "flow"):
        if getattr(recipe, part) is not None:
            check_ranges(getattr(recipe, part), f"{where}{part}")
    return recipe


def _named(name: RecipeLike) -> Recipe:
    if isinstance(name, Recipe):
        return name
    if not isinstance(name, str):
        return called(name, getattr(name, "__qualname__", repr(name)))
    if name in RECIPES:
        return RECIPES[name]()
    if is_spec(name):
        return load_recipe(name)
    near = difflib.get_close_matches(name, RECIPES, 1)
    raise UserError(
        f"there is no recipe {name!r}",
        f"did you mean {near[0]!r}?"
        if near
        else "textvae recipes lists them all; one of your own is FILE.py:FUNCTION; "
        "textvae train also takes a folder of captioned pictures that exists",
    )


def _contents_of(recipe: Recipe, data: str | SetContents | None) -> SetContents | None:
    """What another data set than the recipe's declares; None for the recipe's own."""
    if isinstance(data, SetContents) and data.name in VECTORS:
        data = data.name
    if data is None or isinstance(data, SetContents):
        return data
    if data == recipe.data:
        return None
    contents = data_sets.contents(data)
    if contents is None:
        data_sets.source(data)  # raises where there is no such data set
        raise _unfit(recipe)
    return contents


def _unfit(recipe: Recipe) -> UserError:
    return UserError(
        f"{recipe.name} can only be trained on {recipe.data}",
        "choose a recipe for photographs: clip-... or latent-flow-photos",
    )


def _check_side(recipe: Recipe, contents: SetContents) -> None:
    """Checks the image size of a set, unless it has features in the place of pixels."""
    if isinstance(recipe.model, DualEncoder.Config):
        return
    side = recipe.model.image_size if hasattr(recipe.model, "image_size") else recipe.model.image_shape[1]
    if contents.side != side:
        raise UserError(
            f"{recipe.name} draws {side} pixels, {contents.name} has {contents.side}",
            f"textvae data prepare SOURCE --size {side} makes a set that fits",
        )


def _on(recipe: Recipe, contents: SetContents) -> Recipe:
    """The recipe on a prepared set: other photographs, or another text encoder.

    Which settings follow from the set depends on how the recipe takes its conditions: dual encoders and captioners
    learn from features; a model with the setting ``condition_dim`` takes one vector a caption; the other recipes for
    photographs leave reading to their flow prior.
    """
    if isinstance(recipe.model, DualEncoder.Config):
        return _dual_encoder_on(recipe, contents)
    if isinstance(recipe.model, Captioner.Config):
        return _captioner_on(recipe, contents)
    conditional = hasattr(recipe.model, "condition_dim")
    if not conditional and not isinstance(recipe.text, CaptionWords | SentenceText | ClipText | DualEncoderText):
        raise _unfit(recipe)
    if contents.features:
        raise UserError(
            f"{contents.name} has features in the place of pixels, which {recipe.name} cannot draw",
            f"leave out {FEATURES} at the end of its name",
        )
    entry = photograph_set(contents.source)
    moved = replace(recipe, data=contents.name, prompts=entry.prompts if entry else ())
    if entry and not entry.mirror:
        moved = replace(moved, trainer=replace(moved.trainer, flip=False))
        if moved.flow:
            moved = replace(moved, flow=replace(moved.flow, trainer=replace(moved.flow.trainer, flip=False)))
    return _with_one_vector(moved, contents) if conditional else _read_by_the_flow(moved, contents)


def _with_one_vector(recipe: Recipe, contents: SetContents) -> Recipe:
    """A model that takes one vector a caption."""
    text, image = contents.text, contents.image
    if (vectors := VECTORS.get(contents.name)) and recipe.condition_on == "text":
        return replace(recipe, text=vectors, model=replace(recipe.model, condition_dim=vectors.width))
    if text.kind != "pooled":
        raise UserError(
            f"{contents.name} has no pooled embedding of each caption", "prepare it with --text sentence, clip or pair"
        )
    if recipe.condition_on != "text" and (image is None or image.name != text.name):
        raise UserError(
            f"{recipe.name} is trained on embeddings of images in the space of the captions, "
            f"which {contents.name} does not have",
            "prepare it with --text pair --image-encoder pair, or with clip for both",
        )
    frozen = isinstance(recipe.text, SentenceText | ClipText | DualEncoderText)
    same = getattr(recipe.text, "name", "") == text.name and not frozen
    encoder = recipe.text if same else encoder_of(contents)
    moved = replace(recipe, text=encoder, model=replace(recipe.model, condition_dim=text.width))
    if recipe.flow is None:
        return moved
    return replace(moved, flow=replace(recipe.flow, model=replace(recipe.flow.model, size=text.width)))


def _read_by_the_flow(recipe: Recipe, contents: SetContents) -> Recipe:
    """A recipe whose flow prior encodes captions: by words that it learns, or by stored vectors of a frozen encoder."""
    text = contents.text
    if text.kind == "words":
        entry = photograph_set(contents.source)
        if not isinstance(recipe.text, CaptionWords):
            raise UserError(
                f"{recipe.name} reads stored embeddings, {contents.name} has none", "prepare it with --text sentence"
            )
        return replace(recipe, text=replace(recipe.text, length=entry.caption_length)) if entry else recipe
    if recipe.flow is None:
        return replace(recipe, text=encoder_of(contents))
    # Only a reader of words can leave words out.
    prior = replace(recipe.flow.model.prior, word_dropout=0.0)
    reader: Literal["vectors", "none"] = "vectors" if text.kind == "tokens" else "none"
    read = replace(recipe.flow.model, prior=prior, reader=reader, size=text.width)
    return replace(recipe, text=encoder_of(contents), flow=replace(recipe.flow, model=read))


def _dual_encoder_on(recipe: Recipe, contents: SetContents) -> Recipe:
    """A dual encoder, which is trained on the features of both encoders that it will project."""
    text, image = contents.text, contents.image
    if text.name != "sentence" or image is None or image.name != "efficientnet":
        raise UserError(
            f"{recipe.name} is trained on sentence vectors and image features, which {contents.name} does not have",
            "prepare a set with --text sentence --image-encoder efficientnet",
        )
    name = contents.name if contents.features else f"{contents.name}{FEATURES}"
    model = replace(recipe.model, text_features=text.width, image_features=image.width)
    return replace(recipe, data=name, model=model)


def _captioner_on(recipe: Recipe, contents: SetContents) -> Recipe:
    """A captioner, which is trained on features of pictures and reads the captions itself."""
    image = contents.image
    if image is None or image.name != "efficientnet":
        raise UserError(
            f"{recipe.name} is trained on image features, which {contents.name} does not have",
            "prepare a set with --image-encoder efficientnet",
        )
    name, entry = contents.name if contents.features else f"{contents.name}{FEATURES}", photograph_set(contents.source)
    model = replace(recipe.model, image_features=image.width, image_size=contents.side)
    text = recipe.text
    if entry and isinstance(text, CaptionWords):
        text = replace(text, length=entry.caption_length)
    return replace(recipe, data=name, model=model, text=text)


def _fitting_flow(recipe: Recipe, contents: SetContents | None) -> FlowStage:
    """A second stage for a recipe that has none: its sizes and its reader follow from the latents and the captions."""
    model = recipe.outline()
    if not isinstance(model, TextVAE):
        raise UserError(f"{recipe.name} does not train a VAE, so it has no prior", "choose another recipe")
    if contents is not None:  # one vector a caption, as every model takes that has no flow of its own
        return FlowStage(FlowConfig(FlowPrior.Config(), "none", recipe.model.condition_dim))
    condition = recipe.text.encode([NONE])
    reader: Literal["none", "vectors", "words", "taught"] = "none" if condition.dim() == 2 else "vectors"
    if not condition.is_floating_point():
        reader = "words" if reader_of(model) is None else "taught"
    size = int(recipe.text.num_tokens) if reader == "words" else condition.shape[-1]  # type: ignore[attr-defined]
    return FlowStage(FlowConfig(FlowPrior.Config(), reader, size))

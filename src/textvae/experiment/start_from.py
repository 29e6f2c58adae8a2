"""Starting from a trained model: its first stage is kept, and its flow prior is trained further on other pictures."""

import dataclasses
from pathlib import Path
from typing import Any

from textvae.experiment.resume import Position
from textvae.experiment.stages import MODEL_STAGE, Stage
from textvae.models.flow_matching import FlowMatching
from textvae.models.with_flow import WithFlow
from textvae.priors import FlowPrior
from textvae.recipes import RECIPES
from textvae.recipes.recipe import Recipe
from textvae.runs.checkpoint import write_checkpoint
from textvae.runs.run import Run
from textvae.text.caption_words import CaptionWords
from textvae.utils.errors import UserError

EMBEDDING = "features.embedding.weight"
"""The weights of a flow that has a row for each word."""
OF_THE_DATA = ("mean", "scale", "strides")
"""State of a flow that is measured on its latents, or belongs to few-step sampling: it is not taken over."""


SIZES = frozenset({"width", "depth", "sides", "patch", "heads"})
"""Settings of a flow that its weights have."""


def continued(recipe: Recipe, start: Run) -> Recipe:
    """The recipe with the networks of a trained model, and its vocabulary extended by the new words of the captions.

    Args:
        recipe: what is trained, with its vocabulary learned.
        start: the model to start from.

    Raises:
        UserError: the model has no flow prior that learned words, draws another size, or the recipe has none.
    """
    source = start.recipe
    if recipe.flow is None or not isinstance(recipe.text, CaptionWords):
        raise UserError(f"{recipe.name} cannot start from another model", "choose latent-flow-photos")
    if source.flow is None or not isinstance(source.text, CaptionWords):
        raise UserError(
            f"{start.name} has no flow prior that learned words",
            "start from flowers, products or a run of latent-flow-photos",
        )
    if source.model.image_shape != recipe.model.image_shape:
        sides = source.model.image_shape[1], recipe.model.image_shape[1]
        raise UserError(f"{start.name} draws {sides[0]} pixels, not {sides[1]}", f"train with {sides[0]} pixels")
    known = frozenset(source.text.words)
    words = (*source.text.words, *(word for word in recipe.text.words if word not in known))
    length = max(source.text.length, recipe.text.length)
    text = dataclasses.replace(recipe.text, words=words, length=length, most=max(recipe.text.most, len(words)))
    prior = dataclasses.replace(source.flow.model.prior, **_asked_of_the_flow(recipe, recipe.flow.model.prior))
    contrastive = recipe.flow.model.contrastive
    reader = dataclasses.replace(source.flow.model, prior=prior, size=text.num_tokens, contrastive=contrastive)
    return dataclasses.replace(
        recipe, model=source.model, text=text, flow=dataclasses.replace(recipe.flow, model=reader)
    )


def _asked_of_the_flow(recipe: Recipe, prior: FlowPrior.Config) -> dict[str, Any]:
    """Settings of the flow that are set by the recipe or the user, not by the model to start from.

    Raises:
        UserError: the user has set a size of its network.
    """
    usual = RECIPES[recipe.name]().flow if recipe.name in RECIPES else None
    before = prior if usual is None else usual.model.prior
    asked = {
        field.name: getattr(prior, field.name)
        for field in dataclasses.fields(prior)
        if getattr(prior, field.name) != getattr(before, field.name)
    }
    if sizes := SIZES & asked.keys():
        raise UserError(
            f"a flow that starts from another keeps its {min(sizes)}", f"leave out --flow.model.prior.{min(sizes)}"
        )
    # Reading the guidance scale takes epochs of its own, and the recipe decides whether there are any.
    return {**asked, "word_dropout": prior.word_dropout, "guidance_input": prior.guidance_input}


def begin(out: Path, start: Run) -> None:
    """Writes a checkpoint whose first stage is complete, with the weights of the model to start from."""
    vae = _model_of(start).vae
    position = Position(MODEL_STAGE, training={"step": 0}, complete=True)
    write_checkpoint(out, vae.state_dict(), vars(position))


def take_over(stage: Stage, start: Run) -> None:
    """Gives the flow of a stage, at its first step, the weights of the model to start from."""
    source = _model_of(start).prior.state_dict()
    for network in (stage.training.model, stage.training.averaged):
        assert isinstance(network, FlowMatching)
        state = network.prior.state_dict()
        for name, weight in source.items():
            if name == EMBEDDING:
                state[name][: len(weight)] = weight
            elif name not in OF_THE_DATA and name in state:  # it may read a guidance scale that this one does not
                state[name] = weight
        network.prior.load_state_dict(state)


def _model_of(start: Run) -> WithFlow:
    model = start.load_model()
    if not isinstance(model, WithFlow):
        raise UserError(f"the flow prior of {start.name} is not trained yet", "finish its training first")
    return model

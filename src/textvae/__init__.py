"""textvae: text-to-image with (conditional) variational autoencoders.

Examples:
    >>> import textvae
    >>> model = textvae.TextToImage.load("fashion")             # a bundled model, or a run folder
    >>> model("a dress", num_images=4, seed=0)[0].save("dress.png")
    >>> run = textvae.train("label-conv", out="runs/garments")  # a recipe, your own or one of list_recipes()
    >>> textvae.evaluate(run)                                  # metrics, with the protocol
    >>> model = textvae.train("my_pictures/", minutes=30)      # a folder of captioned pictures
    >>> model("a red boat", num_images=4)

Using models: TextToImage, interpolate, edit, inpaint, rank_captions, describe.
Training: train, TrainedRun, evaluate, sweep, reproduce, push, Recipe, resolve, Run, open_run, Callback, Training,
    Draws, choose_execution.
Data: load_data, prepare, describe_data, CaptionedImages, captioned_images, add_data.
Errors that the user can correct are raised as UserError, with a cause and a cure.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from textvae.utils.version import __version__

if TYPE_CHECKING:
    from textvae.data.captioned_images import CaptionedImages
    from textvae.data.describe import describe as describe_data
    from textvae.data.in_memory import captioned_images
    from textvae.editing import Edit, edit, inpaint, interpolate, save_gif
    from textvae.evaluation.captioning import RankedCaption, rank_captions
    from textvae.experiment.callbacks import Callback
    from textvae.experiment.stages import Stage
    from textvae.experiment.sweep import sweep_setting as sweep
    from textvae.library import (
        TrainedRun,
        add_data,
        describe,
        evaluate,
        list_data,
        list_models,
        list_recipes,
        load_data,
        push,
        reproduce,
        train,
    )
    from textvae.models.base import TextVAE
    from textvae.pipeline import TextToImage
    from textvae.preparation.prepare import prepare
    from textvae.priors import SamplingOptions
    from textvae.recipes.recipe import FlowStage, Recipe
    from textvae.recipes.resolve import resolve
    from textvae.runs.metrics import Metrics
    from textvae.runs.run import Run, open_run
    from textvae.text.base import TextEncoder
    from textvae.text.caption_words import CaptionWords
    from textvae.text.labels import LabelText
    from textvae.training.config import TrainerConfig
    from textvae.training.loop import Step, Training
    from textvae.utils.device import choose_execution
    from textvae.utils.errors import UserError
    from textvae.utils.random import Draws

_SOURCES = {
    "CaptionedImages": "data.captioned_images",
    "describe_data": "data.describe:describe",
    "captioned_images": "data.in_memory",
    **dict.fromkeys(("Edit", "edit", "inpaint", "interpolate", "save_gif"), "editing"),
    **dict.fromkeys(("RankedCaption", "rank_captions"), "evaluation.captioning"),
    "Callback": "experiment.callbacks",
    "Stage": "experiment.stages",
    "sweep": "experiment.sweep:sweep_setting",
    **dict.fromkeys(("add_data", "describe", "evaluate", "list_data", "list_models", "list_recipes"), "library"),
    **dict.fromkeys(("TrainedRun", "load_data", "push", "reproduce", "train"), "library"),
    "TextVAE": "models.base",
    "TextToImage": "pipeline",
    "prepare": "preparation.prepare",
    "SamplingOptions": "priors",
    **dict.fromkeys(("FlowStage", "Recipe"), "recipes.recipe"),
    "resolve": "recipes.resolve",
    "Metrics": "runs.metrics",
    **dict.fromkeys(("Run", "open_run"), "runs.run"),
    "TextEncoder": "text.base",
    "CaptionWords": "text.caption_words",
    "LabelText": "text.labels",
    "TrainerConfig": "training.config",
    **dict.fromkeys(("Step", "Training"), "training.loop"),
    "choose_execution": "utils.device",
    "UserError": "utils.errors",
    "Draws": "utils.random",
}
"""The module of each public name, imported at its first use: importing torch takes more than a second, which
``textvae --help`` must not."""

__all__ = [
    "Callback",
    "CaptionWords",
    "CaptionedImages",
    "Draws",
    "Edit",
    "FlowStage",
    "LabelText",
    "Metrics",
    "RankedCaption",
    "Recipe",
    "Run",
    "SamplingOptions",
    "Stage",
    "Step",
    "TextEncoder",
    "TextToImage",
    "TextVAE",
    "TrainedRun",
    "TrainerConfig",
    "Training",
    "UserError",
    "__version__",
    "add_data",
    "captioned_images",
    "choose_execution",
    "describe",
    "describe_data",
    "edit",
    "evaluate",
    "inpaint",
    "interpolate",
    "list_data",
    "list_models",
    "list_recipes",
    "load_data",
    "open_run",
    "prepare",
    "push",
    "rank_captions",
    "reproduce",
    "resolve",
    "save_gif",
    "sweep",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(f"module 'textvae' has no attribute {name!r}")
    module, _, attribute = _SOURCES[name].partition(":")
    value = getattr(import_module(f"textvae.{module}"), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The networks that judge generated images: classifiers, dual encoders and CLIP.

A judge never judges a model that it conditioned, except CLIP, whose score is then marked as such. Where there is no
judge, there is a reason.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from textvae import data
from textvae.data.catalog import JUDGES, PHOTOGRAPHS
from textvae.data.frozen_encoders import DualEncoderText
from textvae.evaluation.metrics.clip_score import SCALE
from textvae.models.attribute_classifier import AttributeClassifier
from textvae.models.classifier import Classifier
from textvae.models.dual_encoder import DualEncoder
from textvae.pretrained.feature_nets import FeatureNet, Unavailable
from textvae.recipes.recipe import Recipe
from textvae.runs.find import shipped_models
from textvae.runs.run import Run, open_run, run_beside
from textvae.text.clip import FOLDER, WEIGHTS, ClipImages, ClipText, clip_place, installed_clip
from textvae.text.sentence import SentenceText
from textvae.utils.errors import UserError
from textvae.utils.pixels import unit_interval

CLIP_PREFIX = "A photo depicts "
"""Put before each caption by Hessel et al., "CLIPScore", 2021, section 3; paper a scores captions as they are."""


BATCH_SIZE = 500
"""Images that are classified at once."""


def seen_in(
    images: UInt8[Tensor, "n c h w"], network: Classifier | AttributeClassifier
) -> Int64[Tensor, "n *attributes"]:
    """What a classifier sees in images: the class of each, or the index of the value of each of its attributes."""
    device = next(network.parameters()).device
    batches = torch.split(images, BATCH_SIZE)
    return torch.cat([network.classify(unit_interval(batch, device)) for batch in batches]).cpu()


class ClassifierJudge:
    """A classifier that ships with textvae. Its name includes its version: the checksum of its weights."""

    def __init__(self, name: str, device: torch.device) -> None:
        # The shipped model, never a run folder of the same name in the working directory.
        run = open_run(shipped_models()[name])
        network = run.load_model()
        if not isinstance(network, Classifier):
            raise UserError(f"{name} is not a classifier", "choose one of: " + ", ".join(sorted(set(JUDGES.values()))))
        self.network = network.to(device)
        self.name = f"{name} {run.weights_id[:8]}"
        self.device = device

    def classify(self, images: UInt8[Tensor, "n 1 28 28"]) -> Int64[Tensor, "n"]:
        """The predicted class of each image."""
        return seen_in(images, self.network)

    def features(self) -> FeatureNet:
        """The last hidden layer as the feature network "judge"."""
        return FeatureNet(
            "judge",
            self.network.config.features,
            "none: 28 px as stored",
            lambda images: self.network.features(unit_interval(images, self.device)),
            self.device,
            BATCH_SIZE,
        )


def classifier_judge(data_name: str, device: torch.device) -> ClassifierJudge | Unavailable:
    """The classifier of a data set, or why there is none."""
    if data_name not in JUDGES:
        return Unavailable(f"no judge has been trained for {data_name}")
    return ClassifierJudge(JUDGES[data_name], device)


class AttributeJudge:
    """The classifier of the attributes of sprouts that ships with textvae. Its name includes its version."""

    def __init__(self, device: torch.device) -> None:
        run = open_run(shipped_models()["judge-sprouts"])
        network = run.load_model()
        assert isinstance(network, AttributeClassifier)
        self.network = network.to(device)
        self.name = f"{run.name} {run.weights_id[:8]}"

    def classify(self, images: UInt8[Tensor, "n 3 64 64"]) -> Int64[Tensor, "n attributes"]:
        """The index of the value of each attribute, in the order of ``sprout_grammar.ATTRIBUTES``."""
        return seen_in(images, self.network)


class RetrievalJudge:
    """A trained dual encoder: embeds images and captions in one space."""

    features = "efficientnet-lite0"
    """The feature network whose features of an image it projects."""

    def __init__(self, run: Run) -> None:
        """Loads the dual encoder of a run.

        Raises:
            UserError: the run is not of a dual encoder.
        """
        network = run.load_model()
        if not isinstance(network, DualEncoder):
            raise UserError(f"{run.name} is not a dual encoder", "textvae train pair-judge-coco-mini trains one")
        self.network = network
        self.version = run.weights_id[:8]
        self.name = f"{run.recipe.name} {self.version}"
        """With its version, for the protocol."""

    @torch.no_grad()
    def embed_images(self, features: Float[Tensor, "n 1280"]) -> Float[Tensor, "n width"]:
        """Images, given as features of ``RetrievalJudge.features``; rows of length one."""
        return self.network.embed_image(features)

    @torch.no_grad()
    def embed_captions(self, captions: Sequence[str]) -> Float[Tensor, "n width"]:
        """Captions in the space of images; rows of length one.

        Raises:
            UserError: the package with MiniLM's weights is not installed.
        """
        return self.network.embed_text(SentenceText().embed(captions))


def retrieval_judge(run: Run) -> RetrievalJudge | Unavailable:
    """The dual encoder that judges the images of a model, or why there is none.

    It is the run folder ``pair-judge-SOURCE``, found by ``run_beside``.

    Raises:
        UserError: the folder of that name holds another kind of model.
    """
    photographs = data.photographs(run.recipe.data)
    if photographs is None or photographs.name not in PHOTOGRAPHS:
        return Unavailable(f"there is no dual encoder for {run.recipe.data}, only for {', '.join(PHOTOGRAPHS)}")
    source, name = photographs.name, photographs.retrieval_judge
    found = run_beside(run, name)
    if found is None:
        prepare = f"textvae data prepare {source} --size 64 --text sentence --image-encoder efficientnet"
        return Unavailable(f"the judge is not trained: {prepare}, then textvae train {name} --out {run.beside / name}")
    judge = RetrievalJudge(open_run(found))
    text = run.recipe.text
    if isinstance(text, DualEncoderText) and text.identity == f"pair {judge.version}":
        return Unavailable(f"{judge.name} conditioned the model, so it cannot judge it")
    return judge


class ClipJudge:
    """A CLIP model."""

    def __init__(self, model: str, recipe: Recipe) -> None:
        """Loads a model of the Hugging Face hub, or from a folder, to judge the images of a recipe.

        Raises:
            UserError: transformers is not installed, or the model can't be loaded.
        """
        self.text, self.images = ClipText(model), ClipImages(model)
        self.protocol = {
            "model": model,
            "weights": self.text.identity,
            "prefix": CLIP_PREFIX,
            "scale": SCALE,
            # A model can be good at what it was conditioned by without being good.
            "conditioned_the_model": isinstance(recipe.text, ClipText) and recipe.text.same_weights(model),
        }

    def embed_captions(self, captions: Sequence[str], prefix: str = "") -> Float[Tensor, "n d"]:
        """Embeddings of captions, each preceded by a prefix and truncated to CLIP's maximum length."""
        return self.text.embed([f"{prefix}{caption}" for caption in captions])

    def embed_images(self, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Rows of length one."""
        return self.images.embed(images)


def clip_judge(recipe: Recipe, model: str = "") -> ClipJudge | Unavailable:
    """The CLIP model that judges the images of a recipe, or why there is none.

    Args:
        recipe: of the model to judge.
        model: name on the hub, or a folder; empty: the CLIP that conditioned the model, else $TEXTVAE_DATA/clip, if it
            holds weights. Nothing is downloaded unless a model of the hub is named or conditioned the model.

    Raises:
        UserError: transformers is not installed, or the named model can't be loaded.
    """
    if not model:
        model = recipe.text.model if isinstance(recipe.text, ClipText) else installed_clip()
    if not model:
        return Unavailable(f"{WEIGHTS} is not in $TEXTVAE_DATA/{FOLDER}; evaluate --clip names a folder or a model")
    return ClipJudge(clip_place(model), recipe)


def read_by(run: Run, clip: str) -> Run:
    """The run with CLIP loaded from ``clip`` as its text encoder, if those weights conditioned its model."""
    text = run.recipe.text
    if not clip or not isinstance(text, ClipText) or not text.same_weights(clip):
        return run
    return replace(run, recipe=replace(run.recipe, text=text.at(clip)))

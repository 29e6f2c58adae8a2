"""Retrieval precision: is an image's own caption nearer to it than 99 others, in the eyes of a judging ``pair``?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from textvae import data
from textvae.data.captioned_images import CaptionedImages
from textvae.data.catalog import PHOTOGRAPHS
from textvae.data.frozen_encoders import DualEncoderText
from textvae.models.dual_encoder import DualEncoder
from textvae.pretrained.feature_nets import Unavailable
from textvae.recipes.conditions import conditions_of
from textvae.recipes.recipe import Recipe
from textvae.runs.metrics import Metrics
from textvae.runs.run import CONFIG, MODEL, Run, open_run
from textvae.text.sentence import SentenceText
from textvae.utils.errors import UserError
from textvae.utils.files import sha256_of

OTHERS = 99


class RetrievalJudge:
    """A trained pair that looks at drawn pictures. It is another than the one that conditioned the model."""

    features = "efficientnet-lite0"
    """The feature network whose view of an image it projects."""

    def __init__(self, run: Run) -> None:
        """Reads the run.

        Raises:
            UserError: the run is no pair's.
        """
        network = run.load_model()
        if not isinstance(network, DualEncoder):
            raise UserError(f"{run.name} is no pair", "textvae train pair-judge-coco-mini makes one")
        self.network = network
        self.version = sha256_of(run.path / MODEL)[:8]
        self.name = f"{run.recipe.name} {self.version}"
        """With its version, for the protocol."""

    @torch.no_grad()
    def embed_images(self, features: Float[Tensor, "n 1280"]) -> Float[Tensor, "n width"]:
        """Images, by what the feature network sees of them; rows of length one."""
        return self.network.embed_image(features)

    @torch.no_grad()
    def embed_captions(self, captions: Sequence[str]) -> Float[Tensor, "n width"]:
        """Captions in the space of images; rows of length one.

        Raises:
            UserError: the package with MiniLM's weights is not installed.
        """
        return self.network.embed_text(SentenceText().embed(captions))


def retrieval_judge(run: Run) -> RetrievalJudge | Unavailable:
    """The pair that judges what a model draws, or why there is none.

    It is the run folder ``pair-judge-SOURCE`` beside the model's own; for a model that ships with textvae, or lies
    alone, the one in ``runs``, where ``textvae train`` leaves it.

    Raises:
        UserError: the folder of that name holds something else.
    """
    photographs = data.photographs(run.recipe.data)
    if photographs is None:
        named = ", ".join(PHOTOGRAPHS)
        return Unavailable(f"no recipe trains a judge for {run.recipe.data}: only {named} have one")
    source, name = photographs.name, photographs.retrieval_judge
    places = [folder / name for folder in (run.path.parent, Path("runs"))]
    found = next((place for place in places if (place / CONFIG).is_file()), None)
    if found is None:
        prepare = f"textvae data prepare {source} --size 64 --text sentence --image-encoder efficientnet"
        return Unavailable(f"no judge has been trained: {prepare}, then textvae train {name} --out {places[0]}")
    judge = RetrievalJudge(open_run(found))
    text = run.recipe.text
    if isinstance(text, DualEncoderText) and text.identity == f"pair {judge.version}":
        return Unavailable(f"{judge.name} conditioned the model, and is no judge of it")
    return judge


def retrieval_precision(
    images: Float[Tensor, "n d"], texts: Float[Tensor, "n d"], captions: Sequence[str], seed: int = 0
) -> float:
    """Share of images to which their own caption is nearer than each of 99 others, drawn at random.

    Chance gives 1 %. The others are captions of other images and in other words: of two images with the same caption
    neither could ever win. With fewer than 100 captions all others are taken.

    Args:
        images: one embedding an image, of length one.
        texts: of its caption, of length one.
        captions: its words.
        seed: of the draw of others.

    Raises:
        ValueError: all captions are the same.

    Source: R-precision of Xu et al., "AttnGAN" (2018), section 4.1.
    """
    numbers = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
    if len(numbers) < 2:
        raise ValueError("retrieval needs two different captions at least")
    words = torch.tensor([numbers[caption] for caption in captions])
    generator = torch.Generator().manual_seed(seed)
    won = 0
    # By stretches of images: ten thousand of them have a hundred million pairs.
    for own in torch.split(torch.arange(len(images)), 500):
        similarity = images[own].double() @ texts.double().T
        # A random order of all captions for each image, those in the image's own words last.
        order = torch.rand(similarity.shape, generator=generator)
        order[words[own, None] == words[None, :]] = 2.0
        drawn, others = order.topk(min(OTHERS, len(images) - 1), dim=1, largest=False)
        rival = similarity.gather(1, others).masked_fill(drawn > 1, -torch.inf).amax(1)
        won += int((similarity.gather(1, own[:, None])[:, 0] > rival).sum())
    return won / len(images)


@torch.no_grad()
def dual_encoder_metrics(
    model: DualEncoder, recipe: Recipe, images: CaptionedImages, protocol: dict[str, Any]
) -> Metrics:
    """A pair's own precision on real test images, and, as the floor, with the captions dealt to the wrong images."""
    seed = protocol["seed"]
    generator = torch.Generator().manual_seed(seed)
    drawn = images.draw_captions(torch.arange(len(images)), torch.rand(len(images), generator=generator))
    device = next(model.parameters()).device
    texts = model.embed_text(conditions_of(images, recipe.text)[drawn].to(device)).cpu()
    pictures = model.embed_image(images.images.flatten(1).to(device)).cpu()
    captions = [images.captions[number] for number in drawn.tolist()]
    wrong = torch.arange(len(images)).roll(len(images) // 2)
    found = {
        "real": retrieval_precision(pictures, texts, captions, seed),
        "shuffled": retrieval_precision(pictures, texts[wrong], [captions[i] for i in wrong.tolist()], seed),
    }
    protocol["retrieval"] = {"others": min(OTHERS, len(images) - 1), "captions": "one an image, drawn at random"}
    return Metrics(protocol, {"retrieval_precision": found})

"""Retrieval precision: is an image's own caption nearer to it than 99 others, in the eyes of a judging ``pair``?"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from textvae.conditions import conditions_of
from textvae.data.images import CaptionedImages
from textvae.encoders import EfficientNetImages
from textvae.errors import UserError
from textvae.evaluation.metrics import Metrics
from textvae.files import sha256_of
from textvae.models.pair import Pair
from textvae.recipes.recipe import Recipe
from textvae.runs import MODEL, Run
from textvae.text.sentence import SentenceText

OTHERS = 99


class JudgingPair:
    """A trained pair that looks at drawn pictures. It should be another than the one that conditioned the model."""

    def __init__(self, run: Run) -> None:
        """Reads the run.

        Raises:
            UserError: the run is no pair's.
        """
        network = run.load_model()
        if not isinstance(network, Pair):
            raise UserError(f"{run.name} is no pair", "textvae train pair-judge-coco-mini makes one")
        self.network = network
        self.name = f"{run.recipe.name} {sha256_of(run.path / MODEL)[:8]}"
        """With its version, for the protocol."""

    @torch.no_grad()
    def precision(self, images: UInt8[Tensor, "n 3 h w"], captions: Sequence[str], seed: int = 0) -> float:
        """``retrieval_precision`` of images, real or drawn, with the caption that each is to show.

        Raises:
            UserError: the packages with the features' weights are not installed.
        """
        features = EfficientNetImages().embed(images)
        texts = self.network.embed_text(SentenceText().embed(captions))
        return retrieval_precision(self.network.embed_image(features), texts, captions, seed)


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
def pair_metrics(model: Pair, recipe: Recipe, images: CaptionedImages, protocol: dict[str, Any]) -> Metrics:
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

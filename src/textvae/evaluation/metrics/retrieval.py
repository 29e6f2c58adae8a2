"""Retrieval precision: how often an image's own caption is nearer to it than other captions, in a shared space."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

OTHERS = 99
"""Other captions that each image is compared with."""


def retrieval_precision(
    images: Float[Tensor, "n d"], texts: Float[Tensor, "n d"], captions: Sequence[str], seed: int = 0
) -> float:
    """Fraction of images to which their own caption is nearer than each of 99 others, drawn at random; chance is 0.01.

    The others are captions of other images with a different wording, since an image could never win against an equal
    caption. With fewer than 100 captions, all others are used.

    Args:
        images: one embedding per image, of length one.
        texts: the embedding of the caption of each image, of length one.
        captions: the captions themselves.
        seed: of the random choice of others.

    Raises:
        ValueError: all captions are equal.

    Source: R-precision of Xu et al., "AttnGAN" (2018), section 4.1.
    """
    numbers = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
    if len(numbers) < 2:
        raise ValueError("retrieval needs at least two different captions")
    words = torch.tensor([numbers[caption] for caption in captions])
    generator = torch.Generator().manual_seed(seed)
    won = 0
    # In chunks: ten thousand images have a hundred million pairs.
    for own in torch.split(torch.arange(len(images)), 500):
        similarity = images[own].double() @ texts.double().T
        # A random order of all captions for each image, those with the image's own wording last.
        order = torch.rand(similarity.shape, generator=generator)
        order[words[own, None] == words[None, :]] = 2.0
        drawn, others = order.topk(min(OTHERS, len(images) - 1), dim=1, largest=False)
        rival = similarity.gather(1, others).masked_fill(drawn > 1, -torch.inf).amax(1)
        won += int((similarity.gather(1, own[:, None])[:, 0] > rival).sum())
    return won / len(images)

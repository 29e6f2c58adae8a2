"""Paper c's "reverse the pipeline" (Areas of Improvement): which caption does a model find the likeliest for an image?

log p(x|c) is bounded from below by what the model was trained to raise, so a model of images is a reader of images too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from textvae.evaluation.metrics.likelihood import importance_weighted_bound
from textvae.pipeline import TextToImage, unit_interval
from textvae.utils.progress import ProgressLine

CHUNK = 128
"""Images decoded at once."""


@dataclass(frozen=True)
class RankedCaption:
    """A caption and what the model makes of it."""

    caption: str
    nats: float
    """Lower bound on log p(image|caption)."""
    probability: float
    """Among the choices, were all equally likely before, and the bounds exact."""


def rank_captions(
    generator: TextToImage, image: UInt8[Tensor, "c h w"], captions: Sequence[str], samples: int = 64, seed: int = 0
) -> list[RankedCaption]:
    """The captions, likeliest first.

    Args:
        generator: a trained model with its text encoder.
        image: of the model's size.
        captions: to choose from.
        samples: draws of z for each; more make the bounds tighter and the order steadier.
        seed: of the draws, which are the same for all captions.

    Raises:
        UserError: a caption can't be read, or the image is of another size.
    """
    bounds = caption_bounds(generator, image[None], generator.text.encode(captions), samples, seed)[0]
    probabilities = bounds.softmax(0).tolist()
    ranked = [RankedCaption(*row) for row in zip(captions, bounds.tolist(), probabilities, strict=True)]
    return sorted(ranked, key=lambda caption: -caption.nats)


def caption_bounds(
    generator: TextToImage, images: UInt8[Tensor, "n c h w"], conditions: Tensor, samples: int, seed: int = 0
) -> Float[Tensor, "n captions"]:
    """The importance-weighted bound on log p(image|condition), in nats, of every image with every condition.

    All conditions get the same noise, so that what differs between them is not chance.

    Raises:
        UserError: the images are of another size than the model's.
    """
    generator.check_size(images)
    rows = []
    with ProgressLine("bounds of captions", len(images) * len(conditions), "pairs") as progress:
        for number, batch in enumerate(torch.split(images, CHUNK)):
            pixels = unit_interval(batch, generator.device)
            columns = []
            for condition in conditions:
                torch.manual_seed(seed + number)
                told = condition.to(generator.device).expand(len(pixels), *condition.shape)
                columns.append(importance_weighted_bound(generator.model.log_weights(pixels, told, samples).double()))
                progress.advance(len(pixels))
            rows.append(torch.stack(columns, dim=1).cpu())
    return torch.cat(rows)

"""Captions ranked for an image by the model's own bound on log p(image|caption).

Training raises a lower bound on log p(x|c), so a model that generates images from captions can also tell which caption
fits an image. Source: "reverse the pipeline" in paper c, Areas of Improvement.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from textvae.editing import Picture
from textvae.evaluation.metrics.likelihood import importance_weighted_bound
from textvae.models.base import TextVAE
from textvae.pipeline import TextToImage
from textvae.priors import FlowPrior
from textvae.utils.batches import in_batches
from textvae.utils.errors import UserError
from textvae.utils.pixels import unit_interval
from textvae.utils.random import Draws

BATCH_SIZE = 128
"""Images decoded together."""


@dataclass(frozen=True)
class RankedCaption:
    """A caption and its score."""

    caption: str
    nats: float
    """Lower bound on log p(image|caption); for a model with a flow prior, up to a constant shared by all captions."""
    probability: float
    """Of the caption given the image, if all choices were equally likely before and the bounds were exact."""


def rank_captions(
    generator: TextToImage, image: Picture, captions: Sequence[str], samples: int = 64, seed: int = 0
) -> list[RankedCaption]:
    """Ranks captions for an image, by decreasing likelihood.

    Args:
        generator: a trained model with its text encoder.
        image: a PIL image, or a uint8 tensor of the model's size.
        captions: the choices.
        samples: latents drawn per caption; more make the bounds tighter and the order more reliable.
        seed: of the latents; all captions use the same noise.

    Raises:
        UserError: the text encoder cannot read a caption, or the image is of another size.
    """
    bounds = caption_bounds(generator, generator.pixels(image), generator.text.encode(captions), samples, seed)[0]
    probabilities = bounds.softmax(0).tolist()
    ranked = [RankedCaption(*row) for row in zip(captions, bounds.tolist(), probabilities, strict=True)]
    return sorted(ranked, key=lambda caption: -caption.nats)


def caption_bounds(
    generator: TextToImage, images: UInt8[Tensor, "n c h w"], conditions: Tensor, samples: int, seed: int = 0
) -> Float[Tensor, "n captions"]:
    """The importance-weighted bound on log p(image|condition), in nats, of every image with every condition.

    All conditions use the same noise, so that differences between them are not due to chance. For a model with a flow
    prior, whose density is an integral and too slow for many captions, the result is the ELBO up to a constant shared
    by all conditions of an image (``FlowPrior.relative_bound``). It compares captions, not images.

    Raises:
        UserError: the images are not of the model's size, or the model has no bound.
    """
    generator.check_size(images)
    if generator.model.embedding_dim:
        raise UserError(
            "this model generates embeddings of images, so it has no likelihood bound for ranking captions",
            "choose another model",
        )

    def batch(rows: slice) -> Float[Tensor, "b captions"]:
        numbers = torch.arange(rows.start, rows.stop)
        pixels = unit_interval(images[rows], generator.device)
        columns = []
        for condition in conditions:
            draws = Draws(seed, 0, numbers, "evaluation", generator.device)
            repeated = condition.to(generator.device).expand(len(pixels), *condition.shape)
            columns.append(_bound(generator.model, pixels, repeated, samples, draws))
        return torch.stack(columns, dim=1).cpu()

    return torch.cat(in_batches(generator.processes, len(images), BATCH_SIZE, batch, "bounds of captions"))


@torch.no_grad()
def _bound(
    model: TextVAE, pixels: Float[Tensor, "n c h w"], condition: Tensor, samples: int, draws: Draws
) -> Float[Tensor, "n"]:
    prior = model.prior
    if prior.has_density:
        return importance_weighted_bound(model.log_weights(pixels, condition, samples, draws).double())
    assert isinstance(prior, FlowPrior)
    posterior = model.posterior(pixels, condition)
    total = pixels.new_zeros(len(pixels), dtype=torch.float64)
    for number in range(samples):
        latent = posterior.sample(draws.normal(*posterior.mean.shape[1:]))
        total += (
            model.decode(latent, condition).log_mass(pixels)
            + prior.relative_bound(latent, condition, draws, number, samples)
            - posterior.log_prob(latent)
        )
    return total / samples

"""What a model knows of real images: the bound on their likelihood, and images read by it."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.evaluation.captioning import caption_bounds
from textvae.evaluation.metrics.likelihood import (
    active_units,
    bits_per_dimension,
    importance_weighted_bound,
    kl_per_dimension,
)
from textvae.pipeline import TextToImage, unit_interval
from textvae.utils.progress import ProgressLine

FLOW_LIKELIHOOD_IMAGES = 500
"""Test images on which the bound of a model with a flow prior is estimated."""
CLASSIFIED, RETRIEVED = 1000, 100
"""Images read by the bound: into classes, and among captions."""
CHOICES = 10
"""Captions among which the bound finds an image's own: each costs a decoded image."""
BATCH_SIZE = 250


@dataclass(frozen=True)
class Found:
    """Numbers of a section, what was done for them, and why others are absent."""

    numbers: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def likelihood(generator: TextToImage, images: CaptionedImages, known: Tensor, draws: int, seed: int) -> Found:
    """ELBO and importance-weighted bound in nats an image, bits per dimension, and what the latents carry.

    Of a model with a flow prior the ELBO alone, on ``FLOW_LIKELIHOOD_IMAGES``: a flow's density is an integral of
    hundreds of times a sample's cost.

    Args:
        generator: the model.
        images: real ones.
        known: what the model was told of each, [n, ...].
        draws: of z an image.
        seed: of the draws.
    """
    model, device = generator.model, generator.device
    protocol: dict[str, Any] = {}
    flow = not model.prior.has_density
    if flow:
        draws, images = 1, images.first(FLOW_LIKELIHOOD_IMAGES)
        protocol["likelihood_images"] = len(images)
    protocol["importance_samples"] = draws
    elbo, bound, means, kl = [], [], [], []
    torch.manual_seed(seed)
    with ProgressLine("likelihood bounds", len(images), "images") as progress:
        for start in range(0, len(images), BATCH_SIZE):
            batch = unit_interval(images.images[start : start + BATCH_SIZE], device)
            condition = known[start : start + len(batch)].to(device)
            log_weights = model.log_weights(batch, condition, draws).double()
            elbo.append(log_weights.mean(0).cpu())
            bound.append(importance_weighted_bound(log_weights).cpu())
            with torch.no_grad():
                posterior = model.posterior(batch, condition)
                means.append(posterior.mean.flatten(1).cpu())
                kl.append(model.divergence(posterior, condition).cpu())
                protocol["likelihood_of"] = model.decode(posterior.mean[:1], condition[:1]).describes
            progress.advance(len(batch))
    per_dimension = kl_per_dimension(torch.cat(kl))
    nats = float(torch.cat(bound).mean())
    numbers: dict[str, Any] = {
        "elbo_nats": float(torch.cat(elbo).mean()),
        "importance_weighted_nats": nats,
        "bits_per_dim": bits_per_dimension(nats, images.images[0].numel()),
        "kl_nats": float(per_dimension.sum()),
        "kl_per_dimension": sorted((round(value, 4) for value in per_dimension.tolist()), reverse=True),
        "active_units": active_units(torch.cat(means)),
        "latent_dimensions": torch.cat(means).shape[1],
    }
    if not flow:
        return Found(numbers, protocol)
    for name in ("importance_weighted_nats", "kl_per_dimension"):
        del numbers[name]
    why = "a flow's log density is an estimate, whose noise would raise this bound; bits_per_dim is of the ELBO"
    return Found(numbers, protocol, {"likelihood.importance_weighted_nats": why})


def read_by_the_bound(generator: TextToImage, images: CaptionedImages, conditions: Tensor, seed: int) -> Found:
    """Paper c's reversed pipeline: images read by the model's own bound, of one draw a caption.

    Where captions are class names, the class; else, of photographs, each one's caption among those of its neighbours
    in the test set.

    Args:
        generator: the model and its text encoder.
        images: real ones.
        conditions: those of the caption of each, [n, ...].
        seed: of the draws.
    """
    if not generator.model.prior.has_density:
        why = "each caption of each image is an integral of a flow's density: hours for a thousand images"
        return Found(absent={"likelihood.classification_accuracy": why})
    if images.labels is not None and tuple(images.captions) == tuple(images.class_names):
        some, labels = images.images[:CLASSIFIED], images.labels[:CLASSIFIED]
        bounds = caption_bounds(generator, some, generator.text.encode(images.captions), 1, seed)
        return Found({"classification_accuracy": float((bounds.argmax(1) == labels).double().mean())})
    if images.conditions is None:
        return Found()
    some = images.images[:RETRIEVED]
    some = some[: max(CHOICES, len(some) // CHOICES * CHOICES)]
    right = []
    for own in torch.split(torch.arange(len(some)), CHOICES):
        bounds = caption_bounds(generator, some[own], conditions[own], 1, seed)
        right.append(bounds.argmax(1) == torch.arange(len(own)))
    precision = float(torch.cat(right).double().mean())
    return Found({"retrieval_precision": precision, "retrieval_choices": min(CHOICES, len(some))})

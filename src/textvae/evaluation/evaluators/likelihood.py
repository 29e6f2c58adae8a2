"""The section ``likelihood``: bounds on the likelihood of real images, and images recognised by those bounds."""

from typing import Any

import torch
from torch import Tensor

from textvae.evaluation.captioning import caption_bounds
from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.measurement import Measurement, merged
from textvae.evaluation.metrics.likelihood import (
    active_units,
    bits_per_dimension,
    importance_weighted_bound,
    kl_per_dimension,
)
from textvae.utils.batches import in_batches
from textvae.utils.pixels import unit_interval
from textvae.utils.random import Draws

FLOW_LIKELIHOOD_IMAGES = 500
"""Test images on which the bound of a model with a flow prior is estimated."""
CLASSIFIED, RETRIEVED = 1000, 100
"""Number of images to recognise by the bound: by class, and by caption among ``CHOICES`` captions."""
CHOICES = 10
"""Captions to choose from: the bound decodes an image for each."""
CLASSIFIED_BY_FLOW, FLOW_SAMPLES = 200, 8
"""Images that a model with a flow prior classifies, and estimates of its bound for each caption: one alone is noise."""
BATCH_SIZE = 250


def likelihood(context: EvaluationContext) -> Measurement:
    """``bounds`` and ``recognition``; nothing for a model whose latent includes a function of the image."""
    if context.pipeline.model.embedding_dim:
        reason = "its latent includes the embedding of the image, which the image determines: the bound is infinite"
        return Measurement(absent={"likelihood.elbo_nats": reason})
    return merged([bounds(context), recognition(context)])


def bounds(context: EvaluationContext) -> Measurement:
    """ELBO and importance-weighted bound in nats per image, bits per dimension, KL and active units.

    For a model with a flow prior only the ELBO is measured, on ``FLOW_LIKELIHOOD_IMAGES`` images with one latent each:
    the density of a flow is an integral that costs hundreds of times as much as a sample.
    """
    model, device = context.pipeline.model, context.pipeline.device
    samples, images = context.importance_samples, context.images
    protocol: dict[str, Any] = {}
    flow = not model.prior.has_density
    if flow:
        samples, images = 1, images.first(FLOW_LIKELIHOOD_IMAGES)
        protocol["likelihood_images"] = len(images)
    protocol["importance_samples"] = samples

    def batch(rows: slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        pixels = unit_interval(images.images[rows], device)
        condition = context.encoder_conditions[rows].to(device)
        draws = Draws(context.seed, 0, torch.arange(rows.start, rows.stop), "evaluation", device)
        log_weights = model.log_weights(pixels, condition, samples, draws).double().cpu()
        with torch.no_grad():
            posterior = model.posterior(pixels, condition)
            kl = model.divergence(posterior, condition, draws).cpu()
        return log_weights.mean(0), importance_weighted_bound(log_weights), posterior.mean.flatten(1).cpu(), kl

    group = context.pipeline.processes
    batches = in_batches(group, len(images), BATCH_SIZE, batch, "likelihood bounds")
    elbo, bound, means, kl = map(torch.cat, zip(*batches, strict=True))
    with torch.no_grad():
        pixels, condition = unit_interval(images.images[:1], device), context.encoder_conditions[:1].to(device)
        decoded = model.decode(model.posterior(pixels, condition).mean, condition)
    protocol["likelihood_of"] = decoded.describes
    per_dimension = kl_per_dimension(kl)
    nats = float(bound.mean())
    numbers: dict[str, Any] = {
        "elbo_nats": float(elbo.mean()),
        "importance_weighted_nats": nats,
        "bits_per_dim": bits_per_dimension(nats, images.images[0].numel()),
        "kl_nats": float(per_dimension.sum()),
        "kl_per_dimension": sorted((round(value, 4) for value in per_dimension.tolist()), reverse=True),
        "active_units": active_units(means),
        "latent_dimensions": means.shape[1],
    }
    if not flow:
        return Measurement(numbers, protocol)
    for name in ("importance_weighted_nats", "kl_per_dimension"):
        del numbers[name]
    reason = "the log density of a flow is a noisy estimate, which would bias this bound; bits_per_dim is of the ELBO"
    return Measurement(numbers, protocol, {"likelihood.importance_weighted_nats": reason})


def recognition(context: EvaluationContext) -> Measurement:
    """How often the bound is highest for the correct caption.

    If captions are class names: ``classification_accuracy``. Without classes: ``retrieval_precision`` among the
    captions of ``CHOICES`` images that follow each other in the test set. Source: "reverse the pipeline" in paper c,
    Areas of Improvement. The bound is that of one latent per caption; of a model with a flow prior it is the mean of
    ``FLOW_SAMPLES`` estimates.
    """
    generator, images = context.pipeline, context.images
    flow = not generator.model.prior.has_density
    samples = FLOW_SAMPLES if flow else 1
    protocol = {"recognition_samples": samples}
    if images.labels is not None and tuple(images.captions) == tuple(images.class_names):
        count = CLASSIFIED_BY_FLOW if flow else CLASSIFIED
        some, labels = images.images[:count], images.labels[:count]
        found = caption_bounds(generator, some, generator.text.encode(images.captions), samples, context.seed)
        return Measurement({"classification_accuracy": float((found.argmax(1) == labels).double().mean())}, protocol)
    if images.labels is not None:  # many captions have the same label
        return Measurement()
    some = images.images[:RETRIEVED]
    some = some[: max(CHOICES, len(some) // CHOICES * CHOICES)]
    right = []
    for own in torch.split(torch.arange(len(some)), CHOICES):
        found = caption_bounds(generator, some[own], context.conditions[own], samples, context.seed)
        right.append(found.argmax(1) == torch.arange(len(own)))
    precision = float(torch.cat(right).double().mean())
    return Measurement({"retrieval_precision": precision, "retrieval_choices": min(CHOICES, len(some))}, protocol)

"""The section ``reconstruction``: how similar reconstructions are to their images."""

import torch
from jaxtyping import UInt8
from torch import Tensor

from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.evaluators.distances import distances
from textvae.evaluation.evaluators.judge_accuracy import judge_accuracy
from textvae.evaluation.measurement import Measurement
from textvae.evaluation.metrics.chunks import chunks
from textvae.evaluation.metrics.similarity import mse, mse_sum, psnr, ssim


def reconstruction(context: EvaluationContext) -> Measurement:
    """Similarity of each reconstruction to its image; distances and judge accuracy of all reconstructions."""
    images = context.reconstructed.images
    return Measurement(
        similarity(images, context.images.images)
        | distances(context.reconstructed_features, context.real_features)
        | judge_accuracy(context, images)
    )


def similarity(images: UInt8[Tensor, "n c h w"], reference: UInt8[Tensor, "n c h w"]) -> dict[str, float]:
    """The mean of each measure of ``metrics.similarity`` over pairs of images."""
    measures = {"mse_sum": mse_sum, "mse": mse, "psnr": psnr, "ssim": ssim}
    rows: dict[str, list[Tensor]] = {name: [] for name in measures}
    for some, others in zip(chunks(images), chunks(reference), strict=True):
        x, y = some.double() / 255, others.double() / 255
        for name, measure in measures.items():
            rows[name].append(measure(x, y))
    return {name: float(torch.cat(found).mean()) for name, found in rows.items()}

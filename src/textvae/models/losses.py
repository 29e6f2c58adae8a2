"""Objectives of the training: the negative ELBO in nats per image, and paper c's weighted objective."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class LossTerms:
    """The loss of a training step and its terms."""

    total: Float[Tensor, ""]
    """Mean over the batch, which is minimised."""
    terms: Mapping[str, Float[Tensor, ""]]
    """Terms by the name that is used in progress, history and errors; those of the ELBO are in nats per image."""


def negative_elbo(log_likelihood: Float[Tensor, "n"], kl: Float[Tensor, "n *latent"], beta: float = 1.0) -> LossTerms:
    """-E_q log p(x|z,c) + beta KL(q(z|x,c) || p(z|c)), both summed over their dimensions and averaged over images.

    It is a bound for a beta of 1; other weights are those of the beta-VAE (Higgins et al. 2017). The terms are reported
    without the weight. A mean over pixels instead of a sum would be a hidden KL weight (Rybkin et al. 2021).
    """
    reconstruction = -log_likelihood.mean()
    divergence = kl.flatten(1).sum(1).mean()
    return LossTerms(
        reconstruction + beta * divergence, {"reconstruction": reconstruction.detach(), "kl": divergence.detach()}
    )


def weighted_objective(
    log_likelihood: Float[Tensor, "n"],
    kl: Float[Tensor, "n *latent"],
    similarity: Float[Tensor, "n"],
    *,
    reconstruction_weight: float,
    kl_weight: float,
    ssim_weight: float,
) -> LossTerms:
    """A weighted sum of the terms of the negative ELBO and of 1 - SSIM: paper c's loss (section II).

    The terms are reported without weights, as by ``negative_elbo``; the total is not a bound.
    """
    reconstruction = -log_likelihood.mean()
    divergence = kl.flatten(1).sum(1).mean()
    dissimilarity = 1 - similarity.mean()
    return LossTerms(
        reconstruction_weight * reconstruction + kl_weight * divergence + ssim_weight * dissimilarity,
        {
            "reconstruction": reconstruction.detach(),
            "kl": divergence.detach(),
            "dissimilarity": dissimilarity.detach(),
        },
    )


def scaled_similarities(
    one: Float[Tensor, "n *features"], other: Float[Tensor, "m *features"], log_scale: Float[Tensor, ""]
) -> Float[Tensor, "n m"]:
    """Cosine similarities times exp(``log_scale``), at most 100, as in CLIP (Radford et al. 2021, section 2.5).

    The rows, or each of several vectors in a row, are of length one. Computed in fp32 whatever the precision of the
    training: bf16 would round similarities of up to 100 to a quarter.
    """
    scale = log_scale.exp().clamp(max=100)
    with torch.autocast(one.device.type, enabled=False):
        return scale * (one.float().flatten(1) @ other.float().flatten(1).T)


def contrastive_loss(similarity: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    """Cross-entropy of each row's own column among all columns, and of each column's own row, in nats.

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021), figure 3.
    """
    own = torch.arange(len(similarity), device=similarity.device)
    return (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2


def without_equal_captions(similarity: Float[Tensor, "n n"], captions: Tensor) -> Float[Tensor, "n n"]:
    """The similarity of captions and images, minus infinity where another image of the batch has the same caption.

    Such an image is not a negative example.
    """
    label = torch.unique(captions.flatten(1), dim=0, return_inverse=True)[1]
    same = (label[:, None] == label[None]).fill_diagonal_(False)
    return similarity.masked_fill(same, -torch.inf)


def all_finite(loss: LossTerms) -> Bool[Tensor, ""]:
    """Whether all terms are finite. On a GPU, reading it waits for the device."""
    return torch.isfinite(torch.stack([loss.total.detach(), *loss.terms.values()])).all()

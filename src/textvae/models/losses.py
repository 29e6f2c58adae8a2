"""What training minimises: the negative ELBO, term by term, in nats per image; and paper c's weighted kin."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class LossTerms:
    """What a training step minimises, and what it is made of."""

    total: Float[Tensor, ""]
    """The mean over the batch; its gradient trains."""
    terms: Mapping[str, Float[Tensor, ""]]
    """Named parts for people, those of the ELBO in nats per image: a term's name is what progress, history and errors
    call it."""


def negative_elbo(log_likelihood: Float[Tensor, "n"], kl: Float[Tensor, "n *latent"], beta: float = 1.0) -> LossTerms:
    """-E_q log p(x|z,c) + beta KL(q(z|x,c) || p(z|c)), both summed over their dimensions and averaged over images.

    The bound is that of beta 1; another weighs what the latents tell (Higgins et al. 2017). Terms are told unweighted.
    Summed, not averaged: a mean over pixels beside a sum over latents is a KL weight in disguise (Rybkin et al. 2021).
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
    """The negative ELBO with weights, and with what is missing to an SSIM of one: paper c's loss (section II).

    The terms are named and measured as those of ``negative_elbo``, unweighted; the total is no bound on anything.
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


def step_is_finite(loss: LossTerms) -> bool:
    """Whether every term is a number (a device synchronisation on a GPU)."""
    return bool(torch.isfinite(torch.stack([loss.total.detach(), *loss.terms.values()])).all())

"""Summaries of a likelihood: bounds, bits per dimension, active units, KL per dimension."""

import math
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor

Nats = TypeVar("Nats", float, Tensor)


def importance_weighted_bound(log_weights: Float[Tensor, "k n"]) -> Float[Tensor, "n"]:
    """A lower bound on log p(x|c) of each image, in nats, from k draws of its latent (Burda et al. 2016, equation 8).

    With one draw it is an unbiased estimate of the ELBO. It rises with k towards the log-likelihood, so k has to be
    reported with it.

    Args:
        log_weights: log p(x|z,c) + log p(z|c) - log q(z|x,c) for each draw and image.
    """
    return log_weights.logsumexp(0) - math.log(len(log_weights))


def bits_per_dimension(log_likelihood: Nats, dimensions: int) -> Nats:
    """A log-likelihood (or a bound on it) in nats per image as bits per pixel and channel; lower is better.

    The log-likelihood must be a probability of the stored values 0..255, not a density over [0, 1], which gives
    8 bits per dimension less.
    """
    return -log_likelihood / (dimensions * math.log(2))


def active_units(means: Float[Tensor, "n d"]) -> int:
    """The number of latent dimensions whose posterior mean has a variance above 0.01 over the images.

    Source: A_u = Var_x(E_q[u|x]) > 0.01 of Burda et al. 2016, section 5.2.
    """
    return int((means.double().var(0) > 0.01).sum())


def kl_per_dimension(kl: Float[Tensor, "n *latent"]) -> Float[Tensor, "d"]:
    """The KL divergence of each latent dimension averaged over images, in nats; latent axes are flattened.

    It is near zero for a collapsed dimension; the sum is the KL term of the ELBO.
    """
    return kl.flatten(1).mean(0)

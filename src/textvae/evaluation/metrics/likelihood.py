"""What the likelihood of a model is summed up to."""

import math
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor

Nats = TypeVar("Nats", float, Tensor)


def importance_weighted_bound(log_weights: Float[Tensor, "k n"]) -> Float[Tensor, "n"]:
    """A lower bound on log p(x|c) of each image, in nats, from k draws of its latent (Burda et al. 2016, equation 8).

    One draw gives an unbiased ELBO; the bound rises with k towards the log-likelihood, so k stands beside it.

    Args:
        log_weights: log p(x|z,c) + log p(z|c) - log q(z|x,c) for each draw and image.
    """
    return log_weights.logsumexp(0) - math.log(len(log_weights))


def bits_per_dimension(log_likelihood: Nats, dimensions: int) -> Nats:
    """A log-likelihood (or a bound on it) in nats per image as bits per pixel and channel; lower is better.

    The log-likelihood must be a probability of the stored values 0..255, not a density over [0, 1], which lies
    8 bits lower.
    """
    return -log_likelihood / (dimensions * math.log(2))


def active_units(means: Float[Tensor, "n d"], threshold: float = 0.01) -> int:
    """How many latent dimensions the encoder uses: posterior means that vary by more than ``threshold`` over images.

    Burda et al. 2016, on the latent space representation: A_u = Var_x(E_q[u|x]) > 0.01.
    """
    return int((means.double().var(0) > threshold).sum())


def kl_per_dimension(kl: Float[Tensor, "n *latent"]) -> Float[Tensor, "d"]:
    """The mean KL of each latent dimension over images, in nats; the latent's own axes are flattened.

    Near zero for a collapsed dimension; the sum is the KL of the ELBO.
    """
    return kl.flatten(1).mean(0)

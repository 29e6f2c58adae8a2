"""Gaussian priors: the standard normal, and one that is learned from the condition (Sohn et al. 2015)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from textvae.priors.base import refuse_options
from textvae.priors.options import SamplingOptions
from textvae.utils.random import Draws


class StandardNormal(nn.Module):
    """N(0, I) over latents of a given shape, whatever the condition (Kingma & Welling 2014)."""

    supports_guidance = False
    has_density = True

    def __init__(self, latent_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.latent_shape = latent_shape

    def kl(
        self,
        mean: Float[Tensor, "n *latent"],
        log_variance: Float[Tensor, "n *latent"],
        condition: Tensor,
        draws: Draws | None = None,
    ) -> Float[Tensor, "n *latent"]:
        """KL(N(mean, variance) || prior) in nats, per latent dimension (Kingma & Welling 2014, appendix B)."""
        return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)

    def log_prob(
        self, latent: Float[Tensor, "n *latent"], condition: Tensor, draws: Draws | None = None
    ) -> Float[Tensor, "n"]:
        """Log density in nats."""
        return (-0.5 * (latent.square() + math.log(2 * math.pi))).flatten(1).sum(1)

    def sample(
        self, condition: Tensor, noise: Float[Tensor, "n *latent"], sampling: SamplingOptions | None = None
    ) -> Float[Tensor, "n *latent"]:
        """The noise itself."""
        refuse_options(sampling)
        return torch.as_tensor(noise)


class LearnedGaussian(nn.Module):
    """N(mean(c), variance(c)), both computed by a linear layer from features of the condition (Sohn et al. 2015).

    With N(0, I) as the prior, information about the caption in z increases the KL. Here the mean depends on the
    caption, so that samples come from the region of latents that the decoder was trained on.
    """

    supports_guidance = False
    has_density = True

    def __init__(self, features: nn.Module, num_features: int, latent_shape: tuple[int, ...]) -> None:
        """``features`` turns a condition into [n, num_features], or into [n, k, num_features] where the latent has k
        rows, each with a prior of its own.
        """
        super().__init__()
        self.latent_shape = latent_shape
        self.features = features
        per_row = latent_shape[-1] if len(latent_shape) > 1 else math.prod(latent_shape)
        self.head = nn.Linear(num_features, 2 * per_row)

    def kl(
        self,
        mean: Float[Tensor, "n *latent"],
        log_variance: Float[Tensor, "n *latent"],
        condition: Tensor,
        draws: Draws | None = None,
    ) -> Float[Tensor, "n *latent"]:
        """KL between two diagonal Gaussians in nats, per latent dimension."""
        prior_mean, prior_log_variance = self._moments(condition)
        ratio = (log_variance - prior_log_variance).exp()
        distance = (mean - prior_mean).square() * (-prior_log_variance).exp()
        return 0.5 * (ratio + distance - 1 + prior_log_variance - log_variance)

    def log_prob(
        self, latent: Float[Tensor, "n *latent"], condition: Tensor, draws: Draws | None = None
    ) -> Float[Tensor, "n"]:
        """Log density in nats."""
        mean, log_variance = self._moments(condition)
        squared = (latent - mean).square() * (-log_variance).exp()
        return (-0.5 * (squared + log_variance + math.log(2 * math.pi))).flatten(1).sum(1)

    def sample(
        self, condition: Tensor, noise: Float[Tensor, "n *latent"], sampling: SamplingOptions | None = None
    ) -> Float[Tensor, "n *latent"]:
        """The noise, scaled and shifted."""
        refuse_options(sampling)
        mean, log_variance = self._moments(condition)
        return mean + noise * (0.5 * log_variance).exp()

    def _moments(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = self.head(self.features(condition)).float().chunk(2, dim=-1)
        # Bounded on both sides, since prior and posterior can diverge together to any variance.
        log_variance = 5 * torch.tanh(raw / 5)
        shape = (-1, *self.latent_shape)
        return mean.reshape(shape), log_variance.reshape(shape)

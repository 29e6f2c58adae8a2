"""TextVAE: what every family says, and what follows from it once for all."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.distributions import Likelihood, Posterior
from textvae.models.losses import LossTerms, negative_elbo
from textvae.priors import SamplingOptions
from textvae.priors.base import Prior


class Trainable(nn.Module, ABC):
    """What the training loop asks of a model."""

    @abstractmethod
    def loss(self, images: Float[Tensor, "n c h w"], condition: Tensor) -> LossTerms:
        """The loss terms of a batch of images in [0, 1] and their conditions."""


class TextVAE(Trainable):
    """A variational autoencoder of images given a condition.

    A family says three things: ``posterior``, ``decode``, and which ``prior`` it has. It knows nothing of files,
    strings or devices. A condition is one tensor whose first axis counts images; a row of zeros says nothing.
    """

    image_shape: tuple[int, int, int]
    """(channels, height, width)"""
    prior: Prior

    @abstractmethod
    def posterior(self, images: Float[Tensor, "n c h w"], condition: Tensor) -> Posterior:
        """q(z|x,c) for images in [0, 1]."""

    @abstractmethod
    def decode(self, latent: Float[Tensor, "n *latent"], condition: Tensor) -> Likelihood:
        """p(x|z,c)."""

    def loss(self, images: Float[Tensor, "n c h w"], condition: Tensor) -> LossTerms:
        """The negative ELBO with one draw from the posterior, in nats per image."""
        return self.loss_at(self.posterior(images, condition), images, condition)

    def loss_at(self, posterior: Posterior, images: Float[Tensor, "n c h w"], condition: Tensor) -> LossTerms:
        """The same, given q(z|x,c): for models that look at it besides."""
        likelihood = self.decode(posterior.sample(), condition)
        return negative_elbo(likelihood.log_prob(images), self.divergence(posterior, condition))

    def divergence(self, posterior: Posterior, condition: Tensor) -> Float[Tensor, "n *latent"]:
        """KL(q(z|x,c) || p(z|c)) in nats, per latent dimension (or per group, where dimensions are correlated)."""
        return self.prior.kl(posterior.mean, posterior.log_variance, condition)

    @torch.no_grad()
    def reconstruct(self, images: Float[Tensor, "n c h w"], condition: Tensor) -> Float[Tensor, "n c h w"]:
        """The expected image at the posterior mean, in [0, 1]."""
        return self.decode(self.posterior(images, condition).mean, condition).mean

    @torch.no_grad()
    def sample(
        self, condition: Tensor, noise: Float[Tensor, "n *latent"], sampling: SamplingOptions | None = None
    ) -> Float[Tensor, "n c h w"]:
        """The expected image, in [0, 1], at latents that the prior makes of standard normal noise.

        Raises:
            UserError: something is asked of the sampling, and the prior can't be led.
        """
        return self.decode(self.latents(condition, noise, sampling), condition).mean

    def latents(
        self, condition: Tensor, noise: Float[Tensor, "n *latent"], sampling: SamplingOptions | None = None
    ) -> Float[Tensor, "n *latent"]:
        """What the prior makes of standard normal noise, led as ``sampling`` asks."""
        return self.prior.sample(condition, noise, sampling)

    @torch.no_grad()
    def log_weights(
        self, images: Float[Tensor, "n c h w"], condition: Tensor, samples: int
    ) -> Float[Tensor, "samples n"]:
        """The terms log p(x|z,c) + log p(z|c) - log q(z|x,c) for draws of z from the posterior, in nats.

        Their mean over draws is the ELBO; their log-mean-exp is the importance-weighted bound (Burda et al. 2016).
        """
        posterior = self.posterior(images, condition)
        rows = []
        for _ in range(samples):
            latent = posterior.sample()
            rows.append(
                self.decode(latent, condition).log_mass(images)
                + self.prior.log_prob(latent, condition)
                - posterior.log_prob(latent)
            )
        return torch.stack(rows)

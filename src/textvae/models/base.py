"""Base classes of the models: Trainable for the training loop, TextVAE for every family of VAEs."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.distributions import Likelihood, Posterior
from textvae.models.losses import LossTerms, negative_elbo
from textvae.priors import SamplingOptions
from textvae.priors.base import Prior
from textvae.utils.random import Draws


class Trainable(nn.Module, ABC):
    """A model that the training loop can train."""

    @abstractmethod
    def loss(self, images: Float[Tensor, "n c h w"], condition: Tensor, draws: Draws) -> LossTerms:
        """The loss terms of a batch of images in [0, 1] and their conditions.

        All random numbers come from ``draws``, and each term is a mean over images. The loss of a batch is therefore
        the mean of the losses of its parts, weighted by their sizes, except where images of a batch are related to one
        another: in batch normalisation and in ``WholeBatch``.
        """


class TextVAE(Trainable):
    """A variational autoencoder of images given a condition.

    A family defines ``posterior``, ``decode`` and ``prior``, and knows nothing of files, strings or devices. A
    condition is one tensor whose first axis counts images; a row of zeros is the empty condition.
    """

    image_shape: tuple[int, int, int]
    """(channels, height, width)"""
    prior: Prior
    embedding_dim: int = 0
    """Number of trailing latent dimensions that hold an embedding of the image. A flow prior generates only these;
    the others stay N(0, I). Since the embedding is a function of the image, such a model has no likelihood bound."""

    @abstractmethod
    def posterior(self, images: Float[Tensor, "n c h w"], condition: Tensor) -> Posterior:
        """q(z|x,c) for images in [0, 1]."""

    @abstractmethod
    def decode(self, latent: Float[Tensor, "n *latent"], condition: Tensor) -> Likelihood:
        """p(x|z,c)."""

    def loss(self, images: Float[Tensor, "n c h w"], condition: Tensor, draws: Draws) -> LossTerms:
        """The negative ELBO with one sample of the posterior, in nats per image."""
        return self.loss_at(self.posterior(images, condition), images, condition, draws)

    def loss_at(
        self, posterior: Posterior, images: Float[Tensor, "n c h w"], condition: Tensor, draws: Draws
    ) -> LossTerms:
        """The negative ELBO, given the posterior of the images."""
        latent = posterior.sample(draws.normal(*posterior.mean.shape[1:]))
        likelihood = self.decode(latent, condition)
        return negative_elbo(likelihood.log_prob(images), self.divergence(posterior, condition, draws))

    def divergence(self, posterior: Posterior, condition: Tensor, draws: Draws) -> Float[Tensor, "n *latent"]:
        """KL(q(z|x,c) || p(z|c)) in nats, per latent dimension (or per group, where dimensions are correlated).

        ``draws`` are used by priors whose KL has no closed form.
        """
        return self.prior.kl(posterior.mean, posterior.log_variance, condition, draws)

    @torch.no_grad()
    def reconstruct(self, images: Float[Tensor, "n c h w"], condition: Tensor) -> Float[Tensor, "n c h w"]:
        """The expected image at the posterior mean, in [0, 1]."""
        return self.decode(self.posterior(images, condition).mean, condition).mean

    @torch.no_grad()
    def sample(
        self, condition: Tensor, noise: Float[Tensor, "n *latent"], sampling: SamplingOptions | None = None
    ) -> Float[Tensor, "n c h w"]:
        """The expected image, in [0, 1], at latents that the prior computes from standard normal noise.

        Raises:
            UserError: a sampling option is set, and the prior does not support guidance.
        """
        return self.decode(self.latents(condition, noise, sampling), condition).mean

    def latents(
        self, condition: Tensor, noise: Float[Tensor, "n *latent"], sampling: SamplingOptions | None = None
    ) -> Float[Tensor, "n *latent"]:
        """The latents that the prior computes from standard normal noise with these options."""
        return self.prior.sample(condition, noise, sampling)

    @torch.no_grad()
    def log_weights(
        self, images: Float[Tensor, "n c h w"], condition: Tensor, samples: int, draws: Draws
    ) -> Float[Tensor, "samples n"]:
        """Log p(x|z,c) + log p(z|c) - log q(z|x,c) for samples z of the posterior, in nats.

        Their mean over samples is the ELBO; their log-mean-exp is the importance-weighted bound (Burda et al. 2016).
        """
        posterior = self.posterior(images, condition)
        rows = []
        for _ in range(samples):
            latent = posterior.sample(draws.normal(*posterior.mean.shape[1:]))
            rows.append(
                self.decode(latent, condition).log_mass(images)
                + self.prior.log_prob(latent, condition, draws)
                - posterior.log_prob(latent)
            )
        return torch.stack(rows)

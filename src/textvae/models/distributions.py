"""The distributions of the models: Gaussian posteriors over latents, Bernoulli and Gaussian likelihoods of images."""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

LEVELS = 256
"""Grey levels of a stored pixel."""


@runtime_checkable
class Posterior(Protocol):
    """q(z|x,c)."""

    @property
    def mean(self) -> Float[Tensor, "n *latent"]:
        """The expected latent."""
        ...

    @property
    def log_variance(self) -> Float[Tensor, "n *latent"]:
        """Log of the variance of each dimension."""
        ...

    def sample(self, noise: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        """The latent that standard normal noise is mapped to (the reparameterisation trick)."""
        ...

    def log_prob(self, latent: Float[Tensor, "n *latent"]) -> Float[Tensor, "n"]:
        """Log density in nats."""
        ...


@dataclass(frozen=True)
class DiagonalGaussian:
    """q(z|x,c): independent normal latents."""

    mean: Float[Tensor, "n *latent"]
    log_variance: Float[Tensor, "n *latent"]

    def sample(self, noise: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        """The latent that standard normal noise is mapped to (Kingma & Welling 2014, section 2.4)."""
        return self.mean + noise * (0.5 * self.log_variance).exp()

    def log_prob(self, latent: Float[Tensor, "n *latent"]) -> Float[Tensor, "n"]:
        """Log density in nats."""
        squared = (latent - self.mean).square() * (-self.log_variance).exp()
        return (-0.5 * (squared + self.log_variance + math.log(2 * math.pi))).flatten(1).sum(1)


@runtime_checkable
class Likelihood(Protocol):
    """p(x|z,c): independent pixels."""

    describes: ClassVar[str]
    """What ``log_mass`` is a probability of; reported with bits per dimension."""

    @property
    def mean(self) -> Float[Tensor, "n c h w"]:
        """The expected image, in [0, 1], which is what is displayed."""
        ...

    def log_prob(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
        """The term of the training objective, in nats per image."""
        ...

    def log_mass(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
        """Log probability in nats per image, comparable between models with equal ``describes``."""
        ...


@dataclass(frozen=True)
class Bernoulli:
    """Binary cross-entropy on grey values: the "BCE" of papers a and c.

    On grey values it is not a density. It is the exact expected log-likelihood of binary images whose pixels are on
    with the probability that the grey value gives, so its bounds hold for those images and compare only with each
    other.
    """

    logits: Float[Tensor, "n c h w"]
    describes: ClassVar[str] = "binary images drawn from the grey values"

    @property
    def mean(self) -> Float[Tensor, "n c h w"]:
        """Pixel probabilities."""
        return self.logits.sigmoid()

    def log_prob(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
        """Negative binary cross-entropy, summed over pixels."""
        return -F.binary_cross_entropy_with_logits(self.logits, images, reduction="none").flatten(1).sum(1)

    def log_mass(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
        """The same as ``log_prob``."""
        return self.log_prob(images)


@dataclass(frozen=True)
class Gaussian:
    """Normal pixels around a mean in [0, 1], with one learned noise scale (Rybkin et al. 2021, "shared σ").

    With the scale fixed at 1, the reconstruction term of images in [0, 1] is about a hundred times too weak against
    the KL; learned, it settles at the root mean squared error and no weight has to be tuned.
    """

    location: Float[Tensor, "n c h w"]
    log_sigma: Float[Tensor, ""]
    describes: ClassVar[str] = "8-bit images"

    @property
    def mean(self) -> Float[Tensor, "n c h w"]:
        """The centre of the pixel's distribution."""
        return self.location

    def log_prob(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
        """Log density in nats per image."""
        scaled = (images - self.location) * (-self.log_sigma).exp()
        return (-0.5 * (scaled.square() + math.log(2 * math.pi)) - self.log_sigma).flatten(1).sum(1)

    def log_mass(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
        """Log probability of the 8-bit image: a bin for each level, and the tails for the first and last."""
        half, inverse = 0.5 / (LEVELS - 1), (-self.log_sigma).exp().double()
        centred = images.double() - self.location.double()
        upper = torch.where(images > 1 - half, torch.inf, (centred + half) * inverse)
        lower = torch.where(images < half, -torch.inf, (centred - half) * inverse)
        # Mirrored into the left tail, where the difference of two small numbers loses no digits.
        flip = lower > 0
        left, right = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
        high, low = torch.special.log_ndtr(right), torch.special.log_ndtr(left)
        mass: Tensor = (high + torch.log1p(-(low - high).exp())).flatten(1).sum(1)
        return mass.float()

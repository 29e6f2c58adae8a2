"""What every prior p(z|c) offers."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Prior(Protocol):
    """p(z|c), as ``priors/`` offers it."""

    latent_shape: tuple[int, ...]

    def kl(self, mean: Tensor, log_variance: Tensor, condition: Tensor) -> Tensor:
        """KL from a diagonal Gaussian posterior, per latent dimension, in nats."""
        ...

    def log_prob(self, latent: Tensor, condition: Tensor) -> Tensor:
        """Log density in nats."""
        ...

    def sample(self, condition: Tensor, noise: Tensor) -> Tensor:
        """Latents made from standard normal noise of the latents' shape."""
        ...

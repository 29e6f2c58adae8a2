"""The standard normal prior p(z|c) = N(0, I): what all four papers sample from."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class StandardNormal(nn.Module):
    """N(0, I) over latents of a given shape, whatever the condition (Kingma & Welling 2014)."""

    def __init__(self, latent_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.latent_shape = latent_shape

    def kl(
        self, mean: Float[Tensor, "n *latent"], log_variance: Float[Tensor, "n *latent"], condition: Tensor
    ) -> Float[Tensor, "n *latent"]:
        """KL(N(mean, variance) || prior) in nats, per latent dimension (Kingma & Welling 2014, appendix B)."""
        return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)

    def log_prob(self, latent: Float[Tensor, "n *latent"], condition: Tensor) -> Float[Tensor, "n"]:
        """Log density in nats."""
        return (-0.5 * (latent.square() + math.log(2 * math.pi))).flatten(1).sum(1)

    def sample(self, condition: Tensor, noise: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        """Latents for standard normal noise: the noise itself."""
        return torch.as_tensor(noise)

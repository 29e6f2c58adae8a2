"""Pieces that several families share."""

from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.distributions import Bernoulli, DiagonalGaussian, Gaussian, Likelihood

LikelihoodName = Literal["bernoulli", "gaussian"]


def dense(*widths: int) -> nn.Sequential:
    """Linear layers of the given widths, a ReLU after each but the last."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class GaussianHead(nn.Linear):
    """One linear layer to the mean and log-variance of a diagonal Gaussian."""

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__(features, 2 * latent_dim)

    def forward(self, features: Float[Tensor, "*n features"]) -> DiagonalGaussian:  # type: ignore[override]
        """q(z|·); computed in fp32, where the exponential of a log-variance is safe."""
        mean, log_variance = super().forward(features).float().chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_variance)


class PixelLikelihood(nn.Module):
    """Turns a decoder's last layer into p(x|z,c), and owns the noise scale where there is one."""

    def __init__(self, name: LikelihoodName) -> None:
        super().__init__()
        self.name = name
        if name == "gaussian":
            # 0.2 is near the root mean squared error after the first hundred steps; Adam does the rest.
            self.log_sigma = nn.Parameter(torch.tensor(0.2).log())

    def forward(self, logits: Float[Tensor, "n c h w"]) -> Likelihood:
        """A sigmoid on the logits is the expected image under both."""
        logits = logits.float()
        if self.name == "bernoulli":
            return Bernoulli(logits)
        return Gaussian(logits.sigmoid(), self.log_sigma)

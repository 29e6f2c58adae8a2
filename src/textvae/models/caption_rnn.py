"""CaptionRNN: paper d's variational encoder-decoder, as it is and with the options of its discussion."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.caption_encoders import RecurrentEncoder
from textvae.models.distributions import DiagonalGaussian, Likelihood, Posterior
from textvae.models.layers import PixelLikelihood
from textvae.priors import SamplingOptions, StandardNormal
from textvae.utils.random import Draws


class CaptionRNN(TextVAE):
    """A recurrent network reads the caption; ten Gaussians follow from it; one linear layer draws them.

    The latent is inferred from the caption alone, so what maximises the likelihood of all the images that a caption
    may show is their mean. The posterior that never sees an image is the paper's design, and its flaw
    (``recipes.paper_d.caption_rnn`` has the figures).
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes of a CaptionRNN (paper d, section 3.2), and the options of its section 5."""

        num_tokens: int = 32
        """Rows of the embedding table."""
        embedding_dim: int = 5
        """Dimensions of a word."""
        learned_embeddings: bool = False
        """Train the word embeddings; the paper fixes them."""
        cell: Literal["rnn", "gru", "lstm"] = "gru"
        """Kind of the recurrent network."""
        hidden: int = 64
        """Its width."""
        layers: int = 1
        """Its depth."""
        bidirectional: bool = False
        """Read backwards as well."""
        attention: bool = False
        """Each Gaussian attends over the words by a query of its own, instead of sharing the last state."""
        gaussians: int = 10
        """Gaussians that are sampled."""
        gaussian_dim: int = 10
        """Dimensions of each."""
        correlated: bool = False
        """Each Gaussian with a full covariance (the authors' code has both); the paper's are independent."""
        decoder: Literal["linear", "deconv"] = "linear"
        """One linear layer, or transposed convolutions."""

        def build(self) -> "CaptionRNN":
            """The model with fresh weights."""
            return CaptionRNN(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        k, d = config.gaussians, config.gaussian_dim
        self.image_shape = (1, 28, 28)
        self.latent_grid = (k, d)
        self.reader = RecurrentEncoder(
            config.cell,
            config.num_tokens,
            config.embedding_dim,
            config.hidden,
            config.layers,
            config.bidirectional,
            config.learned_embeddings,
            attention_heads=k if config.attention else 0,
        )
        # A mean, then the lower triangle of a Cholesky factor (or only its diagonal), for each Gaussian.
        self.correlated = config.correlated
        spread = d * (d + 1) // 2 if config.correlated else d
        self.posterior_head = nn.Linear(self.reader.num_features, k * (d + spread))
        self.decoder = _linear_decoder(k * d) if config.decoder == "linear" else _deconv_decoder(k * d)
        self.likelihood = PixelLikelihood("bernoulli")
        self.prior = StandardNormal((k * d,))

    def posterior(self, images: Float[Tensor, "n 1 28 28"], condition: Int64[Tensor, "n length"]) -> Posterior:
        """q(z|caption): the images are not looked at."""
        k, d = self.latent_grid
        moments = self.posterior_head(self.reader(condition)).float().unflatten(1, (k, -1))
        mean = moments[..., :d]
        if not self.correlated:
            return DiagonalGaussian(mean.flatten(1), moments[..., d:].flatten(1))
        rows, columns = torch.tril_indices(d, d, device=mean.device)
        lower = mean.new_zeros(*mean.shape, d)
        lower[..., rows, columns] = moments[..., d:]
        diagonal = lower.diagonal(dim1=-2, dim2=-1)
        return GaussianGroups(mean, lower.tril(-1) + torch.diag_embed((0.5 * diagonal).exp()))

    def decode(self, latent: Float[Tensor, "n latent"], condition: Int64[Tensor, "n length"]) -> Likelihood:
        """p(x|z): the caption speaks through z alone."""
        likelihood: Likelihood = self.likelihood(self.decoder(latent))
        return likelihood

    def divergence(self, posterior: Posterior, condition: Tensor, draws: Draws) -> Float[Tensor, "n *latent"]:
        """KL to N(0, I), in nats, per dimension or per correlated group."""
        if isinstance(posterior, GaussianGroups):
            return posterior.kl_to_standard_normal()
        return super().divergence(posterior, condition, draws)

    def latents(
        self,
        condition: Int64[Tensor, "n length"],
        noise: Float[Tensor, "n latent"],
        sampling: SamplingOptions | None = None,
    ) -> Float[Tensor, "n latent"]:
        """Drawn from q(z|caption), as the paper generates."""
        if sampling:
            return super().latents(condition, noise, sampling)
        posterior = self.posterior(noise.new_zeros(len(noise), *self.image_shape), condition)
        return posterior.sample(noise)


@dataclass(frozen=True)
class GaussianGroups:
    """Independent Gaussians, each with correlated dimensions; latents are their concatenation."""

    means: Float[Tensor, "n k d"]
    cholesky: Float[Tensor, "n k d d"]

    @property
    def mean(self) -> Float[Tensor, "n latent"]:
        """All means, concatenated."""
        return self.means.flatten(1)

    @property
    def log_variance(self) -> Float[Tensor, "n latent"]:
        """Log of the diagonal of the covariance."""
        return self.cholesky.square().sum(-1).log().flatten(1)

    def sample(self, noise: Float[Tensor, "n latent"]) -> Float[Tensor, "n latent"]:
        """The latent that standard normal noise is mapped to."""
        grouped = noise.view(self.means.shape)
        return (self.means + (self.cholesky @ grouped.unsqueeze(-1)).squeeze(-1)).flatten(1)

    def log_prob(self, latent: Float[Tensor, "n latent"]) -> Float[Tensor, "n"]:
        """Log density in nats."""
        centred = (latent.view(self.means.shape) - self.means).unsqueeze(-1)
        standard = torch.linalg.solve_triangular(self.cholesky, centred, upper=False).squeeze(-1)
        log_scale = self.cholesky.diagonal(dim1=-2, dim2=-1).log()
        density: Tensor = (-0.5 * (standard.square() + math.log(2 * math.pi)) - log_scale).flatten(1).sum(1)
        return density

    def kl_to_standard_normal(self) -> Float[Tensor, "n k"]:
        """KL to N(0, I) of each Gaussian, in nats."""
        trace = self.cholesky.square().sum((-2, -1))
        log_determinant = 2 * self.cholesky.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return 0.5 * (trace + self.means.square().sum(-1) - self.means.shape[-1] - log_determinant)


def _linear_decoder(latent_dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(latent_dim, 28 * 28), nn.Unflatten(1, (1, 28, 28)))


def _deconv_decoder(latent_dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(latent_dim, 64 * 7 * 7),
        nn.ReLU(),
        nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
    )

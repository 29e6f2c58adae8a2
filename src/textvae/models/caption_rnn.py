"""CaptionRNN: paper d's variational encoder-decoder, with the options of its discussion."""

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
from textvae.utils.config import Depth, Size
from textvae.utils.random import Draws


class CaptionPosterior(TextVAE):
    """A model whose posterior depends on the caption alone: images are generated from it (paper d, section 3.2)."""

    def latents(
        self,
        condition: Int64[Tensor, "n length"],
        noise: Float[Tensor, "n latent"],
        sampling: SamplingOptions | None = None,
    ) -> Float[Tensor, "n latent"]:
        """Samples of q(z|caption), from which the paper generates."""
        if sampling:
            return super().latents(condition, noise, sampling)
        posterior = self.posterior(noise.new_zeros(noise.shape[0], *self.image_shape), condition)
        return posterior.sample(noise)


class CaptionRNN(CaptionPosterior):
    """A recurrent network encodes the caption as ten Gaussians; one linear layer decodes them to an image.

    In the paper's design the posterior depends on the caption alone. The images that maximise the likelihood are
    therefore the means over all images of a caption (docs/experiment_log.md has the figures).
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes of a CaptionRNN (paper d, section 3.2), and the options of its section 5."""

        num_tokens: Size = 32
        """Rows of the embedding table."""
        embedding_dim: Size = 5
        """Dimensions of a word."""
        learned_embeddings: bool = False
        """Whether the word embeddings are trained; the paper fixes them."""
        cell: Literal["rnn", "gru", "lstm"] = "gru"
        """Kind of the recurrent network."""
        hidden: Size = 64
        """Width of the recurrent network."""
        layers: Depth = 1
        """Number of its layers."""
        bidirectional: bool = False
        """Whether the network also reads the caption backwards."""
        attention: bool = False
        """Whether each Gaussian attends to the words with a query of its own, instead of using the last state."""
        gaussians: Size = 10
        """Number of Gaussians."""
        gaussian_dim: Size = 10
        """Dimensions of each Gaussian."""
        correlated: bool = False
        """Whether each Gaussian has a full covariance (an option of the authors' program) or a diagonal one (paper)."""
        decoder: Literal["linear", "deconv"] = "linear"
        """linear: one linear layer; deconv: transposed convolutions."""

        def build(self) -> "CaptionRNN":
            """The model with initial weights."""
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
        # For each Gaussian a mean and the lower triangle of a Cholesky factor, or its diagonal only.
        self.correlated = config.correlated
        spread = d * (d + 1) // 2 if config.correlated else d
        self.posterior_head = nn.Linear(self.reader.num_features, k * (d + spread))
        self.decoder = _linear_decoder(k * d) if config.decoder == "linear" else _deconv_decoder(k * d)
        self.likelihood = PixelLikelihood("bernoulli")
        self.prior = StandardNormal((k * d,))

    def posterior(self, images: Float[Tensor, "n 1 28 28"], condition: Int64[Tensor, "n length"]) -> Posterior:
        """q(z|caption), whatever the images."""
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
        """p(x|z), which depends on the caption through z alone."""
        likelihood: Likelihood = self.likelihood(self.decoder(latent))
        return likelihood

    def divergence(self, posterior: Posterior, condition: Tensor, draws: Draws) -> Float[Tensor, "n *latent"]:
        """KL to N(0, I), in nats, per dimension or per correlated group."""
        if isinstance(posterior, GaussianGroups):
            return posterior.kl_to_standard_normal()
        return super().divergence(posterior, condition, draws)


@dataclass(frozen=True)
class GaussianGroups:
    """Several independent Gaussians with a full covariance each, whose samples are concatenated."""

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

"""ClipUnclip: paper c's model with the embedding of the image as a part of the latent, so that a prior generates it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from textvae.models.base import TextVAE
from textvae.models.clip_dual import ClipDual
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.losses import LossTerms
from textvae.priors import SamplingOptions, StandardNormal
from textvae.utils.random import Draws

_EXACT = -60.0
"""Log variance of the embedding: nearly zero variance, because the embedding is known."""


class ClipUnclip(TextVAE):
    """A ``ClipDual`` whose latent is z followed by the embedding e that its decoder takes.

    Source: unCLIP (Ramesh et al. 2022, section 2): a decoder of image embeddings, and a prior p(e | text) that makes an
    image embedding of that of a text. A flow prior fitted to this model is that prior: it generates e alone, while z
    stays N(0, I). Without one, the embedding of the text takes the place of e, as in paper c.

    It is trained exactly like its ``ClipDual``, with the same random numbers.
    """

    @dataclass(frozen=True)
    class Config(ClipDual.Config):
        """Sizes and weights of its ``ClipDual``."""

        def build(self) -> "ClipUnclip":  # type: ignore[override]
            """The model with initial weights."""
            return ClipUnclip(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.dual = ClipDual(config)
        self.image_shape = self.dual.image_shape
        self.embedding_dim = config.condition_dim
        self.prior = StandardNormal((config.latent_dim + config.condition_dim,))

    def posterior(self, images: Float[Tensor, "n 3 h w"], condition: Float[Tensor, "n d"]) -> DiagonalGaussian:
        """q(z|x,e), and the condition as e."""
        found = self.dual.posterior(images, condition)
        exact = torch.full_like(condition, _EXACT)
        return DiagonalGaussian(
            torch.cat([found.mean, condition], dim=1), torch.cat([found.log_variance, exact], dim=1)
        )

    def decode(self, latent: Float[Tensor, "n latent"], condition: Float[Tensor, "n d"]) -> Likelihood:
        """p(x|z,e); the condition is not used."""
        z, embedding = torch.split(latent, [self.config.latent_dim, self.embedding_dim], dim=1)
        return self.dual.decode(z, embedding)

    def latents(
        self,
        condition: Float[Tensor, "n d"],
        noise: Float[Tensor, "n latent"],
        sampling: SamplingOptions | None = None,
    ) -> Float[Tensor, "n latent"]:
        """The latents without a flow prior: z from the noise, and the condition as e."""
        return torch.cat([self.prior.sample(condition, noise, sampling)[:, : self.config.latent_dim], condition], dim=1)

    def loss(self, images: Float[Tensor, "n 3 h w"], condition: Float[Tensor, "n d"], draws: Draws) -> LossTerms:
        """The loss of the ``ClipDual``."""
        return self.dual.loss(images, condition, draws)

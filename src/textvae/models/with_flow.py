"""Stage two: a flow prior learned on the latents of a trained VAE, and the VAE that draws from it."""

import copy
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.models.base import TextVAE, Trainable
from textvae.models.caption_encoders import AuxiliaryEncoder, WordTransformer
from textvae.models.distributions import DiagonalGaussian, Likelihood, Posterior
from textvae.models.losses import LossTerms
from textvae.priors import FlowPrior
from textvae.utils.errors import UserError


class WithFlow(TextVAE):
    """Any VAE, its own prior exchanged for a flow."""

    prior: FlowPrior

    def __init__(self, vae: TextVAE, prior: FlowPrior) -> None:
        super().__init__()
        self.image_shape = vae.image_shape
        self.vae = vae
        self.prior = prior

    def posterior(self, images: Float[Tensor, "n c h w"], condition: Tensor) -> Posterior:
        """The VAE's."""
        return self.vae.posterior(images, condition)

    def decode(self, latent: Float[Tensor, "n *latent"], condition: Tensor) -> Likelihood:
        """The VAE's."""
        return self.vae.decode(latent, condition)


@dataclass(frozen=True)
class FlowConfig:
    """A flow prior, and how it reads conditions."""

    prior: FlowPrior.Config = field(default_factory=FlowPrior.Config)
    reader: Literal["none", "vectors", "words", "taught"] = "none"
    """none: conditions are numbers; vectors: numbers for each word, each attended to; words: token ids by a transformer
    that is trained with the flow, each word attended to; taught: token ids by the reader that the first stage has
    taught (``AuxiliaryEncoder``)."""
    size: int = 10
    """Numbers of a condition (or of each of its words); for a reader of words, the number of different tokens."""

    def build(self, vae: TextVAE) -> FlowPrior:
        """The prior with fresh weights, for the latents of a VAE; a taught reader is a copy of the VAE's, and fixed."""
        if self.prior.word_dropout and self.reader != "words":
            raise UserError(
                f"a reader of {self.reader} has no words to leave out", "use --flow.model.prior.word-dropout 0"
            )
        latent_shape = vae.prior.latent_shape
        width = self.prior.width
        if self.reader == "words":
            return FlowPrior(self.prior, latent_shape, WordTransformer(self.size, width), width, words=True)
        if self.reader == "taught":
            taught = reader_of(vae)
            if taught is None:
                raise UserError(f"{type(vae).__name__} has taught no reader", "choose --flow.model.reader words")
            fixed = copy.deepcopy(taught.reader).requires_grad_(False)
            return FlowPrior(self.prior, latent_shape, fixed, taught.num_features)
        return FlowPrior(self.prior, latent_shape, nn.Identity(), self.size, words=self.reader == "vectors")


def reader_of(vae: TextVAE) -> AuxiliaryEncoder | None:
    """The reader that a VAE has taught to read its captions; None where there is none."""
    return next((module for module in vae.modules() if isinstance(module, AuxiliaryEncoder)), None)


class FlowMatching(Trainable):
    """What trains a flow prior. Its "images" are posterior moments: a latent is drawn from them at each step."""

    def __init__(self, prior: FlowPrior, strides: bool) -> None:
        """``strides``: half of each batch teaches long strides, once the velocity is known."""
        super().__init__()
        self.prior = prior
        self.strides = strides

    def loss(self, images: Float[Tensor, "n *moments"], condition: Tensor) -> LossTerms:
        """Squared errors of velocities, over dimensions of standardised latents."""
        if self.prior.config.word_dropout:
            condition = with_words_left_out(condition, self.prior.config.word_dropout)
        mean, log_variance = images.chunk(2, dim=1)
        latent = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        if not self.strides:
            velocity = self.prior.matching_error(latent, condition)
            return LossTerms(velocity, {"velocity": velocity.detach()})
        # Twice the share of Frans et al. 2025, section 3.2: the guidance is learned here too.
        some = max(len(latent) // 2, 1)
        velocity = self.prior.matching_error(latent[some:], condition[some:])
        stride = self.prior.shortcut_error(latent[:some], condition[:some])
        return LossTerms(velocity + stride, {"velocity": velocity.detach(), "stride": stride.detach()})


def with_words_left_out(tokens: Int64[Tensor, "n l"], share: float) -> Int64[Tensor, "n l"]:
    """Captions of token ids, of this share of them only some words: any number is as likely as another, and any words.

    What is kept closes up, in order, as a prompt of those words would be read.
    """
    n, device = len(tokens), tokens.device
    staying = torch.where(torch.rand(n, device=device) < share, torch.rand(n, device=device), 1.0)
    kept = (tokens != 0) & (torch.rand(tokens.shape, device=device) < staying[:, None])
    first = (~kept).long().argsort(dim=1, stable=True)
    return (tokens * kept).gather(1, first)


@torch.no_grad()
def moments(vae: TextVAE, images: Float[Tensor, "n c h w"], condition: Tensor) -> Float[Tensor, "n *moments"]:
    """Mean and log-variance of the posterior, joined along the first dimension of a latent.

    Raises:
        UserError: the posterior is no diagonal Gaussian.
    """
    posterior = vae.posterior(images, condition)
    if not isinstance(posterior, DiagonalGaussian):
        raise UserError(
            f"the latents of this {type(vae).__name__} are correlated, which a flow prior is not fitted to",
            "train it with independent latents",
        )
    return torch.cat([posterior.mean, posterior.log_variance], dim=1)

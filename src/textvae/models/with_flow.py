"""A VAE with a flow prior, and how the prior is trained on the latents of the trained VAE."""

import copy
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.models.base import TextVAE, Trainable
from textvae.models.caption_encoders import AuxiliaryEncoder, WordTransformer
from textvae.models.caption_matching import CaptionMatching
from textvae.models.distributions import DiagonalGaussian, Likelihood, Posterior
from textvae.models.halves_vae import HalvesVAE
from textvae.models.losses import LossTerms
from textvae.models.tree_encoder import MatchedEncoder, TreeEncoder
from textvae.priors import FlowPrior
from textvae.priors.flow.objectives import guidance_errors, matching_errors, shortcut_errors
from textvae.text.expression_grammar import OPERATORS
from textvae.utils.config import Range, Size
from textvae.utils.errors import UserError
from textvae.utils.random import Draws


class WithFlow(TextVAE):
    """A VAE whose own prior is replaced by a flow prior."""

    prior: FlowPrior

    def __init__(self, vae: TextVAE, prior: FlowPrior) -> None:
        super().__init__()
        self.image_shape = vae.image_shape
        self.embedding_dim = vae.embedding_dim
        self.vae = vae
        self.prior = prior

    def posterior(self, images: Float[Tensor, "n c h w"], condition: Tensor) -> Posterior:
        """q(z|x,c) of the VAE."""
        return self.vae.posterior(images, condition)

    def decode(self, latent: Float[Tensor, "n *latent"], condition: Tensor) -> Likelihood:
        """p(x|z,c) of the VAE."""
        return self.vae.decode(latent, condition)


@dataclass(frozen=True)
class FlowConfig:
    """A flow prior, and what encodes its conditions."""

    prior: FlowPrior.Config = field(default_factory=FlowPrior.Config)
    reader: Literal["none", "vectors", "words", "taught", "tree"] = "none"
    """none: conditions are vectors; vectors: a vector for each word; words: token ids, read by a transformer trained
    with the flow; taught: token ids, read by the first stage's encoder; tree: calculations, read by a
    recursive network."""
    size: Size = 10
    """Length of a condition, or of the vector of a word; for token ids, the size of the vocabulary."""
    contrastive: Annotated[float, Range(0, 100)] = 0.0
    """Weight of a contrastive loss between captions and latents (grids only), by which captions are read earlier; 0:
    none."""

    def build(self, vae: TextVAE) -> FlowPrior:
        """The prior with initial weights, for the latents of a VAE.

        Raises:
            UserError: the encoder of the conditions does not fit the VAE or the settings.
        """
        if self.prior.word_dropout and self.reader != "words":
            raise UserError(
                f"word dropout needs token ids, and the reader is {self.reader!r}",
                "use --flow.model.prior.word-dropout 0",
            )
        if self.prior.guidance_input and self.reader == "tree":
            raise UserError(
                "the reader 'tree' is trained by a loss of its own, which does not go with a guidance input",
                "use --flow.model.prior.guidance-input 0",
            )
        latent_shape = vae.prior.latent_shape
        if self.contrastive and (len(latent_shape) != 3 or self.reader == "tree"):
            raise UserError(
                "the contrastive loss needs latent grids, and a reader that has no loss of its own",
                "use --flow.model.contrastive 0",
            )
        width = self.prior.width
        untouched = math.prod(latent_shape) - vae.embedding_dim if vae.embedding_dim else 0
        flow = functools.partial(FlowPrior, self.prior, latent_shape, untouched=untouched)
        if self.reader == "words":
            return flow(WordTransformer(self.size, width), width, words=True)
        if self.reader == "tree":
            parts = 2 if isinstance(vae, HalvesVAE) else 1
            matched = MatchedEncoder(TreeEncoder(self.size, len(OPERATORS)), math.prod(latent_shape), parts)
            return flow(matched, matched.num_features)
        if self.reader == "taught":
            taught = reader_of(vae)
            if taught is None:
                raise UserError(f"{type(vae).__name__} has no caption encoder", "choose --flow.model.reader words")
            fixed = copy.deepcopy(taught.reader).requires_grad_(False)
            return flow(fixed, taught.num_features)
        return flow(nn.Identity(), self.size, words=self.reader == "vectors")


def reader_of(vae: TextVAE) -> AuxiliaryEncoder | None:
    """The caption encoder that a VAE trains by an auxiliary loss; None if it has none."""
    return next((module for module in vae.modules() if isinstance(module, AuxiliaryEncoder)), None)


class FlowMatching(Trainable):
    """The training of a flow prior. Its "images" are posterior moments, from which each step samples latents."""

    def __init__(
        self, prior: FlowPrior, few_step: bool = False, reads_guidance: bool = False, contrastive: float = 0.0
    ) -> None:
        """A random half of the images of each step may have another objective.

        Args:
            prior: the flow.
            few_step: train few-step sampling too.
            reads_guidance: train the reading of the guidance scale too, with the prior as it is now as the teacher.
            contrastive: weight of a contrastive loss between captions and latents, besides the first objective.
        """
        super().__init__()
        self.prior = prior
        self.few_step = few_step
        self.teacher = copy.deepcopy(prior).requires_grad_(False) if reads_guidance else None
        self.caption_matching = CaptionMatching(prior.latent_shape[0], prior.config.width) if contrastive else None
        self.contrastive_weight = contrastive

    def loss(self, images: Float[Tensor, "n *moments"], condition: Tensor, draws: Draws) -> LossTerms:
        """Mean squared errors of velocities, over dimensions of standardised latents."""
        if self.prior.config.word_dropout:
            condition = drop_words(condition, self.prior.config.word_dropout, draws)
        latent = DiagonalGaussian(*images.chunk(2, dim=1)).sample(draws.normal(images.shape[1] // 2, *images.shape[2:]))
        # For strides twice the share of Frans et al. 2025, section 3.2, because the guidance is learned here as well.
        if self.few_step:
            return self._with(shortcut_errors, "stride", latent, condition, draws)
        if self.teacher is not None:
            errors = functools.partial(guidance_errors, teacher=self.teacher)
            return self._with(errors, "guidance", latent, condition, draws)
        velocity = matching_errors(self.prior, latent, condition, draws).mean()
        terms = {"velocity": velocity.detach()}
        if self.caption_matching is not None:
            contrastive = self.caption_matching(self.prior, latent, condition)
            return LossTerms(
                velocity + self.contrastive_weight * contrastive, {**terms, "contrastive": contrastive.detach()}
            )
        reader = self.prior.features
        if not isinstance(reader, MatchedEncoder):
            return LossTerms(velocity, terms)
        reading = reader.auxiliary_loss(condition, self.prior.standardise(latent))
        return LossTerms(velocity + reading, {**terms, "reading": reading.detach()})

    def _with(
        self,
        other: Callable[[FlowPrior, Tensor, Tensor, Draws], Tensor],
        name: str,
        latent: Float[Tensor, "n *latent"],
        condition: Tensor,
        draws: Draws,
    ) -> LossTerms:
        """Flow matching on a random half of the rows, and other errors on the rest; each term is a mean over them."""
        some = draws.uniform() < 0.5
        # Both parts take their draws, also one without rows: else the draws of an image would depend on its batch.
        parts = ((matching_errors, ~some, draws.of(~some)), (other, some, draws.of(some)))
        velocity, learned = (
            errors(self.prior, latent[rows], condition[rows], own).sum() / (0.5 * len(latent))
            if rows.any()
            else latent.new_zeros(())
            for errors, rows, own in parts
        )
        return LossTerms(velocity + learned, {"velocity": velocity.detach(), name: learned.detach()})


def drop_words(tokens: Int64[Tensor, "n l"], share: float, draws: Draws) -> Int64[Tensor, "n l"]:
    """Removes random words from this share of the captions: any number of words with equal probability.

    The words that are kept close up, in their order, as in a shorter prompt.
    """
    keep = torch.where(draws.uniform() < share, draws.uniform(), 1.0)
    kept = (tokens != 0) & (draws.uniform(tokens.shape[1]) < keep[:, None])
    first = (~kept).long().argsort(dim=1, stable=True)
    return (tokens * kept).gather(1, first)


@torch.no_grad()
def moments(vae: TextVAE, images: Float[Tensor, "n c h w"], condition: Tensor) -> Float[Tensor, "n *moments"]:
    """Mean and log-variance of the posterior, concatenated along the first dimension of a latent.

    Raises:
        UserError: the posterior is not a diagonal Gaussian.
    """
    posterior = vae.posterior(images, condition)
    if not isinstance(posterior, DiagonalGaussian):
        raise UserError(
            f"the latents of this {type(vae).__name__} are correlated, which a flow prior does not support",
            "train it with independent latents",
        )
    return torch.cat([posterior.mean, posterior.log_variance], dim=1)

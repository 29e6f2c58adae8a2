"""The training of a flow prior on the latents of a trained VAE."""

import copy
import functools
from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from textvae.models.base import TextVAE, Trainable
from textvae.models.caption_matching import CaptionMatching
from textvae.models.distributions import DiagonalGaussian
from textvae.models.losses import LossTerms
from textvae.models.taught_readers import MatchedEncoder
from textvae.priors import FlowPrior
from textvae.priors.flow.objectives import guidance_errors, matching_errors, shortcut_errors
from textvae.utils.errors import UserError
from textvae.utils.random import Draws


class FlowMatching(Trainable):
    """The training of a flow prior. Its "images" are posterior moments, from which each step samples latents."""

    def __init__(
        self,
        prior: FlowPrior,
        few_step: bool = False,
        reads_guidance: bool = False,
        contrastive: float = 0.0,
        autoguidance: float = 1.0,
    ) -> None:
        """A random half of the images of each step may have another objective.

        Args:
            prior: the flow.
            few_step: train few-step sampling too.
            reads_guidance: train the reading of the guidance scale too, with the prior as it is now as the teacher.
            contrastive: weight of a contrastive loss between captions and latents, besides the first objective.
            autoguidance: scale by which the guidance that is learned leads away from ``weak``, a copy of the prior from
                early in its training (``Stage.keep_weak``); 1: there is none.
        """
        super().__init__()
        self.prior = prior
        self.few_step = few_step
        self.teacher = copy.deepcopy(prior).requires_grad_(False) if reads_guidance else None
        self.caption_matching = CaptionMatching(prior.latent_shape[0], prior.config.width) if contrastive else None
        self.contrastive_weight = contrastive
        self.autoguidance = autoguidance
        self.weak = copy.deepcopy(prior).requires_grad_(False) if autoguidance > 1 else None

    def loss(self, images: Float[Tensor, "n *moments"], condition: Tensor, draws: Draws) -> LossTerms:
        """Mean squared errors of velocities, over dimensions of standardised latents."""
        if self.prior.config.word_dropout:
            condition = drop_words(condition, self.prior.config.word_dropout, draws)
        latent = DiagonalGaussian(*images.chunk(2, dim=1)).sample(draws.normal(images.shape[1] // 2, *images.shape[2:]))
        # For strides twice the share of Frans et al. 2025, section 3.2, because the guidance is learned here as well.
        if self.few_step:
            return self._with(shortcut_errors, "stride", latent, condition, draws)
        if self.teacher is not None:
            errors = functools.partial(
                guidance_errors, teacher=self.teacher, weak=self.weak, autoguidance=self.autoguidance
            )
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

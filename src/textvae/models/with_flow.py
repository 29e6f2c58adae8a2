"""A VAE with a flow prior, and the settings of that prior."""

import copy
import functools
import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.caption_encoders import WordTransformer
from textvae.models.distributions import Likelihood, Posterior
from textvae.models.halves_vae import HalvesVAE
from textvae.models.taught_readers import AuxiliaryEncoder, MatchedEncoder
from textvae.models.tree_encoder import TreeEncoder
from textvae.priors import FlowPrior
from textvae.text.expression_grammar import OPERATORS
from textvae.utils.config import Range, Size
from textvae.utils.errors import UserError


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

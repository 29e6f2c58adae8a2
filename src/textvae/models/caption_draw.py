"""CaptionDraw: an image drawn on a canvas in several steps, each looking at words of the caption (alignDRAW)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.distributions import DiagonalGaussian, Likelihood
from textvae.models.layers import GaussianHead, PixelLikelihood
from textvae.models.losses import LossTerms, negative_elbo
from textvae.priors import StandardNormal
from textvae.utils.config import Depth, Pixels, Range, Size
from textvae.utils.random import Draws

INITIAL_LOGIT = -4.0
"""Logit of every pixel of the empty canvas: nearly black."""
_Points = Annotated[int, Range(2, 1024)]
"""Side of a grid of filters in points; the distance between two of them is measured by the number of gaps."""


class CaptionDraw(TextVAE):
    """A recurrent decoder adds to a canvas in each step; a recurrent encoder sees what is still missing.

    Source: Gregor et al. 2015, "DRAW: A Recurrent Neural Network For Image Generation", sections 2 and 3 (reading and
    writing through a grid of Gaussian filters; the prior of the latents is N(0, I)), and Mansimov et al. 2016,
    "Generating Images from Captions with Attention", section 3.2 (in each step, attention of the decoder to the states
    of a bidirectional network over the words). Unlike theirs, the decoder's prior is not learned.
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes of a CaptionDraw."""

        num_tokens: Size = 32
        """Rows of the embedding table."""
        image_size: Pixels = 60
        """Side of the grey image in pixels."""
        steps: Depth = 8
        """Number of drawing steps."""
        read_size: _Points = 8
        """Side of the window that is read from the image, in grid points."""
        write_size: _Points = 8
        """Side of the patch that is written to the canvas, in grid points."""
        embedding_dim: Size = 32
        """Dimensions of a word."""
        words_hidden: Size = 64
        """Width of the caption encoder, in each direction."""
        hidden: Size = 192
        """Width of the recurrent encoder and of the recurrent decoder."""
        latent_dim: Size = 12
        """Latent dimensions per step."""

        def build(self) -> "CaptionDraw":
            """The model with initial weights."""
            return CaptionDraw(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.image_shape = (1, config.image_size, config.image_size)
        self.prior = StandardNormal((config.steps, config.latent_dim))
        said, hidden = 2 * config.words_hidden, config.hidden
        self.embedding = nn.Embedding(config.num_tokens, config.embedding_dim, padding_idx=0)
        self.reader = nn.GRU(config.embedding_dim, config.words_hidden, batch_first=True, bidirectional=True)
        self.align_words, self.align_state = nn.Linear(said, 64), nn.Linear(hidden, 64, bias=False)
        self.align = nn.Linear(64, 1, bias=False)
        self.encoder = nn.LSTMCell(2 * config.read_size**2 + hidden + said, hidden)
        self.posterior_head = GaussianHead(hidden, config.latent_dim)
        self.decoder = nn.LSTMCell(config.latent_dim + said, hidden)
        self.read_window, self.write_window = nn.Linear(hidden, 5), nn.Linear(hidden, 5)
        self.write = nn.Linear(hidden, config.write_size**2)
        self.likelihood = PixelLikelihood("bernoulli")

    def loss(self, images: Float[Tensor, "n 1 h w"], condition: Int64[Tensor, "n length"], draws: Draws) -> LossTerms:
        """The negative ELBO. The posterior of a step depends on the latents before it, so one pass computes all."""
        noise = draws.normal(*self.prior.latent_shape)
        _, posterior, canvas = self.inferred(images, condition, lambda step, found: found.sample(noise[:, step]))
        likelihood: Likelihood = self.likelihood(canvas)
        return negative_elbo(likelihood.log_prob(images), self.divergence(posterior, condition, draws))

    def posterior(self, images: Float[Tensor, "n 1 h w"], condition: Int64[Tensor, "n length"]) -> "SequentialGaussian":
        """q(z|x,c), in which the Gaussian of a step depends on the latents before it."""
        return SequentialGaussian(self, images, condition)

    def decode(self, latent: Float[Tensor, "n steps latent"], condition: Int64[Tensor, "n length"]) -> Likelihood:
        """p(x|z,c): the canvas after the last step."""
        words, said = self._words(condition)
        state, canvas = self._blank(latent)
        for step in range(self.config.steps):
            state, canvas = self._write(latent[:, step], self._attended(words, said, state[0]), state, canvas)
        likelihood: Likelihood = self.likelihood(canvas)
        return likelihood

    def inferred(
        self,
        images: Float[Tensor, "n 1 h w"],
        condition: Int64[Tensor, "n length"],
        choose: Callable[[int, DiagonalGaussian], Float[Tensor, "n latent"]],
    ) -> tuple[Float[Tensor, "n steps latent"], DiagonalGaussian, Float[Tensor, "n 1 h w"]]:
        """Runs all drawing steps; returns the latents, the Gaussians that they were chosen from, and the canvas.

        Args:
            images: the images.
            condition: their captions.
            choose: returns the latent of a step, given its Gaussian.
        """
        words, said = self._words(condition)
        images = images.float()
        state, canvas = self._blank(images)
        seen = (torch.zeros_like(state[0]), torch.zeros_like(state[0]))
        latents, found = [], []
        for step in range(self.config.steps):
            context = self._attended(words, said, state[0])
            window = self._filters(self.read_window(state[0]), self.config.read_size)
            missing = images - canvas.sigmoid()
            glimpses = [_through(window, part, transposed=False).flatten(1) for part in (images[:, 0], missing[:, 0])]
            seen = self.encoder(torch.cat([*glimpses, state[0], context], dim=1), seen)
            found.append(self.posterior_head(seen[0]))
            latents.append(choose(step, found[-1]))
            state, canvas = self._write(latents[-1], context, state, canvas)
        moments = (torch.stack([getattr(one, part) for one in found], dim=1) for part in ("mean", "log_variance"))
        return torch.stack(latents, dim=1), DiagonalGaussian(*moments), canvas

    def _blank(self, rows: Float[Tensor, "n ..."]) -> tuple[tuple[Tensor, Tensor], Float[Tensor, "n 1 h w"]]:
        """The decoder's state before the first step, and the empty canvas."""
        zeros = rows.new_zeros(len(rows), self.config.hidden)
        return (zeros, zeros), rows.new_full((len(rows), *self.image_shape), INITIAL_LOGIT)

    def _write(
        self, latent: Tensor, context: Tensor, state: tuple[Tensor, Tensor], canvas: Tensor
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The decoder's state and the canvas after a step."""
        state = self.decoder(torch.cat([latent, context], dim=1), state)
        size = self.config.write_size
        patch = self.write(state[0]).unflatten(1, (size, size))
        window = self._filters(self.write_window(state[0]), size)
        return state, canvas + _through(window, patch, transposed=True).unsqueeze(1)

    def _words(self, tokens: Int64[Tensor, "n l"]) -> tuple[Float[Tensor, "n l f"], Tensor]:
        """The states at each word, and which places hold words (of an empty caption, all)."""
        words, _ = self.reader(self.embedding(tokens))
        return words, (tokens != 0) | (tokens == 0).all(1, keepdim=True)

    def _attended(self, words: Tensor, said: Tensor, state: Tensor) -> Float[Tensor, "n f"]:
        """The mean of the words, weighted by the attention of the decoder's state (Bahdanau et al. 2015)."""
        scores = self.align((self.align_words(words) + self.align_state(state)[:, None]).tanh())[:, :, 0]
        weights = scores.masked_fill(~said, -torch.inf).softmax(dim=1)
        return torch.einsum("nl,nlf->nf", weights, words)

    def _filters(self, window: Float[Tensor, "n 5"], size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Gaussian filters of the rows and of the columns of a grid, and the factor on what passes them.

        Equations 19 to 26 of DRAW. At first the grid covers the image.
        """
        side = self.config.image_size
        across, down, log_variance, log_stride, log_factor = window.float().unbind(1)
        stride = (side - 1) / (size - 1) * log_stride.exp()
        offsets = torch.arange(size, device=window.device) - (size - 1) / 2
        pixels = torch.arange(side, device=window.device)
        # A filter as wide as half the stride leaves no gaps between the points of the grid.
        spread = (0.5 * stride * (0.5 * log_variance).exp())[:, None, None]
        both = []
        for shift in (down, across):
            centre = (side - 1) / 2 * (1 + shift)[:, None] + offsets * stride[:, None]
            weights = (-0.5 * ((pixels - centre[:, :, None]) / spread).square()).exp()
            both.append(weights / weights.sum(2, keepdim=True).clamp_min(1e-6))
        return both[0], both[1], log_factor.exp()


@dataclass(frozen=True)
class SequentialGaussian:
    """The posterior of a ``CaptionDraw``; each property and method runs through all drawing steps."""

    model: CaptionDraw
    images: Float[Tensor, "n 1 h w"]
    condition: Int64[Tensor, "n length"]

    @property
    def mean(self) -> Float[Tensor, "n steps latent"]:
        """The latents, each the mean of its Gaussian given those before it."""
        return self.model.inferred(self.images, self.condition, lambda step, found: found.mean)[0]

    @property
    def log_variance(self) -> Float[Tensor, "n steps latent"]:
        """Log of the variance of each Gaussian given the means before it."""
        return self.model.inferred(self.images, self.condition, lambda step, found: found.mean)[1].log_variance

    def sample(self, noise: Float[Tensor, "n steps latent"]) -> Float[Tensor, "n steps latent"]:
        """The latent that standard normal noise is mapped to."""
        return self.model.inferred(self.images, self.condition, lambda step, found: found.sample(noise[:, step]))[0]

    def log_prob(self, latent: Float[Tensor, "n steps latent"]) -> Float[Tensor, "n"]:
        """Log density in nats, by the chain rule over steps."""
        return self.model.inferred(self.images, self.condition, lambda step, found: latent[:, step])[1].log_prob(latent)


def _through(
    window: tuple[Tensor, Tensor, Tensor], picture: Float[Tensor, "n a b"], transposed: bool
) -> Float[Tensor, "n c d"]:
    """What a grid reads of an image; transposed, what a patch adds to the canvas."""
    rows, columns, factor = window
    if transposed:
        # The filters of a point sum to one; on the canvas a pixel gets about one point's worth.
        scale = picture.shape[1] * picture.shape[2] / (rows.shape[2] * columns.shape[2])
        return (rows.mT @ picture @ columns) * (factor / scale)[:, None, None]
    return (rows @ picture @ columns.mT) * factor[:, None, None]

"""CaptionRNNCode: paper d's model as its authors' published program implements it."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.models.caption_encoders import RecurrentEncoder
from textvae.models.caption_rnn import CaptionPosterior
from textvae.models.distributions import DiagonalGaussian, Gaussian, Likelihood, Posterior
from textvae.models.layers import dense
from textvae.priors import StandardNormal
from textvae.text.digit_grammar import DIGIT_WORDS
from textvae.utils.config import Size

PIXEL_MEAN, PIXEL_STD = 0.1307, 0.3081
"""Of MNIST's training images: the program standardises pixels by them."""


class CaptionRNNCode(CaptionPosterior):
    """A GRU reads words given as binary numbers; one hidden layer decodes the latent to standardised pixels.

    Like ``CaptionRNN`` it infers the latent from the caption alone. The program minimises 2 MSE + KL, the squared error
    averaged over the 784 standardised pixels and the KL averaged over the 100 latent dimensions. That is a hundredth
    of the negative ELBO of Gaussian pixels with variance 784 / (4 * 100) = 1.96, so ``loss`` is this ELBO: Adam's steps
    do not depend on a constant factor.
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes of a CaptionRNNCode; the defaults are the program's."""

        num_tokens: Size = 15
        """Words, and padding, start and end; the first ten words are the digits."""
        hidden: Size = 30
        """Width of the GRU."""
        latent_dim: Size = 100
        """Dimensions of the latent: ten Gaussians of ten."""
        decoder_hidden: Size = 500
        """Width of the decoder's hidden layer."""

        def build(self) -> "CaptionRNNCode":
            """The model with initial weights."""
            return CaptionRNNCode(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.image_shape = (1, 28, 28)
        codes = binary_codes(config.num_tokens)
        self.reader = RecurrentEncoder(
            "gru",
            config.num_tokens,
            codes.shape[1],
            config.hidden,
            1,
            False,
            learned_embeddings=False,
            attention_heads=0,
        )
        self.posterior_head = nn.Linear(config.hidden, 2 * config.latent_dim)
        self.decoder = dense(config.latent_dim, config.decoder_hidden, 28 * 28)
        self.prior = StandardNormal((config.latent_dim,))
        # 784 pixels and latent_dim dimensions are averaged, not summed; see the class.
        self.sigma = PIXEL_STD * (28 * 28 / (4 * config.latent_dim)) ** 0.5
        with torch.no_grad():
            self.reader.embedding.weight.copy_(codes)
        _initialise(self.reader.recurrent, self.posterior_head, *self.decoder)

    def posterior(self, images: Float[Tensor, "n 1 28 28"], condition: Int64[Tensor, "n length"]) -> Posterior:
        """q(z|caption): the images are not looked at."""
        mean, log_variance = self.posterior_head(self.reader(condition)).float().chunk(2, dim=1)
        return DiagonalGaussian(mean, log_variance)

    def decode(self, latent: Float[Tensor, "n latent"], condition: Int64[Tensor, "n length"]) -> Likelihood:
        """p(x|z): Gaussian pixels of a fixed scale; the caption acts through z alone."""
        standardised = self.decoder(latent).float().unflatten(1, self.image_shape)
        return ClippedGaussian(PIXEL_MEAN + PIXEL_STD * standardised, standardised.new_tensor(self.sigma).log())


@dataclass(frozen=True)
class ClippedGaussian(Gaussian):
    """Gaussian pixels whose centre may lie outside [0, 1]: the decoder ends without a sigmoid."""

    describes: ClassVar[str] = Gaussian.describes

    @property
    def mean(self) -> Float[Tensor, "n c h w"]:
        """The centre, clipped to [0, 1]."""
        return self.location.clamp(0, 1)


def binary_codes(num_tokens: int) -> Float[Tensor, "num_tokens bits"]:
    """The binary number of each token, its highest bit first: 5 bits, more if there are more than 32 tokens.

    A digit has its own number; padding, start, end and the other words are numbered from 10 in the order of the
    vocabulary. (The authors' program numbers the other words in the order of an unordered dictionary, which differs
    from one of their trainings to the next.)
    """
    digits = len(DIGIT_WORDS)
    others = torch.arange(digits, num_tokens)
    numbers = torch.cat([others[:3], torch.arange(digits), others[3:]])
    bits = max(5, (num_tokens - 1).bit_length())
    return (numbers[:, None] >> torch.arange(bits - 1, -1, -1) & 1).float()


@torch.no_grad()
def _initialise(*layers: nn.Module) -> None:
    """The program's initial weights: N(0, 0.1^2) in the GRU, uniform in [-0.1, 0.1] in linear layers, zero biases."""
    for layer in layers:
        for name, parameter in layer.named_parameters():
            if "bias" in name:
                parameter.zero_()
            elif isinstance(layer, nn.GRU):
                parameter.normal_(0, 0.1)
            else:
                parameter.uniform_(-0.1, 0.1)

"""Prior: the protocol of every prior p(z|c)."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from textvae.priors.options import SamplingOptions
from textvae.utils.errors import UserError
from textvae.utils.random import Draws


@runtime_checkable
class Prior(Protocol):
    """A distribution p(z|c) of latents given a condition."""

    latent_shape: tuple[int, ...]
    supports_guidance: bool
    """Whether ``sample`` takes a guidance scale, a number of steps and a negative condition."""
    has_density: bool
    """Whether ``log_prob`` is a closed form: exact, and cheap enough for many draws an image."""

    def kl(self, mean: Tensor, log_variance: Tensor, condition: Tensor, draws: Draws) -> Tensor:
        """KL from a diagonal Gaussian posterior, per latent dimension, in nats; estimated where it must be."""
        ...

    def log_prob(self, latent: Tensor, condition: Tensor, draws: Draws) -> Tensor:
        """Log density in nats; estimated where ``has_density`` is false."""
        ...

    def sample(self, condition: Tensor, noise: Tensor, sampling: SamplingOptions | None = None) -> Tensor:
        """Latents made from standard normal noise of the latents' shape.

        Raises:
            UserError: ``sampling`` sets an option, and the prior does not support guidance.
        """
        ...


def refuse_options(sampling: SamplingOptions | None) -> None:
    """Checks that no sampling options are set, for priors that support none.

    Raises:
        UserError: some option is set.
    """
    if sampling:
        raise UserError(
            "this model's prior takes neither a guidance scale nor steps nor a negative prompt",
            "train one: repeat the command that trained the model, with --prior flow",
        )

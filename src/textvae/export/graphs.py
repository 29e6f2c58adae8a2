"""A trained model as a few graphs of tensors, each small enough to run anywhere.

A model with a flow prior is four graphs: ``words`` (a condition to features), ``step`` (the guided velocity),
``decode`` (latents to an image) and ``encode`` (an image to latents, for editing). Any other model is one: ``draw``
(noise and a condition to an image).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.with_flow import WithFlow
from textvae.priors import FlowPrior

DYNAMIC = torch.export.Dim.DYNAMIC


@dataclass(frozen=True)
class Graph:
    """A graph to export."""

    module: nn.Module
    inputs: Mapping[str, Tensor]
    """Example inputs by name. A batch of one would be taken for a constant, so there are two or more of everything."""
    dynamic: Mapping[str, tuple[int, ...]]
    """The axes of each input whose length varies."""
    output: str


class Words(nn.Module):
    """A condition to the features that the velocity reads."""

    def __init__(self, prior: FlowPrior) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, condition: Tensor) -> Tensor:
        """[n, ...] to [n, features] or [n, words, features]."""
        return cast(Tensor, self.prior.features(condition))


class Step(nn.Module):
    """The velocity of standardised latents, with classifier-free guidance inside (Ho & Salimans 2022)."""

    def __init__(self, prior: FlowPrior) -> None:
        super().__init__()
        self.prior = prior

    def forward(
        self,
        x: Float[Tensor, "n *latent"],
        time: Float[Tensor, "n"],
        stride: Float[Tensor, "n"],
        features: Float[Tensor, "k n *features"],
        guidance: Float[Tensor, ""],
    ) -> Float[Tensor, "n *latent"]:
        """``features`` are those of the prompt (k = 1), or of the prompt and of what to move away from (k = 2).

        With k = 1 the network itself reads the guidance scale, if it has learned to.
        """
        k, n = features.shape[0], x.shape[0]
        repeated = x.unsqueeze(0).expand(k, *x.shape).flatten(0, 1)
        times, strides = (number.unsqueeze(0).expand(k, n).flatten() for number in (time, stride))
        scales = (1 + (guidance - 1) * (2 - k)).expand(k, n).flatten()
        velocity = self.prior.velocity(repeated, times, strides, features.flatten(0, 1), scales).unflatten(0, (k, n))
        return cast(Tensor, velocity[-1] + guidance * (velocity[0] - velocity[-1]))


class Decode(nn.Module):
    """Standardised latents to an image in [0, 1]."""

    def __init__(self, model: WithFlow) -> None:
        super().__init__()
        self.model = model

    def forward(self, latent: Float[Tensor, "n *latent"], condition: Tensor) -> Float[Tensor, "n c h w"]:
        """The expected image."""
        prior = self.model.prior
        return self.model.decode(latent * prior.scale + prior.mean, condition).mean


class Encode(nn.Module):
    """An image in [0, 1] to standardised latents: the posterior mean."""

    def __init__(self, model: WithFlow) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Float[Tensor, "n c h w"], condition: Tensor) -> Float[Tensor, "n *latent"]:
        """The mean of q(z|x,c), standardised."""
        prior = self.model.prior
        return (self.model.posterior(image, condition).mean - prior.mean) / prior.scale


class Draw(nn.Module):
    """Standard normal noise and a condition to an image in [0, 1], for a model without a flow prior."""

    def __init__(self, model: TextVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, noise: Float[Tensor, "n *latent"], condition: Tensor) -> Float[Tensor, "n c h w"]:
        """The expected image at the latents that the prior makes of the noise."""
        return self.model.decode(self.model.latents(condition, noise), condition).mean


def graphs_of(model: TextVAE, condition: Tensor) -> dict[str, Graph]:
    """The graphs of a model by name.

    Args:
        model: in evaluation mode.
        condition: three or more rows, as its text encoder makes them.
    """
    n = len(condition)
    noise = torch.randn(n, *model.prior.latent_shape, generator=torch.Generator().manual_seed(0))
    rows = (0,)
    if not model.prior.supports_guidance:
        inputs = {"noise": noise, "condition": condition}
        return {"draw": Graph(Draw(model), inputs, {"noise": rows, "condition": rows}, "image")}
    model = cast(WithFlow, model)
    prior = model.prior
    with torch.no_grad():
        features = prior.features(condition)
    # Where each word has features of its own, captions may be cut to the longest of a batch.
    lengths = (0, 1) if features.dim() == 3 else rows
    condition = condition[:, : features.shape[1]] if features.dim() == 3 else condition
    image = torch.zeros(n, *model.image_shape)
    step = {
        "x": noise,
        "time": torch.full((n,), 0.3),
        "stride": torch.zeros(n),
        "features": torch.stack([features, torch.zeros_like(features)]),
        "guidance": torch.tensor(1.5),
    }
    words_axis = (0, 1, 2) if features.dim() == 3 else (0, 1)
    return {
        "words": Graph(Words(prior), {"condition": condition}, {"condition": lengths}, "features"),
        "step": Graph(Step(prior), step, {"x": rows, "time": rows, "stride": rows, "features": words_axis}, "velocity"),
        "decode": Graph(
            Decode(model), {"latent": noise, "condition": condition}, {"latent": rows, "condition": lengths}, "image"
        ),
        "encode": Graph(
            Encode(model), {"image": image, "condition": condition}, {"image": rows, "condition": lengths}, "latent"
        ),
    }

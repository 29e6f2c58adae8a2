"""An exported model as a model of torch like any other, for what works on tensors: edits, interpolation, the HTTP API.

Its graphs run in ONNX Runtime on the CPU.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from textvae.exported.runtime import OnnxModel
from textvae.models.base import TextVAE
from textvae.priors import FlowPrior, SamplingOptions, StandardNormal
from textvae.priors.base import refuse_options
from textvae.utils.errors import UserError


class ExportedVAE(TextVAE):
    """Encodes, samples and decodes by the graphs of an export, which hold means only: it has no likelihood.

    A model without a flow prior is one graph, from noise to an image: it samples, and does nothing else.
    """

    def __init__(self, runtime: OnnxModel) -> None:
        super().__init__()
        self.runtime = runtime
        channels, height, width = runtime.spec["image"]
        self.image_shape = (channels, height, width)
        self.prior = ExportedFlow(runtime) if runtime.is_flow else StandardNormal(tuple(runtime.spec["latent"]))

    def posterior(self, images: Float[Tensor, "n c h w"], condition: Tensor) -> "MeanOnly":
        """The mean of q(z|x,c).

        Raises:
            UserError: the export has no encoder.
        """
        self._check_flow()
        return MeanOnly(self._run("encode", image=images, condition=condition))

    def decode(self, latent: Float[Tensor, "n *latent"], condition: Tensor) -> "MeanOnly":
        """The mean of p(x|z,c).

        Raises:
            UserError: the export decodes from noise alone.
        """
        self._check_flow()
        return MeanOnly(self._run("decode", latent=latent, condition=condition))

    @torch.no_grad()
    def sample(
        self, condition: Tensor, noise: Float[Tensor, "n *latent"], sampling: SamplingOptions | None = None
    ) -> Float[Tensor, "n c h w"]:
        """As ``TextVAE.sample``."""
        if self.runtime.is_flow:
            return super().sample(condition, noise, sampling)
        refuse_options(sampling)
        return self._run("draw", noise=noise, condition=condition)

    def _run(self, graph: str, **inputs: Tensor) -> Tensor:
        return torch.from_numpy(self.runtime.run(graph, **{name: tensor.numpy() for name, tensor in inputs.items()}))

    def _check_flow(self) -> None:
        if not self.runtime.is_flow:
            raise UserError(
                f"{self.runtime.spec['name']} was exported as one graph, which only draws",
                "use the run that it was exported from",
            )


class ExportedFlow(FlowPrior):
    """A flow prior whose networks are graphs. Latents are standardised outside of the graphs already."""

    def __init__(self, runtime: OnnxModel) -> None:
        nn.Module.__init__(self)
        own = runtime.spec["sampling"]
        self.config = FlowPrior.Config(
            guidance=own["guidance"],
            guidance_input=own.get("guidance_input", 0.0),
            steps=own["steps"],
            solver=own["solver"],
            spacing=own.get("spacing", 1.0),
        )
        self.latent_shape = tuple(runtime.spec["latent"])
        self.features = GraphOf(runtime.features)
        self.velocity = GraphOf(runtime.velocity)  # type: ignore[assignment]
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("strides", torch.tensor(own["few_step"]))


class GraphOf(nn.Module):
    """A function of arrays as a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the function makes of the inputs."""
        made: np.ndarray[Any, Any] = self.function(*(one.numpy() for one in inputs))
        return torch.from_numpy(made)


@dataclass(frozen=True)
class MeanOnly:
    """A distribution of which only the mean was exported."""

    mean: Float[Tensor, "n *any"]
    describes: ClassVar[str] = "nothing"

    @property
    def log_variance(self) -> NoReturn:
        """Not exported.

        Raises:
            UserError: always.
        """
        self._refuse()

    def sample(self, noise: Tensor) -> NoReturn:
        """Needs the variance.

        Raises:
            UserError: always.
        """
        self._refuse()

    def log_prob(self, value: Tensor) -> NoReturn:
        """Needs the variance.

        Raises:
            UserError: always.
        """
        self._refuse()

    def log_mass(self, images: Tensor) -> NoReturn:
        """Needs the variance.

        Raises:
            UserError: always.
        """
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UserError("an export has no variances or probabilities", "use the run that it was exported from")

"""An exported model as a model like any other, for what only draws."""

from pathlib import Path
from typing import NoReturn

import torch
from jaxtyping import Float
from torch import Tensor

from textvae.exported.runtime import OnnxTextToImage
from textvae.models.base import TextVAE
from textvae.priors import SamplingOptions, StandardNormal
from textvae.utils.errors import UserError


class ExportedVAE(TextVAE):
    """Draws by ONNX Runtime on the CPU. The graphs hold no encoder that other code could use, and no weights."""

    def __init__(self, folder: Path) -> None:
        """Opens a folder that ``textvae export`` wrote.

        Raises:
            UserError: the folder holds no export, it is damaged, or onnxruntime is not installed.
        """
        super().__init__()
        self.runtime = OnnxTextToImage.load(folder)
        channels, height, width = self.runtime.spec["image"]
        self.image_shape = (channels, height, width)
        # Guidance is inside the graphs; the prior itself cannot be asked for a velocity.
        self.prior = StandardNormal(tuple(self.runtime.spec["latent"]))

    @torch.no_grad()
    def sample(
        self, condition: Tensor, noise: Float[Tensor, "n *latent"], sampling: SamplingOptions | None = None
    ) -> Float[Tensor, "n c h w"]:
        """As ``TextVAE.sample``.

        Raises:
            UserError: an option is out of range, not supported by the model, or a second condition.
        """
        options = sampling or SamplingOptions()
        if options.second_condition is not None:
            self._refuse()
        negative = None if options.negative is None else options.negative[:1].cpu().numpy()
        images = self.runtime.images(
            noise.cpu().numpy(), condition.cpu().numpy(), options.guidance, options.steps, negative
        )
        return torch.from_numpy(images)

    def posterior(self, images: Float[Tensor, "n c h w"], condition: Tensor) -> NoReturn:
        """An export has none.

        Raises:
            UserError: always.
        """
        self._refuse()

    def decode(self, latent: Float[Tensor, "n *latent"], condition: Tensor) -> NoReturn:
        """An export decodes within ``sample`` only.

        Raises:
            UserError: always.
        """
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UserError(
            f"{self.runtime.spec['name']} is an export, which only draws", "use the run that it was exported from"
        )

"""TextToImage: a trained model in use. Text in, pictures out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from textvae.models.base import TextVAE
from textvae.priors import SamplingOptions
from textvae.runs.run import Run, open_run
from textvae.text.base import TextEncoder
from textvae.utils.device import Arithmetic, autocast, to_device
from textvae.utils.errors import UserError
from textvae.utils.images import to_pil, to_uint8
from textvae.utils.progress import ProgressLine

CHUNK = 64
"""Pictures that are computed together: twice as fast as 8 at a time, and no more memory than any machine has."""


class TextToImage:
    """A text-conditional VAE with its text encoder.

    Example:
        >>> pictures = TextToImage.load("runs/label-conv")("a dress", num_images=8, seed=0)

    Picture i of a prompt is drawn from the noise of seed ``seed + i``, so any single picture can be had again with its
    own seed, and equal seeds share their noise across prompts. How many are drawn together decides how they are
    rounded: a request made twice gives the same bits, a picture alone that of a set but for a pixel in many thousands,
    which is a grey level off.
    """

    def __init__(
        self, model: TextVAE, text: TextEncoder, device: str | torch.device = "cpu", precision: Arithmetic = "fp32"
    ) -> None:
        """``precision`` is that of drawing: bf16 is faster where the processor multiplies it, and moves the pixels of a
        seed's picture by some grey levels.
        """
        self.device, self.precision = torch.device(device), precision
        to_device(model, self.device)
        self.model = model.eval()
        self.text = text

    @classmethod
    def load(
        cls, model: str | Path | Run, device: str | torch.device = "cpu", precision: Arithmetic = "fp32"
    ) -> "TextToImage":
        """A run folder, or the name of a model that ships with the package.

        Raises:
            UserError: there is no such model, or it draws nothing (a judge).
        """
        run = model if isinstance(model, Run) else open_run(model)
        network = run.load_model()
        if not isinstance(network, TextVAE):
            raise UserError(f"{run.name} is a {type(network).__name__.lower()}: it draws nothing", "choose a VAE")
        return cls(network, run.recipe.text, device, precision)

    def __call__(
        self,
        prompt: str | Sequence[str],
        num_images: int = 1,
        seed: int = 0,
        guidance: float | None = None,
        steps: int | None = None,
        negative: str | None = None,
    ) -> list[Image.Image]:
        """Pictures for one prompt or several, ``num_images`` for each, prompt after prompt.

        Args:
            prompt: what to draw, in words the model's text encoder knows.
            num_images: pictures a prompt.
            seed: of the first picture; the others count on.
            guidance: how much is made of the prompt: 1 as much as in training, more for fewer surprises.
            steps: from noise to latents; more are slower.
            negative: a prompt to be led away from.

        The last three are for models with a flow prior, whose own settings stand in where they are None.

        Raises:
            UserError: a prompt can't be read, the numbers make no sense, or the model's prior can't be led.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if num_images < 1 or not prompts:
            raise UserError(f"{num_images} pictures of {len(prompts)} prompts are none", "ask for at least one")
        if not 0 <= seed < 2**62:
            raise UserError(f"seed {seed} is out of range", "choose a whole number from 0 up to 2^62")
        conditions = self.text.encode(prompts).repeat_interleave(num_images, dim=0)
        seeds = [seed + i for _ in prompts for i in range(num_images)]
        against = None if negative is None else self.text.encode([negative])
        return to_pil(self.draw(conditions, seeds, SamplingOptions(guidance, steps, against)))

    def draw(
        self, conditions: Tensor, seeds: Sequence[int], sampling: SamplingOptions | None = None
    ) -> UInt8[Tensor, "n c h w"]:
        """One image for each condition and seed.

        Conditions in ``sampling`` are one row, for all.
        """
        images = []
        with ProgressLine("sampling", len(seeds), "images") as progress:
            for start in range(0, len(seeds), CHUNK):
                chunk = seeds[start : start + CHUNK]
                noise = seeded_noise(self.model.prior.latent_shape, chunk).to(self.device)
                condition = conditions[start : start + CHUNK].to(self.device)
                with autocast(self.device, self.precision):
                    drawn = self.model.sample(condition, noise, self._for(sampling, len(chunk)))
                images.append(to_uint8(drawn.float()))
                progress.advance(len(chunk))
        return torch.cat(images)

    def _for(self, sampling: SamplingOptions | None, count: int) -> SamplingOptions | None:
        """What is asked, its conditions once for each of ``count`` pictures."""
        if sampling is None:
            return None

        def rows(condition: Tensor | None) -> Tensor | None:
            return None if condition is None else condition.to(self.device).expand(count, *condition.shape[1:])

        return replace(sampling, negative=rows(sampling.negative), towards=rows(sampling.towards))

    def reconstruct(
        self, images: UInt8[Tensor, "n c h w"], conditions: Tensor, batch_size: int = 256
    ) -> UInt8[Tensor, "n c h w"]:
        """The images as the model sees them: encoded to the posterior mean and decoded."""
        self.check_size(images)
        reconstructed = []
        for start in range(0, len(images), batch_size):
            batch = unit_interval(images[start : start + batch_size], self.device)
            condition = conditions[start : start + batch_size].to(self.device)
            reconstructed.append(to_uint8(self.model.reconstruct(batch, condition)))
        return torch.cat(reconstructed)

    def check_size(self, images: UInt8[Tensor, "n c h w"]) -> None:
        """Refuses images of another shape than the model's."""
        if tuple(images.shape[1:]) != self.model.image_shape:
            raise UserError(
                f"images of shape {tuple(images.shape[1:])} do not fit a model of {self.model.image_shape}",
                "scale them to the model's size first",
            )


def seeded_noise(shape: tuple[int, ...], seeds: Sequence[int]) -> Float[Tensor, "n *shape"]:
    """Standard normal noise, one row a seed, each from a generator of its own."""
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def unit_interval(images: UInt8[Tensor, "n c h w"], device: torch.device) -> Float[Tensor, "n c h w"]:
    """Stored pixels as the models want them: [0, 1], channels last, on the device."""
    return images.to(device).float().div_(255).contiguous(memory_format=torch.channels_last)

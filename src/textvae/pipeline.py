"""TextToImage: a trained model with its text encoder. Text in, pictures out.

Torch is imported only where a torch network is used; an exported model runs without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from textvae.exported.runtime import OnnxModel
from textvae.exported.spec import is_export
from textvae.text.base import NONE, TextEncoder
from textvae.utils.arguments import integer, kind_of, number, prompts_of, seeds_of
from textvae.utils.batches import in_batches
from textvae.utils.errors import UserError
from textvae.utils.images import pictures_of
from textvae.utils.notebook import Pictures
from textvae.utils.processes import Processes
from textvae.utils.progress import say

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, UInt8
    from torch import Tensor

    from textvae.models.base import TextVAE
    from textvae.priors import SamplingOptions
    from textvae.runs.run import Run
    from textvae.utils.device import Arithmetic, Precision

    Images = Image.Image | Sequence[Image.Image] | UInt8[Tensor, "c h w"] | UInt8[Tensor, "n c h w"]
    """One picture or several: PIL images of any size, or uint8 tensors of the model's size."""

BATCH_SIZE = 64
"""Pictures per batch: twice as fast as batches of 8, and small enough for the memory of any machine."""


class TextToImage:
    """A text-conditional VAE with its text encoder.

    Examples:
        >>> model = TextToImage.load("fashion")
        >>> pictures = model("a dress", num_images=8, seed=0)

    Picture i of a prompt is drawn from noise that depends only on ``seed + i``: each picture can be repeated by its own
    seed, and equal seeds share their noise across prompts. Repeating a call gives identical bits. A picture drawn alone
    and the same picture in a batch may differ by rounding: one grey level in a few pixels out of ten thousand.
    """

    processes = Processes()
    """The processes that share the work, by default only this one. All make the same calls and get all pictures."""

    def __init__(
        self, model: TextVAE, text: TextEncoder, device: str | torch.device = "auto", precision: Precision = "fp32"
    ) -> None:
        """Moves the model to the device and puts it into evaluation mode.

        Args:
            model: a trained model.
            text: the text encoder that it was trained with.
            device: "auto" (a CUDA device if there is one), "cpu", "cuda" or "cuda:N".
            precision: "fp32"; "bf16", which is faster on processors that support it and changes pixels by a few grey
                levels; or "auto", the faster of the two.

        Raises:
            UserError: the device or the precision is unknown, or the device is not available.
        """
        from textvae.utils.device import choose_device, choose_precision, to_device

        self._device = choose_device(device)
        self.precision: Arithmetic = choose_precision(precision, self._device)
        to_device(model, self._device)
        self._model = model.eval()
        self.text = text

    @property
    def model(self) -> TextVAE:
        """The network."""
        return self._model

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self._device

    @classmethod
    def load(
        cls, model: str | Path | Run, device: str | torch.device = "auto", precision: Precision = "fp32"
    ) -> TextToImage:
        """Loads a trained model.

        Examples:
            >>> TextToImage.load("runs/label-conv")

        Args:
            model: a run folder; the name of a bundled model; hf://OWNER/NAME; an open ``Run`` (required for your own
                recipe: ``TextToImage.load(textvae.open_run(folder, recipe=my_recipe))``); or a folder that ``textvae
                export`` wrote, which ONNX Runtime runs on the CPU in fp32, without torch.
            device: as in ``TextToImage``.
            precision: as in ``TextToImage``.

        Raises:
            UserError: there is no such model, it is not a VAE, or device or precision cannot be used.
        """
        if isinstance(model, str | Path) and is_export(model):
            return ExportedTextToImage(Path(model), device, precision)
        from textvae.models.base import TextVAE
        from textvae.models.with_flow import WithFlow
        from textvae.runs.run import Run, open_run

        if not isinstance(model, str | Path | Run):
            raise UserError(f"{model!r} is not a model", "give a run folder, the name of a bundled model, or a Run")
        run = model if isinstance(model, Run) else open_run(model)
        network = run.load_model()
        if not isinstance(network, TextVAE):
            raise UserError(f"{run.name} is a {type(network).__name__}, which draws no pictures", "choose a VAE")
        if run.recipe.flow is not None and not isinstance(network, WithFlow):
            say(f"the flow prior of {run.name} is not trained yet, so pictures do not depend on the prompt")
        return cls(network, run.recipe.text, device, precision)

    def to(self, device: str | torch.device) -> TextToImage:
        """Moves the model to another device, and returns itself.

        Examples:
            >>> model = TextToImage.load("fashion").to("cuda")

        Raises:
            UserError: the device is unknown or not available.
        """
        from textvae.utils.device import choose_device, to_device

        self._device = choose_device(device)
        to_device(self.model, self._device)
        return self

    def __repr__(self) -> str:
        inner = getattr(self.model, "vae", None)
        name = type(self.model).__name__ if inner is None else type(inner).__name__
        channels, height, width = self.model.image_shape
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        return (
            f"TextToImage(model={name}, image={width}x{height} {'grey' if channels == 1 else 'RGB'}, "
            f"text={type(self.text).__name__}, prior={type(self.model.prior).__name__}, "
            f"parameters={parameters:,}, device={self.device}, precision={self.precision})"
        )

    def __call__(
        self,
        prompt: str | Sequence[str],
        num_images: int | None = None,
        seed: int | Sequence[int] = 0,
        guidance_scale: float | None = None,
        steps: int | None = None,
        negative_prompt: str | None = None,
        generator: torch.Generator | None = None,
    ) -> Pictures:
        """Draws pictures for one prompt or several, ``num_images`` for each, prompt after prompt.

        Examples:
            >>> model(["a dress", "an ankle boot"], num_images=4, guidance_scale=2.0)
            >>> model("a dress", seed=[3, 17, 4])  # three pictures, each by its own seed
            >>> model("a dress", generator=torch.Generator().manual_seed(0))  # new noise at each call

        Args:
            prompt: what to draw, in words that the model's text encoder knows.
            num_images: pictures for each prompt; default: one, or as many as there are seeds.
            seed: an integer, the seed of each prompt's first picture, where picture i uses ``seed + i``; or a list of
                integers, one for each picture of a prompt.
            guidance_scale: classifier-free guidance scale: 1 samples as trained, more follows the prompt more closely
                with less variety. Default: the model's.
            steps: number of sampling steps from noise to latents; more are slower. Default: the model's.
            negative_prompt: what guidance moves away from, instead of the empty condition.
            generator: source of the noise instead of seeds, so that each call gives new pictures.

        ``guidance_scale``, ``steps`` and ``negative_prompt`` need a model with a flow prior.

        Returns:
            PIL images of the model's size, grey ("L") or colour ("RGB"), in a list that a notebook shows as a grid.

        Raises:
            UserError: a prompt cannot be read, an argument has the wrong type or is out of range, or the model's prior
                does not support guidance.
        """
        prompts = prompts_of(prompt)
        negatives = None if negative_prompt is None else prompts_of(negative_prompt)
        if negatives is not None and len(negatives) != 1:
            raise UserError(f"there are {len(negatives)} negative prompts", "give one, for all prompts")
        seeds = seeds_of(seed, num_images)
        scale, count = number("guidance_scale", guidance_scale), None if steps is None else integer("steps", steps)
        if generator is None:
            return Pictures(self._pictures(prompts, seeds, scale, count, negatives))
        import torch

        from textvae.utils.pixels import to_pil

        if not isinstance(generator, torch.Generator):
            raise UserError(f"generator is a {kind_of(generator)}", "give a torch.Generator, or leave it out")
        if seed != 0:
            raise UserError("seed and generator exclude each other", "leave one of them out")
        conditions = self.text.encode(prompts).repeat_interleave(len(seeds), dim=0)
        shape = (len(conditions), *self.model.prior.latent_shape)
        noise = torch.randn(shape, generator=generator, device=generator.device)
        return Pictures(to_pil(self.draw_from(noise, conditions, self._sampling(scale, count, negatives))))

    def _pictures(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        guidance: float | None,
        steps: int | None,
        negatives: Sequence[str] | None,
    ) -> list[Image.Image]:
        """A picture for each seed of each prompt."""
        from textvae.utils.pixels import to_pil

        sampling = self._sampling(guidance, steps, negatives)
        conditions = self.text.encode(prompts).repeat_interleave(len(seeds), dim=0)
        return to_pil(self.draw(conditions, [*seeds] * len(prompts), sampling))

    def _sampling(self, guidance: float | None, steps: int | None, negatives: Sequence[str] | None) -> SamplingOptions:
        from textvae.priors import SamplingOptions

        return SamplingOptions(guidance, steps, negative=None if negatives is None else self.text.encode(negatives))

    def draw(
        self, conditions: Tensor, seeds: Sequence[int], sampling: SamplingOptions | None = None
    ) -> UInt8[Tensor, "n c h w"]:
        """Draws one image for each condition and seed, as a tensor on the CPU.

        Examples:
            >>> conditions = model.text.encode(["a dress", "a coat"])
            >>> images = model.draw(conditions, seeds=[0, 0])

        Args:
            conditions: [n, ...], one row per image, from ``self.text.encode``.
            seeds: one for each condition.
            sampling: guidance scale, steps and further conditions, of which each has one row for all images.

        Returns:
            Pixels from 0 to 255.

        Raises:
            UserError: a sampling option is out of range, or the prior does not support guidance.
        """
        from textvae.utils.random import normals

        return self.draw_from(normals(seeds, self.model.prior.latent_shape), conditions, sampling)

    def draw_from(
        self, noise: Float[Tensor, "n ..."], conditions: Tensor, sampling: SamplingOptions | None = None
    ) -> UInt8[Tensor, "n c h w"]:
        """As ``draw``, from given noise: standard normal, [n, *latent shape], one row for each condition."""
        import torch

        from textvae.utils.device import autocast
        from textvae.utils.pixels import to_uint8

        def drawn(rows: slice) -> UInt8[Tensor, "b c h w"]:
            batch = noise[rows].to(self.device)
            with autocast(self.device, self.precision):
                images = self.model.sample(
                    conditions[rows].to(self.device), batch, self._repeated(sampling, len(batch))
                )
            return to_uint8(images.float())

        return torch.cat(in_batches(self.processes, len(noise), BATCH_SIZE, drawn, "sampling"))

    def _repeated(self, sampling: SamplingOptions | None, count: int) -> SamplingOptions | None:
        """The sampling options with their conditions repeated for ``count`` images."""
        if sampling is None:
            return None

        def rows(condition: Tensor | None) -> Tensor | None:
            return None if condition is None else condition.to(self.device).expand(count, *condition.shape[1:])

        return replace(sampling, negative=rows(sampling.negative), second_condition=rows(sampling.second_condition))

    def reconstruct(self, images: Images, prompt: str | Sequence[str] = NONE) -> list[Image.Image]:
        """Encodes pictures to the mean of the posterior and decodes it again.

        Examples:
            >>> again = model.reconstruct(Image.open("dress.png"), "a dress")

        Args:
            images: pictures; PIL images are cropped to the model's aspect ratio and scaled to its size.
            prompt: what they show: one prompt for all, or one for each. Default: the empty condition.

        Raises:
            UserError: a prompt cannot be read, or the images have the wrong type, size or number.
        """
        from textvae.utils.pixels import to_pil

        pixels = self.pixels(images)
        prompts = prompts_of(prompt)
        if len(prompts) not in (1, len(pixels)):
            raise UserError(f"{len(prompts)} prompts for {len(pixels)} images", "give one, or one for each image")
        conditions = self.text.encode(prompts)
        return to_pil(self.reconstruct_tensors(pixels, conditions.expand(len(pixels), *conditions.shape[1:])))

    def reconstruct_tensors(
        self, images: UInt8[Tensor, "n c h w"], conditions: Tensor, batch_size: int = 256
    ) -> UInt8[Tensor, "n c h w"]:
        """As ``reconstruct``, for images of the model's size and conditions [n, ...], one row per image.

        Raises:
            UserError: the images are of another size.
        """
        import torch

        from textvae.utils.pixels import to_uint8, unit_interval

        self.check_size(images)

        def reconstructed(rows: slice) -> UInt8[Tensor, "b c h w"]:
            batch = unit_interval(images[rows], self.device)
            return to_uint8(self.model.reconstruct(batch, conditions[rows].to(self.device)))

        return torch.cat(in_batches(self.processes, len(images), batch_size, reconstructed, "reconstructing"))

    def pixels(self, images: Images) -> UInt8[Tensor, "n c h w"]:
        """Converts pictures to one tensor of the model's size.

        Raises:
            UserError: they are neither PIL images nor uint8 tensors, or a tensor is of another size.
        """
        import torch

        from textvae.utils.pixels import fit_image

        if isinstance(images, torch.Tensor):
            if images.dtype != torch.uint8:
                raise UserError(f"the images are of type {images.dtype}", "give PIL images, or uint8 pixels, 0 to 255")
            tensor = images[None] if images.dim() == 3 else images
            self.check_size(tensor)
            return tensor
        several = [images] if isinstance(images, Image.Image) else images
        if not isinstance(several, Sequence) or not all(isinstance(one, Image.Image) for one in several):
            raise UserError(f"the images are a {kind_of(images)}", "give a PIL image, or a list of them")
        if not several:
            raise UserError("there are no images", "give at least one")
        return torch.stack([fit_image(picture, self.model.image_shape) for picture in several])

    def check_size(self, images: UInt8[Tensor, "n c h w"]) -> None:
        """Checks that images have the model's shape.

        Raises:
            UserError: they do not.
        """
        if tuple(images.shape[1:]) != self.model.image_shape:
            raise UserError(
                f"the model takes images of shape {self.model.image_shape}, not {tuple(images.shape[1:])}",
                "scale them to the model's size first",
            )


class ExportedTextToImage(TextToImage):
    """A model that ``textvae export`` wrote, run by ONNX Runtime. Only its methods for tensors import torch."""

    def __init__(self, folder: Path, device: str | torch.device = "auto", precision: Precision = "fp32") -> None:
        """Opens the folder.

        Raises:
            UserError: it contains no exported model or a damaged one, onnxruntime is not installed, or a device other
                than the CPU or a precision other than fp32 is requested.
        """
        if str(device) not in ("auto", "cpu") or precision not in ("auto", "fp32"):
            raise UserError(
                f"an exported model runs on the CPU in fp32, not on {device} in {precision}",
                "use the run that it was exported from",
            )
        self.runtime = OnnxModel.load(folder)
        self.precision = "fp32"
        self.text = self.runtime.text

    @cached_property
    def _networks(self) -> TextVAE:
        from textvae.exported.model import ExportedVAE

        return ExportedVAE(self.runtime).eval()

    @property
    def model(self) -> TextVAE:
        """The exported graphs, wrapped as a torch network."""
        return self._networks

    @property
    def device(self) -> torch.device:
        """The CPU."""
        import torch

        return torch.device("cpu")

    def to(self, device: str | torch.device) -> TextToImage:
        """Returns itself.

        Raises:
            UserError: a device other than the CPU is requested.
        """
        if str(device) not in ("auto", "cpu"):
            raise UserError("an exported model runs on the CPU", "use the run that it was exported from")
        return self

    def __repr__(self) -> str:
        return f"TextToImage(export of {self.runtime.spec['name']}, drawn from by ONNX Runtime)"

    def _pictures(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        guidance: float | None,
        steps: int | None,
        negatives: Sequence[str] | None,
    ) -> list[Image.Image]:
        rows = self.runtime.text.rows
        negative = None if negatives is None else rows(negatives)
        conditions = rows(prompts).repeat(len(seeds), axis=0)
        return pictures_of(self.runtime.draw(conditions, [*seeds] * len(prompts), guidance, steps, negative))

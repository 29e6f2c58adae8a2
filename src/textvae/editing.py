"""What else a trained model can do with text and pictures: blend prompts, edit a picture, fill in a hole."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from textvae.pipeline import TextToImage, unit_interval
from textvae.priors import FlowPrior, SamplingOptions
from textvae.priors.flow.solvers import MAX_STEPS
from textvae.utils.errors import UserError
from textvae.utils.files import written_whole
from textvae.utils.images import to_pil, to_uint8

FRESH = 8
"""Pictures of the new words that an edit is compared with."""


def interpolate(
    generator: TextToImage, first: str, second: str, frames: int = 16, seed: int = 0, guidance: float | None = None
) -> list[Image.Image]:
    """Pictures from one prompt to another, all of the same noise.

    Conditions that are numbers are blended. Words can't be: with them, the flow goes in the direction that lies between
    those of the two prompts.

    Raises:
        UserError: fewer than two frames, or the model reads words and has no flow prior.
    """
    if frames < 2:
        raise UserError(f"{frames} frames lead nowhere", "ask for two or more")
    conditions = generator.text.encode([first, second])
    start, end = conditions[:1], conditions[1:]
    seeds = [seed] * frames
    share = torch.linspace(0, 1, frames)
    if start.is_floating_point():
        blend = share.view(-1, *(1 for _ in start.shape[1:]))
        return to_pil(generator.draw(torch.lerp(start, end, blend), seeds, SamplingOptions(guidance)))
    flow_of(generator)
    drawn = [generator.draw(start, [seed], SamplingOptions(guidance, towards=end, share=float(a))) for a in share]
    return to_pil(torch.cat(drawn))


@dataclass(frozen=True)
class Edit:
    """A picture before and after its words were changed."""

    before: Image.Image
    """As the model sees it: encoded and decoded."""
    after: Image.Image
    change: float
    """Root mean squared difference of the two, pixels in [0, 1]."""
    fresh_change: float
    """The same against pictures that are drawn for the new words from other noise: what an edit would be worth that
    keeps nothing."""

    @property
    def kept(self) -> float:
        """1 where nothing changed, 0 where as much changed as between strangers."""
        return 1 - self.change / self.fresh_change


def edit(
    generator: TextToImage, image: UInt8[Tensor, "c h w"], before: str, after: str, guidance: float | None = None
) -> Edit:
    """The picture with other words: the flow is run back to its noise with the old ones, and forth with the new.

    Raises:
        UserError: the model has no flow prior, or the picture is of another size.
    """
    conditions = generator.text.encode([before, after])
    old, new = conditions[:1], conditions[1:]
    seen, noise = inverted(generator, image[None], old)
    changed = redrawn(generator, noise, new, guidance)
    fresh = generator.draw(new.repeat_interleave(FRESH, 0), range(FRESH), SamplingOptions(guidance))
    return Edit(to_pil(seen)[0], to_pil(changed)[0], distance(seen, changed), distance(seen, fresh))


def inverted(
    generator: TextToImage, images: UInt8[Tensor, "n c h w"], condition: Tensor
) -> tuple[UInt8[Tensor, "n c h w"], Float[Tensor, "n *latent"]]:
    """Images as the model sees them, and the noise that the flow draws them from under their conditions.

    Raises:
        UserError: as ``edit``.
    """
    flow, model = flow_of(generator), generator.model
    generator.check_size(images)
    condition = condition.to(generator.device)
    with torch.no_grad():
        latent = model.posterior(unit_interval(images, generator.device), condition).mean
        return to_uint8(model.decode(latent, condition).mean), flow.noise_of(latent, condition)


def redrawn(
    generator: TextToImage, noise: Float[Tensor, "n *latent"], condition: Tensor, guidance: float | None = None
) -> UInt8[Tensor, "n c h w"]:
    """What the flow makes of the noise of ``inverted`` under other conditions."""
    with torch.no_grad():
        return to_uint8(
            generator.model.sample(condition.to(generator.device), noise, SamplingOptions(guidance, steps=MAX_STEPS))
        )


def inpaint(
    generator: TextToImage,
    image: UInt8[Tensor, "c h w"],
    hole: Bool[Tensor, "rows columns"],
    prompt: str,
    num_images: int = 8,
    seed: int = 0,
    guidance: float | None = None,
) -> list[Image.Image]:
    """Pictures that are the given one outside of ``hole``, and in it what fits there and the prompt.

    Raises:
        UserError: the model has no flow prior over a grid of latents, or the sizes do not fit, or nothing is known or
            nothing missing.
    """
    flow, model = flow_of(generator), generator.model
    generator.check_size(image[None])
    if len(flow.latent_shape) != 3:
        raise UserError("this model's latents have no place in the image", "choose a model with spatial latents")
    if hole.shape != image.shape[1:]:
        raise UserError(f"the mask is {tuple(hole.shape)}, the image {tuple(image.shape[1:])}", "scale the mask")
    # A latent is known where all of its patch is.
    missing = F.adaptive_max_pool2d(hole.float()[None, None], flow.latent_shape[1:]) > 0
    if not hole.any() or missing.all():
        raise UserError("the mask leaves nothing to fill in, or nothing to go by", "black is kept, white is filled in")
    condition = generator.text.encode([prompt]).repeat_interleave(num_images, 0).to(generator.device)
    # Grey in the hole, so that the encoder is told nothing of what is there.
    pixels = unit_interval(image[None], generator.device).masked_fill(hole.to(generator.device), 0.5)
    seeds = [torch.Generator().manual_seed(number) for number in range(seed, seed + num_images)]

    def noise() -> Tensor:
        return torch.stack([torch.randn(flow.latent_shape, generator=own) for own in seeds]).to(generator.device)

    with torch.no_grad():
        latent = model.posterior(pixels, condition[:1]).mean.expand(num_images, *flow.latent_shape)
        known = ~missing.to(generator.device).expand(num_images, -1, -1, -1)
        filled = to_uint8(
            model.decode(flow.inpaint(latent, known, condition, noise, SamplingOptions(guidance)), condition).mean
        )
    return to_pil(torch.where(hole, filled, image))


def flow_of(generator: TextToImage) -> FlowPrior:
    """The model's flow prior.

    Raises:
        UserError: it has none.
    """
    prior = generator.model.prior
    if not prior.supports_guidance:
        raise UserError(
            f"{type(generator.model).__name__} has no flow prior, which this needs",
            "fit one to it: the command that trained it, and --prior flow",
        )
    return cast(FlowPrior, prior)


def save_gif(pictures: list[Image.Image], path: Path, scale: int, seconds: float = 0.1) -> None:
    """An animation there and back, whole or not at all, each pixel enlarged."""
    frames = [p.resize((p.width * scale, p.height * scale), Image.Resampling.NEAREST) for p in pictures]
    frames += frames[-2:0:-1]
    with written_whole(path) as temporary:
        frames[0].save(
            temporary, format="GIF", save_all=True, append_images=frames[1:], duration=int(1000 * seconds), loop=0
        )


def distance(images: UInt8[Tensor, "#n c h w"], others: UInt8[Tensor, "#n c h w"]) -> float:
    """Root mean squared difference of pixels in [0, 1], the mean over images."""
    return float(((images.float() - others.float()) / 255).square().flatten(1).mean(1).sqrt().mean())

"""Editing with a trained model: interpolation between prompts, edits by prompt, inpainting."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from textvae.pipeline import TextToImage
from textvae.priors import FlowPrior, SamplingOptions
from textvae.priors.flow.solvers import MAX_STEPS
from textvae.utils.errors import UserError
from textvae.utils.files import written_whole
from textvae.utils.pixels import fit_image, to_pil, to_uint8, unit_interval
from textvae.utils.random import normals

NUM_FRESH = 8
"""Number of unrelated pictures of the new prompt with which an edit is compared."""
COARSE = 9
"""Number of blending weights at which the change between two prompts is measured first."""
FINEST = 2.0**-14
"""Smallest gap between two blending weights."""

Picture = Image.Image | UInt8[Tensor, "c h w"]
"""A PIL image of any size, or a uint8 tensor of the model's size."""


def interpolate(
    model: TextToImage,
    first: str,
    second: str,
    frames: int = 16,
    seed: int = 0,
    guidance_scale: float | None = None,
) -> list[Image.Image]:
    """Draws a sequence of pictures from one prompt to another, all from the same noise.

    Examples:
        >>> pictures = textvae.interpolate(model, "a dress", "a coat", frames=12)

    If conditions are vectors, they are blended; if they are token ids, the velocities of the flow prior are. At evenly
    spaced weights, most neighbouring pictures would be alike and some would change abruptly. The change is therefore
    measured first, on two to three times as many additional pictures, and weights are chosen such that neighbouring
    pictures differ about equally.

    Args:
        model: a trained model.
        first: prompt of the first picture.
        second: prompt of the last picture.
        frames: number of pictures, first and last included.
        seed: seed of the noise.
        guidance_scale: see ``TextToImage``.

    Raises:
        UserError: fewer than two frames, a prompt cannot be read, or the model takes token ids and has no flow prior.
    """
    if frames < 2:
        raise UserError(f"{frames} frames are too few for both ends", "choose two or more")
    draw = _blended(model, first, second, seed, guidance_scale)
    return to_pil(draw(even_weights(draw, frames)))


def _blended(
    model: TextToImage, first: str, second: str, seed: int, guidance_scale: float | None
) -> Callable[[Sequence[float]], UInt8[Tensor, "n c h w"]]:
    """A function that draws pictures between two prompts, given the weights of the second prompt."""
    conditions = model.text.encode([first, second])
    start, end = conditions[:1], conditions[1:]

    def blend_vectors(weights: Sequence[float]) -> Tensor:
        weight = torch.tensor(weights).view(-1, *(1 for _ in start.shape[1:]))
        return model.draw(torch.lerp(start, end, weight), [seed] * len(weights), SamplingOptions(guidance_scale))

    def blend_velocities(weights: Sequence[float]) -> Tensor:
        options = [SamplingOptions(guidance_scale, second_condition=end, weight=float(weight)) for weight in weights]
        return torch.cat([model.draw(start, [seed], sampling) for sampling in options])

    if start.is_floating_point():
        return blend_vectors
    flow_of(model)
    return blend_velocities


def even_weights(draw: Callable[[Sequence[float]], UInt8[Tensor, "n c h w"]], frames: int) -> list[float]:
    """Blending weights from 0 to 1 at which neighbouring pictures are about equally far apart in pixels.

    Intervals over which the picture changes by more than the mean change per frame are halved, until none is left or
    ``2 * frames`` weights have been added.
    """
    weights = np.linspace(0, 1, COARSE).tolist()
    pictures = draw(weights)
    while True:
        steps = _distances(pictures[1:], pictures[:-1])
        wide = [
            i
            for i, step in enumerate(steps.tolist())
            if step > steps.sum() / (frames - 1) and weights[i + 1] - weights[i] > FINEST
        ]
        # The widest gaps first, where not all can be afforded.
        wide = sorted(sorted(wide, key=lambda i: -steps[i])[: max(0, COARSE + 2 * frames - len(weights))])
        if not wide:
            break
        between = [(weights[i] + weights[i + 1]) / 2 for i in wide]
        order = np.argsort([*weights, *between], kind="stable")
        pictures = torch.cat([pictures, draw(between)])[order]
        weights = np.sort([*weights, *between]).tolist()
    travelled = np.concatenate([[0.0], np.cumsum(steps.numpy())])
    if travelled[-1] == 0:
        return [i / (frames - 1) for i in range(frames)]
    even = np.interp(np.linspace(0, travelled[-1], frames), travelled, weights)
    return [0.0, *even[1:-1].tolist(), 1.0]


@dataclass(frozen=True)
class Edit:
    """A picture before and after an edit by prompt."""

    before: Image.Image
    """The reconstruction of the given picture by the model."""
    after: Image.Image
    change: float
    """Root mean squared difference of the two, pixels in [0, 1]."""
    fresh_change: float
    """The same difference between ``before`` and pictures drawn for the new prompt from unrelated noise: the change by
    an edit that keeps nothing."""

    @property
    def kept(self) -> float:
        """1 if nothing changed, 0 if as much changed as between unrelated pictures."""
        return 1 - self.change / self.fresh_change


def edit(model: TextToImage, image: Picture, before: str, after: str, guidance_scale: float | None = None) -> Edit:
    """Changes what a picture shows from one prompt to another and keeps the rest.

    Examples:
        >>> changed = textvae.edit(model, Image.open("dress.png"), "a dress", "a coat")
        >>> changed.after.save("coat.png")

    The flow is solved from the picture's latent back to noise under the old prompt, and forwards under the new one.

    Args:
        model: a trained model with a flow prior.
        image: the picture; a PIL image is cropped and scaled to the model's size.
        before: a prompt for what it shows.
        after: a prompt for what it should show.
        guidance_scale: for the new prompt; see ``TextToImage``.

    Raises:
        UserError: the model has no flow prior, a prompt cannot be read, or the picture has the wrong type or size.
    """
    conditions = model.text.encode([before, after])
    old, new = conditions[:1], conditions[1:]
    seen, noise = inverted(model, model.pixels(image), old)
    changed = redrawn(model, noise, new, guidance_scale)
    fresh = model.draw(new.repeat_interleave(NUM_FRESH, 0), range(NUM_FRESH), SamplingOptions(guidance_scale))
    return Edit(to_pil(seen)[0], to_pil(changed)[0], distance(seen, changed), distance(seen, fresh))


def inverted(
    model: TextToImage, images: UInt8[Tensor, "n c h w"], condition: Tensor
) -> tuple[UInt8[Tensor, "n c h w"], Float[Tensor, "n *latent"]]:
    """The reconstructions of images, and the noise from which the flow draws them under their conditions.

    Raises:
        UserError: the model has no flow prior, or the images are of another size.
    """
    flow, vae = flow_of(model), model.model
    model.check_size(images)
    condition = condition.to(model.device)
    with torch.no_grad():
        latent = vae.posterior(unit_interval(images, model.device), condition).mean
        return to_uint8(vae.decode(latent, condition).mean), flow.inverse(latent, condition)


def redrawn(
    model: TextToImage, noise: Float[Tensor, "n *latent"], condition: Tensor, guidance_scale: float | None = None
) -> UInt8[Tensor, "n c h w"]:
    """The images that the flow draws from the noise of ``inverted`` under other conditions."""
    sampling = SamplingOptions(guidance_scale, steps=MAX_STEPS)
    with torch.no_grad():
        return to_uint8(model.model.sample(condition.to(model.device), noise, sampling))


def inpaint(
    model: TextToImage,
    image: Picture,
    mask: Image.Image | Bool[Tensor, "rows columns"],
    prompt: str = "none",
    num_images: int = 8,
    seed: int = 0,
    guidance_scale: float | None = None,
) -> list[Image.Image]:
    """Fills in the masked part of a picture so that it fits the rest and the prompt.

    Examples:
        >>> mask = Image.new("L", picture.size, 0)
        >>> mask.paste(255, (0, picture.height // 2, picture.width, picture.height))
        >>> pictures = textvae.inpaint(model, picture, mask, "a red flower")

    Args:
        model: a trained model with a flow prior over a grid of latents.
        image: the picture; a PIL image is cropped and scaled to the model's size.
        mask: where to fill in: white pixels of a PIL image, which is scaled alike, or True in a tensor of the model's
            size. The rest of the picture is kept.
        prompt: what the whole picture shows. Default: the empty condition.
        num_images: number of fillings.
        seed: seed of the first filling; the others use ``seed + 1``, ``seed + 2``, ...
        guidance_scale: see ``TextToImage``.

    Raises:
        UserError: the model has no flow prior over a grid of latents, an argument has the wrong type or size, or the
            mask is empty or leaves nothing to keep.
    """
    flow, vae = flow_of(model), model.model
    pixels = model.pixels(image)
    hole = hole_of(mask, image, vae.image_shape)
    if len(flow.latent_shape) != 3:
        raise UserError("this model's latents have no position in the image", "choose a model with spatial latents")
    # A latent is known where all of its patch is.
    missing = F.adaptive_max_pool2d(hole.float()[None, None], flow.latent_shape[1:]) > 0
    if not hole.any() or missing.all():
        raise UserError("the mask is empty, or it covers the whole image", "black is kept, white is filled in")
    condition = model.text.encode([prompt]).repeat_interleave(num_images, 0).to(model.device)
    # Grey in the hole, so that the encoder sees nothing of what is there.
    visible = unit_interval(pixels, model.device).masked_fill(hole.to(model.device), 0.5)
    draws = itertools.count()

    def noise() -> Tensor:
        return normals(range(seed, seed + num_images), flow.latent_shape, next(draws)).to(model.device)

    with torch.no_grad():
        latent = vae.posterior(visible, condition[:1]).mean.expand(num_images, *flow.latent_shape)
        known = ~missing.to(model.device).expand(num_images, -1, -1, -1)
        completed = flow.inpaint(latent, known, condition, noise, SamplingOptions(guidance_scale))
        filled = to_uint8(vae.decode(completed, condition).mean)
    return to_pil(torch.where(hole, filled, pixels))


def hole_of(
    mask: Image.Image | Bool[Tensor, "rows columns"], image: Picture, shape: tuple[int, int, int]
) -> Bool[Tensor, "h w"]:
    """The mask in the model's size, True where pixels are to be filled in.

    Raises:
        UserError: the mask has another type, or not the shape of the image.
    """
    if isinstance(mask, Image.Image):
        # A mask of other proportions would be cropped in another way than the image.
        if isinstance(image, Image.Image) and not math.isclose(
            mask.width * image.height, mask.height * image.width, rel_tol=0.02
        ):
            raise UserError(
                f"the mask has {mask.width} x {mask.height} pixels, the image {image.width} x {image.height}",
                "make the mask as large as the image",
            )
        return fit_image(mask, (1, *shape[1:]))[0] > 127
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        kind = str(mask.dtype) if isinstance(mask, Tensor) else type(mask).__name__
        raise UserError(f"the mask is a {kind}", "give a PIL image, or a tensor of booleans")
    if tuple(mask.shape) != shape[1:]:
        raise UserError(f"the mask is {tuple(mask.shape)}, the image {shape[1:]}", "scale the mask to the image's size")
    return mask


def flow_of(model: TextToImage) -> FlowPrior:
    """The flow prior of a model.

    Raises:
        UserError: it has none.
    """
    prior = model.model.prior
    if not prior.supports_guidance:
        raise UserError(
            f"{type(model.model).__name__} has no flow prior, which this needs",
            "train one: repeat the command that trained the model, with --prior flow",
        )
    return cast(FlowPrior, prior)


def save_gif(pictures: list[Image.Image], path: Path, scale: int, seconds: float = 0.1) -> None:
    """Writes an animated GIF that runs forwards and back, atomically, with each pixel enlarged ``scale`` times."""
    frames = [p.resize((p.width * scale, p.height * scale), Image.Resampling.NEAREST) for p in pictures]
    frames += frames[-2:0:-1]
    with written_whole(path) as temporary:
        frames[0].save(
            temporary, format="GIF", save_all=True, append_images=frames[1:], duration=int(1000 * seconds), loop=0
        )


def distance(images: UInt8[Tensor, "#n c h w"], others: UInt8[Tensor, "#n c h w"]) -> float:
    """Root mean squared difference of pixels in [0, 1], averaged over images."""
    return float(_distances(images, others).mean())


def _distances(images: UInt8[Tensor, "#n c h w"], others: UInt8[Tensor, "#n c h w"]) -> Float[Tensor, "#n"]:
    return ((images.float() - others.float()) / 255).square().flatten(1).mean(1).sqrt()

"""Verbs that start from images or two prompts: reconstruct, interpolate, edit, inpaint."""

from pathlib import Path
from typing import Annotated

import tyro

from textvae.cli.made import made_by
from textvae.cli.output import IMAGE_SUFFIXES, output_file
from textvae.cli.shared import (
    Clip,
    Device,
    Guidance,
    Model,
    Output,
    Precision,
    Recipe,
    Scale,
    Seed,
    check_scale,
    check_seed,
    in_range,
    open_model,
)
from textvae.utils.errors import UserError

Image = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")]


def reconstruct(
    model: Model,
    images: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="IMAGE [IMAGE ...]", help_behavior_hint="(required)"),
    ],
    /,
    prompt: str = "none",
    out: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="(default: reconstructed.png)")] = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    recipe: Recipe = None,
    clip: Clip = None,
) -> Output:
    """Encode and decode images: originals above, reconstructions below.

    Args:
        images: Image files, scaled to the model's size, and to grey where the model is grey.
        prompt: What the images show; "none" is unconditional.
        out: Image file to write (.png, .jpg or .webp).

    Examples:
        textvae reconstruct fashion boot.png --prompt "an ankle boot"
    """
    if not images:
        raise UserError("there is nothing to reconstruct", "name one or more image files")
    target = output_file(out, "reconstructed.png", images)
    import torch

    from textvae.utils.images import grid, save_image
    from textvae.utils.pixels import read_picture, to_pil

    run, generator = open_model(model, device, precision, recipe, clip)
    originals = torch.stack([read_picture(path, generator.model.image_shape) for path in images])
    condition = run.recipe.text.encode([prompt]).repeat_interleave(len(images), dim=0)
    decoded = generator.reconstruct_tensors(originals, condition)
    facts = {"recipe": run.recipe.name, "prompt": prompt, "images": [path.name for path in images]}
    metadata = made_by("reconstruct", run, generator.precision, **facts)
    save_image(grid([to_pil(originals), to_pil(decoded)], ["original", "reconstructed"]), target, metadata)
    errors = ((originals.double() - decoded.double()) / 255).square().flatten(1).sum(1).tolist()
    mse_sum = dict(zip(map(str, images), errors, strict=True))
    lines = [f"{name}: squared error {value:.2f}" for name, value in mse_sum.items()]
    return Output({"out": str(target), "mse_sum": mse_sum}, "\n".join([*lines, str(target)]))


def interpolate(
    model: Model,
    first: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FROM")],
    second: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TO")],
    /,
    frames: int = 16,
    seed: Annotated[int, tyro.conf.arg(help="Random seed of the noise, which all images share.")] = 0,
    guidance: Guidance = None,
    out: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="(default: strip.png)")] = None,
    scale: Scale = 2,
    device: Device = "auto",
    precision: Precision = "fp32",
    recipe: Recipe = None,
    clip: Clip = None,
) -> Output:
    """Interpolate between two prompts: a strip or an animation.

    Args:
        first: Prompt of the first image.
        second: Prompt of the last image.
        frames: Images, first and last included.
        out: File to write: a strip (.png, .jpg or .webp) or an animation (.gif).

    Examples:
        textvae interpolate fashion "a dress" "a coat"
        textvae interpolate flowers "a red flower" "a white flower" --out strip.gif
    """
    in_range("--frames", frames, 2, 1000)
    check_seed(seed)
    check_scale(scale)
    target = output_file(out, "strip.png", suffixes=(*IMAGE_SUFFIXES, ".gif"))
    from textvae.editing import interpolate, save_gif
    from textvae.utils.images import grid, save_image

    run, generator = open_model(model, device, precision, recipe, clip)
    images = interpolate(generator, first, second, frames, seed, guidance)
    if target.suffix.lower() == ".gif":
        save_gif(images, target, scale)
    else:
        facts = {"from": first, "to": second, "frames": frames, "seed": seed, "guidance": guidance, "scale": scale}
        metadata = made_by("interpolate", run, generator.precision, **facts)
        save_image(grid([images], None, scale), target, metadata)
    data = {"out": str(target), "first": first, "second": second, "frames": frames, "seed": seed, "model": run.name}
    return Output(data, f"{target}: {frames} images")


def edit(
    model: Model,
    image: Image,
    /,
    before: Annotated[str, tyro.conf.arg(name="from", metavar="PROMPT")],
    after: Annotated[str, tyro.conf.arg(name="to", metavar="PROMPT")],
    guidance: Guidance = None,
    out: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="(default: edited.png)")] = None,
    scale: Scale = 4,
    device: Device = "auto",
    precision: Precision = "fp32",
    recipe: Recipe = None,
    clip: Clip = None,
) -> Output:
    """Edit an image by changing its prompt (models with a flow prior).

    Writes original and edited image side by side.

    Args:
        image: Image file, scaled to the model's size.
        before: What the image shows.
        after: What the edited image should show.
        out: Image file to write (.png, .jpg or .webp).

    Examples:
        textvae edit fashion boot.png --from "an ankle boot" --to "a sneaker"
    """
    check_scale(scale)
    target = output_file(out, "edited.png", [image])
    from textvae.editing import edit
    from textvae.utils.images import grid, save_image
    from textvae.utils.pixels import read_picture

    run, generator = open_model(model, device, precision, recipe, clip)
    made = edit(generator, read_picture(image, generator.model.image_shape), before, after, guidance)
    facts = {"image": image.name, "from": before, "to": after, "guidance": guidance, "scale": scale}
    metadata = made_by("edit", run, generator.precision, **facts)
    save_image(grid([[made.before, made.after]], None, scale), target, metadata)
    data = {"out": str(target), "change": made.change, "fresh_change": made.fresh_change, "kept": made.kept}
    return Output(data, f"{target}: changed by {made.change:.3f}, kept {made.kept:.0%}")


def inpaint(
    model: Model,
    image: Image,
    /,
    mask: Path,
    prompt: str = "none",
    num_images: int = 8,
    seed: Seed = 0,
    guidance: Guidance = None,
    out: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="(default: inpainted.png)")] = None,
    scale: Scale = 2,
    device: Device = "auto",
    precision: Precision = "fp32",
    recipe: Recipe = None,
    clip: Clip = None,
) -> Output:
    """Inpaint the masked part of an image (models with a flow prior).

    Writes the image with its hole, then the inpainted images.

    Args:
        image: Image file, scaled to the model's size.
        mask: Image file of the same proportions, scaled in the same way: white is filled in, black is kept.
        prompt: What the image shows; "none" is unconditional.
        num_images: Images to make.
        out: Image file to write (.png, .jpg or .webp).

    Examples:
        textvae inpaint fashion boot.png --mask mask.png --prompt "a boot"
    """
    in_range("--num-images", num_images, 1, 1000)
    check_seed(seed)
    check_scale(scale)
    target = output_file(out, "inpainted.png", [image, mask])
    from textvae.editing import hole_of, inpaint
    from textvae.utils.images import grid, load_picture, save_image
    from textvae.utils.pixels import to_pil

    picture, white = load_picture(image), load_picture(mask)
    run, generator = open_model(model, device, precision, recipe, clip)
    given, hole = generator.pixels(picture)[0], hole_of(white, picture, generator.model.image_shape)
    images = inpaint(generator, given, hole, prompt, num_images, seed, guidance)
    shown = to_pil(given.masked_fill(hole, 127)[None])
    facts = {"prompt": prompt, "num_images": num_images, "seed": seed, "guidance": guidance, "scale": scale}
    metadata = made_by("inpaint", run, generator.precision, image=image.name, mask=mask.name, **facts)
    save_image(grid([[*shown, *images]], None, scale), target, metadata)
    filled = float(hole.float().mean())
    data = {"out": str(target), "prompt": prompt, "num_images": num_images, "filled": filled}
    return Output(data, f"{target}: {num_images} images, {filled:.0%} of each inpainted")

"""Verbs that draw: generate, chat, reconstruct, interpolate, edit, inpaint."""

from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from textvae.cli.shared import Model, Result, opened, parsed
from textvae.utils.errors import UserError


def generate(arguments: list[str]) -> tuple[Result, str]:
    """Draw pictures for one or more phrases."""

    def options(
        model: Model,
        prompts: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
        label: tuple[str, ...] = (),
        num_images: int = 8,
        seed: int = 0,
        guidance: float | None = None,
        steps: int | None = None,
        negative: str | None = None,
        out: Path = Path("generated.png"),
        scale: int = 2,
        device: str = "cpu",
        precision: Literal["fp32", "bf16"] = "fp32",
    ) -> Result:
        """Draw pictures for one or more phrases, a row each.

        Args:
            model: A run folder or a model that ships with textvae.
            prompts: What to draw, such as "a dress" "an ankle boot".
            label: Class names taken literally, without reading a phrase; "none" is no class at all.
            num_images: Pictures a phrase.
            seed: Of the first picture in each row; the others count on.
            guidance: How much is made of the phrase; default: the model's. As the next two, for flow priors only.
            steps: From noise to picture; more are slower; default: the model's.
            negative: A phrase to be led away from.
            out: The PNG to write, with phrase, seed and model in its text chunks.
            scale: Enlargement of each pixel.
            device: auto, cpu, cuda or cuda:N.
            precision: Of the arithmetic; bf16 is faster where the processor has it, and a few grey levels off.
        """
        if not prompts and not label:
            raise UserError("there is nothing to draw", 'give a phrase, such as "a dress"')
        if scale < 1:
            raise UserError(f"scale {scale} shows nothing", "use 1 or more")
        from textvae.pipeline import TextToImage
        from textvae.runs.run import open_run
        from textvae.utils.device import choose_execution
        from textvae.utils.images import grid, save_image

        run = open_run(model)
        generator = TextToImage.load(run, choose_execution(device).device, precision)
        literal = [_literal_label(run.recipe.text, name) for name in label]
        phrases = [*prompts, *literal]
        pictures = generator(phrases, num_images, seed, guidance, steps, negative)
        rows = [pictures[i : i + num_images] for i in range(0, len(pictures), num_images)]
        facts = {"prompt": " | ".join(phrases), "seed": str(seed), "model": run.name, "recipe": run.recipe.name}
        led = {"guidance": guidance, "steps": steps, "negative": negative}
        facts |= {key: str(value) for key, value in led.items() if value is not None}
        if precision != "fp32":
            facts["precision"] = precision
        save_image(grid(rows, phrases, scale), out, facts)
        return {"out": str(out), "prompts": phrases, "num_images": num_images, "seed": seed, "model": run.name}

    result = parsed("generate", options, arguments)
    return result, f"{result['out']}: {len(result['prompts'])} x {result['num_images']} pictures"


def _literal_label(text: Any, name: str) -> str:
    from textvae.text.base import NONE

    known = [*getattr(text, "class_names", ()), NONE]
    if name not in known:
        raise UserError(f"there is no label {name!r}", f"labels: {', '.join(known)}")
    return name


def chat(arguments: list[str]) -> tuple[Result, str]:
    """Type captions and get pictures, in the terminal and on disk."""

    def options(
        model: Model,
        out: Path = Path("chat"),
        num_images: int = 4,
        seed: int = 0,
        device: str = "cpu",
    ) -> Result:
        """Type captions and get pictures, in the terminal and on disk. Ctrl-D, quit or :q leaves; :help tells more.

        Args:
            model: A run folder or a model that ships with textvae.
            out: Folder for the PNG files, one a caption.
            num_images: Pictures a caption.
            seed: Of the first picture of each caption.
            device: auto, cpu, cuda or cuda:N.
        """
        from textvae.cli.chat import chat
        from textvae.pipeline import TextToImage
        from textvae.runs.run import open_run
        from textvae.utils.device import choose_execution

        run = open_run(model)
        generator = TextToImage.load(run, choose_execution(device).device)
        done = chat(generator, out, num_images, seed, {"model": run.name, "recipe": run.recipe.name})
        return {"files": [str(file) for file in done.files], "errors": done.errors}

    result: Result = parsed("chat", options, arguments)
    return result, f"{len(result['files'])} pictures, {result['errors']} lines not understood"


def reconstruct(arguments: list[str]) -> tuple[Result, str]:
    """Encode and decode image files: originals above, reconstructions below."""

    def options(
        model: Model,
        images: Annotated[tuple[Path, ...], tyro.conf.Positional],
        prompt: str = "none",
        out: Path = Path("reconstructed.png"),
        device: str = "cpu",
    ) -> Result:
        """Encode and decode image files: originals above, reconstructions below.

        Args:
            model: A run folder or a model that ships with textvae.
            images: Picture files; they are scaled to the model's size, grey where the model is.
            prompt: What they show, in the model's words; "none" says nothing.
            out: The PNG to write.
            device: auto, cpu, cuda or cuda:N.
        """
        if not images:
            raise UserError("there is nothing to reconstruct", "name one or more image files")
        from textvae.pipeline import TextToImage
        from textvae.runs.run import open_run
        from textvae.utils.device import choose_execution
        from textvae.utils.images import grid, read_picture, save_image, to_pil

        run = open_run(model)
        generator = TextToImage.load(run, choose_execution(device).device)
        import torch

        originals = torch.stack([read_picture(path, generator.model.image_shape) for path in images])
        condition = run.recipe.text.encode([prompt]).repeat_interleave(len(images), dim=0)
        again = generator.reconstruct_tensors(originals, condition)
        facts = {"prompt": prompt, "model": run.name, "recipe": run.recipe.name}
        save_image(grid([to_pil(originals), to_pil(again)], ["original", "reconstructed"]), out, facts)
        errors = ((originals.double() - again.double()) / 255).square().flatten(1).sum(1)
        return {"out": str(out), "mse_sum": dict(zip(map(str, images), errors.tolist(), strict=True))}

    result = parsed("reconstruct", options, arguments)
    rows = [f"{name}: squared error {value:.2f}" for name, value in result["mse_sum"].items()]
    return result, "\n".join([*rows, result["out"]])


def interpolate(arguments: list[str]) -> tuple[Result, str]:
    """Draw the way from one phrase to another, as a strip or an animation."""

    def options(
        model: Model,
        first: Annotated[str, tyro.conf.Positional],
        second: Annotated[str, tyro.conf.Positional],
        frames: int = 16,
        seed: int = 0,
        guidance: float | None = None,
        out: Path = Path("strip.png"),
        scale: int = 2,
        device: str = "cpu",
    ) -> Result:
        """Draw the way from one phrase to another, all of the same noise.

        Args:
            model: A run folder or a model that ships with textvae.
            first: Where it begins.
            second: Where it ends.
            frames: Pictures on the way, both ends included.
            seed: Of the noise.
            guidance: How much is made of the phrases; default: the model's.
            out: A .png (a strip) or .gif (an animation) to write.
            scale: Enlargement of each pixel.
            device: auto, cpu, cuda or cuda:N.
        """
        if out.suffix.lower() not in (".png", ".gif"):
            raise UserError(f"{out} is neither a .png nor a .gif", "name the file strip.png or strip.gif")
        from textvae.editing import interpolate, save_gif
        from textvae.utils.images import grid, save_image

        run, generator = opened(model, device)
        pictures = interpolate(generator, first, second, frames, seed, guidance)
        if out.suffix.lower() == ".gif":
            save_gif(pictures, out, scale)
        else:
            facts = {"prompt": f"{first} | {second}", "seed": str(seed), "model": run.name}
            save_image(grid([pictures], None, scale), out, facts)
        return {"out": str(out), "first": first, "second": second, "frames": frames, "seed": seed, "model": run.name}

    result = parsed("interpolate", options, arguments)
    return result, f"{result['out']}: {result['frames']} pictures"


def edit(arguments: list[str]) -> tuple[Result, str]:
    """Change what a picture shows, from one phrase to another, and keep the rest."""

    def options(
        model: Model,
        image: Annotated[Path, tyro.conf.Positional],
        before: Annotated[str, tyro.conf.arg(name="from")],
        after: Annotated[str, tyro.conf.arg(name="to")],
        guidance: float | None = None,
        out: Path = Path("edited.png"),
        scale: int = 4,
        device: str = "cpu",
    ) -> Result:
        """Change what a picture shows: before and after side by side, and how much was kept.

        Args:
            model: A run folder or a model that ships with textvae, with a flow prior.
            image: A picture file; it is scaled to the model's size.
            before: What it shows, in the model's words.
            after: What it shall show.
            guidance: How much is made of the new words; default: the model's.
            out: The PNG to write.
            scale: Enlargement of each pixel.
            device: auto, cpu, cuda or cuda:N.
        """
        from textvae.editing import edit
        from textvae.utils.images import grid, read_picture, save_image

        run, generator = opened(model, device)
        made = edit(generator, read_picture(image, generator.model.image_shape), before, after, guidance)
        facts = {"prompt": f"{before} | {after}", "model": run.name}
        save_image(grid([[made.before, made.after]], None, scale), out, facts)
        return {"out": str(out), "change": made.change, "fresh_change": made.fresh_change, "kept": made.kept}

    result = parsed("edit", options, arguments)
    return result, f"{result['out']}: changed by {result['change']:.3f}, kept {result['kept']:.0%}"


def inpaint(arguments: list[str]) -> tuple[Result, str]:
    """Fill in the part of a picture that a mask leaves open."""

    def options(
        model: Model,
        image: Annotated[Path, tyro.conf.Positional],
        mask: Path,
        prompt: str = "none",
        num_images: int = 8,
        seed: int = 0,
        guidance: float | None = None,
        out: Path = Path("completed.png"),
        scale: int = 2,
        device: str = "cpu",
    ) -> Result:
        """Fill in the part of a picture that a mask leaves open: the picture with its hole, then fillings of it.

        Args:
            model: A run folder or a model that ships with textvae, with a flow prior and spatial latents.
            image: A picture file; it is scaled to the model's size.
            mask: A picture file, scaled alike: what is white is filled in, what is black is kept.
            prompt: What the picture shows, in the model's words; "none" says nothing.
            num_images: Fillings.
            seed: Of the first; the others count on.
            guidance: How much is made of the prompt; default: the model's.
            out: The PNG to write.
            scale: Enlargement of each pixel.
            device: auto, cpu, cuda or cuda:N.
        """
        from textvae.editing import inpaint
        from textvae.utils.images import grid, read_picture, save_image, to_pil

        run, generator = opened(model, device)
        shape = generator.model.image_shape
        given, hole = read_picture(image, shape), read_picture(mask, (1, *shape[1:]))[0] > 127
        pictures = inpaint(generator, given, hole, prompt, num_images, seed, guidance)
        shown = to_pil(given.masked_fill(hole, 127)[None])
        facts = {"prompt": prompt, "seed": str(seed), "model": run.name}
        save_image(grid([[*shown, *pictures]], None, scale), out, facts)
        return {"out": str(out), "prompt": prompt, "num_images": num_images, "filled": float(hole.float().mean())}

    result = parsed("inpaint", options, arguments)
    return result, f"{result['out']}: {result['num_images']} fillings of {result['filled']:.0%} of the picture"

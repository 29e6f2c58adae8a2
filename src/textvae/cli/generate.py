"""``generate``: images from text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from textvae.cli.made import made_by, prompt_facts
from textvae.cli.output import check_folder, file_stem, numbered, output_file
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
    read_lines,
)
from textvae.utils.errors import UserError

COLUMNS = 8
"""Images in a row of the grid."""
SCALE = 2
"""Default enlargement of each pixel."""


def generate(
    model: Model,
    prompts: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[PROMPT ...]", help_behavior_hint="")
    ] = (),
    /,
    num_images: int = 8,
    seed: Seed = 0,
    guidance: Guidance = None,
    negative: Annotated[str | None, tyro.conf.arg(help_behavior_hint="(default: none)")] = None,
    steps: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: the model's)")] = None,
    out: Annotated[str | None, tyro.conf.arg(help_behavior_hint="(default: generated.png)")] = None,
    scale: Scale = SCALE,
    label: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="LABEL [LABEL ...]", help_behavior_hint="(default: none)")
    ] = (),
    prompts_file: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="(default: none)")] = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    recipe: Recipe = None,
    clip: Clip = None,
) -> Output:
    """Generate images from text prompts.

    Args:
        prompts: What to generate, such as "a dress" "an ankle boot".
        num_images: Images for each prompt.
        negative: Negative prompt: what guidance moves away from. Flow priors only.
        steps: Number of sampling steps; more are slower. Flow priors only.
        out: File for all images as a labelled grid (.png, .jpg or .webp); or a folder, ending with a slash (images/),
            for one file per image. Prompt, seed and model are stored in the files.
        label: Class names to use directly, without parsing a prompt; "none" is unconditional.
        prompts_file: Text file with more prompts, one a line.

    Examples:
        textvae generate fashion "a dress" "an ankle boot"
        textvae generate flowers "a red flower" --num-images 4 --seed 7 --out red.png
        textvae generate flowers "a flower" --negative "a red flower" --guidance 3
        textvae generate fashion "a dress" --out images/
    """
    in_range("--num-images", num_images, 1, 10_000)
    check_scale(scale)
    check_seed(seed)
    texts = [*prompts, *(read_lines(prompts_file, "prompt") if prompts_file else [])]
    if not texts and not label:
        raise UserError("there is nothing to generate", 'give a prompt, such as "a dress"')
    folder = Path(out) if out is not None and out.endswith(("/", "\\")) else None
    if folder is not None:
        check_folder(folder)
        target = folder
    else:
        target = output_file(None if out is None else Path(out), "generated.png")

    from textvae.utils.processes import processes

    group = processes()
    run, generator = group.in_turn(lambda: open_model(model, device, precision, recipe, clip))
    generator.processes = group
    texts += [_literal_label(run.recipe.text, name) for name in label]
    images = generator(texts, num_images, seed, guidance, steps, negative)
    if not group.first:
        return Output({}, "")
    facts = {"recipe": run.recipe.name, "guidance": guidance, "steps": steps, "negative": negative}
    facts["scale"] = None if scale == SCALE else scale
    metadata = made_by("generate", run, generator.precision, **facts)
    rows = [images[i : i + num_images] for i in range(0, len(images), num_images)]
    if folder is not None:
        files = _save_each(rows, texts, seed, folder, scale, metadata)
    else:
        _save_grid(rows, texts, target, scale, {**metadata, "seed": str(seed), "num_images": str(num_images)})
        files = [target]
    data = {
        "out": str(target),
        "files": list(map(str, files)),
        "prompts": texts,
        "num_images": num_images,
        "seed": seed,
        "model": run.name,
    }
    return Output(data, f"{target}: {len(texts)} x {num_images} images")


def _literal_label(text: Any, name: str) -> str:
    from textvae.text.base import NONE

    known = [*getattr(text, "class_names", ()), NONE]
    if name not in known:
        raise UserError(f"there is no label {name!r}", f"labels: {', '.join(known)}")
    return name


def _save_grid(
    rows: Sequence[Sequence[Any]], prompts: Sequence[str], file: Path, scale: int, metadata: Mapping[str, str]
) -> None:
    from textvae.utils.images import grid, save_image

    shown = [(prompts[r] if i == 0 else "", row[i : i + COLUMNS]) for r, row in enumerate(rows)
             for i in range(0, len(row), COLUMNS)]  # fmt: skip
    sheet = grid([row for _, row in shown], [name for name, _ in shown], scale)
    save_image(sheet, file, {**prompt_facts(prompts), **metadata})


def _save_each(
    rows: Sequence[Sequence[Any]],
    prompts: Sequence[str],
    seed: int,
    folder: Path,
    scale: int,
    metadata: Mapping[str, str],
) -> list[Path]:
    from PIL import Image

    from textvae.utils.images import save_image

    files = []
    for prompt, row in zip(prompts, rows, strict=True):
        for i, image in enumerate(row):
            file = numbered(folder / f"{file_stem(prompt)}-seed{seed + i}.png")
            enlarged = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
            save_image(enlarged, file, {**prompt_facts([prompt]), **metadata, "seed": str(seed + i), "num_images": "1"})
            files.append(file)
    return files

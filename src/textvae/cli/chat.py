"""``chat``: type prompts, get images."""

from pathlib import Path

from textvae.cli.made import made_by
from textvae.cli.output import check_folder
from textvae.cli.shared import Clip, Device, Model, Output, Precision, Recipe, Seed, check_seed, in_range, open_model


def chat(
    model: Model,
    /,
    out: Path = Path("chat"),
    num_images: int = 4,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Precision = "fp32",
    recipe: Recipe = None,
    clip: Clip = None,
) -> Output:
    """Type prompts and get images, in the terminal and as files.

    Ctrl-D, quit or :q leaves; :help lists the commands.

    Args:
        out: Folder for the image files, one for each prompt.
        num_images: Images for each prompt, 1 to 64.

    Examples:
        textvae chat flowers
        textvae chat runs/caption-prior-arithmetic --num-images 8
    """
    in_range("--num-images", num_images, 1, 64)
    check_seed(seed)
    check_folder(out)
    from textvae.cli.conversation import converse

    run, generator = open_model(model, device, precision, recipe, clip)
    done = converse(
        generator, out, num_images, seed, made_by("generate", run, generator.precision, recipe=run.recipe.name)
    )
    data = {"files": [str(file) for file in done.files], "errors": done.errors}
    return Output(data, f"{len(done.files)} files written, {done.errors} lines not understood")

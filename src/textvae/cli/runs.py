"""Verbs about runs: models lists them, plot draws their losses, push uploads one."""

from pathlib import Path
from typing import Annotated, Any

import tyro

from textvae.cli.output import output_file
from textvae.cli.shared import Output

Run = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="Run folder.")]


def models(runs: Path = Path("runs")) -> Output:
    """List the available models with their metrics.

    Lists bundled models and those in the folder of run folders. A terminal with colours also shows sample images.

    Args:
        runs: Folder of run folders.

    Examples:
        textvae models
        textvae models --runs elsewhere/runs
    """
    from textvae.runs.files import CONFIG
    from textvae.runs.find import shipped_models
    from textvae.utils.errors import UserError

    folders = dict(sorted(shipped_models().items()))
    folders |= {str(config.parent): config.parent for config in sorted(runs.glob(f"*/{CONFIG}"))}
    found: dict[str, dict[str, Any]] = {}
    lines = []
    for name, path in folders.items():
        try:
            found[name] = _facts(path)
        except UserError as error:
            found[name] = {"error": error.cause}
        lines += [*_described(name, found[name]), *_thumbnail(path), ""]
    return Output(found, "\n".join(lines).rstrip() or "there are no models")


def _facts(path: Path) -> dict[str, Any]:
    from textvae.models.base import TextVAE
    from textvae.runs.files import METRICS, MODEL
    from textvae.runs.metrics import SHOWN, Metrics, numbers
    from textvae.runs.run import open_run

    run = open_run(path)
    model = run.recipe.outline(with_flow=True)
    measured = Metrics.read(path / METRICS).to_dict() if (path / METRICS).exists() else {}
    weights = path / MODEL
    return {
        "recipe": run.recipe.name,
        "summary": run.recipe.summary,
        "image": list(model.image_shape) if isinstance(model, TextVAE) else None,
        "bytes": weights.stat().st_size if weights.exists() else None,
        "numbers": numbers(measured, (*SHOWN, "classification.accuracy")),
    }


def _described(name: str, facts: dict[str, Any]) -> list[str]:
    if "error" in facts:
        return [f"{name}: {facts['error']}"]
    image = facts["image"]
    parts = [f"{image[2]} x {image[1]} {'grey' if image[0] == 1 else 'colour'}"] if image else []
    parts.append(f"{facts['bytes'] / 1e6:.1f} MB" if facts["bytes"] else "not trained for an epoch yet")
    parts += [f"{key} {value:.3g}" for key, value in facts["numbers"].items()]
    return [f"{name}: {facts['summary']}", f"  {', '.join(parts)}"]


def _thumbnail(path: Path) -> list[str]:
    """The first images of a model, where the terminal can show them."""
    from textvae.cli.terminal import show, shows_images
    from textvae.utils.errors import UserError

    if not shows_images():
        return []
    from textvae.pipeline import TextToImage
    from textvae.runs.run import open_run

    try:
        run = open_run(path)
        return [show(TextToImage.load(run)(run.recipe.prompts[:4]))]
    except UserError:
        return []  # a model that draws nothing, or has no weights yet


def plot(
    run: Run,
    /,
    out: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="(default: loss.png)")] = None,
) -> Output:
    """Plot the losses of a finished or running training.

    The figure has a row for each stage and a panel for each loss term. Needs the extra: pip install 'textvae[figures]'.

    Args:
        out: Image file to write (.png, .jpg or .webp).

    Examples:
        textvae plot runs/label-conv
    """
    target = output_file(out, "loss.png")
    from textvae.runs.loss_curves import plot_losses

    stages = plot_losses(Path(run), target)
    return Output({"out": str(target), "stages": stages}, f"{target}: {', '.join(stages)}")


def push(
    run: Run,
    repository: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="OWNER/NAME")],
    /,
    private: bool = False,
) -> Output:
    """Upload a run to the Hugging Face hub, with its model card.

    Others can then use hf://OWNER/NAME wherever a model is expected. Log in first: hf auth login. Needs the extra:
    pip install 'textvae[hub]'.

    Args:
        repository: Repository on the hub; created if it does not exist.
        private: Make it visible to its owner only.

    Examples:
        textvae push runs/label-conv me/garments
    """
    from textvae.library import push

    address = push(run, repository, private)
    return Output({"address": address, "model": f"hf://{repository}"}, f"{address}\nuse it: hf://{repository}")

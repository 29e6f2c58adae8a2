"""Verbs that export models: export to ONNX, and page for a web page that generates images in the browser."""

from pathlib import Path
from typing import Annotated

import tyro

from textvae.cli.output import check_folder
from textvae.cli.shared import Output, Recipe, TrainedModel


def export(
    model: TrainedModel,
    /,
    out: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="(default: exports/MODEL)")] = None,
    recipe: Recipe = None,
) -> Output:
    """Export a model to ONNX, to draw without torch.

    The folder holds the graphs, the vocabulary and a JSON file that says how to run them. A seed gives the same image
    as in textvae, within one grey level. Needs the extra: pip install 'textvae[export]'.

    Args:
        out: Folder to write.

    Examples:
        textvae export fashion
        textvae export runs/latent-flow-flowers --out exports/mine
    """
    from textvae.export.model import export
    from textvae.runs.run import open_run

    run = open_run(model, recipe)
    folder = out or Path("exports") / run.name
    check_folder(folder)
    spec = export(run, folder)
    size = sum(graph["bytes"] for graph in spec["graphs"].values())
    found = {"out": str(folder), "graphs": spec["graphs"], "bytes": size}
    return Output(found, f"{folder}: {', '.join(spec['graphs'])}; {size / 1e6:.1f} MB")


def page(
    models: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[MODEL ...]", help_behavior_hint="(default: all bundled models that generate images)"),
    ] = (),
    /,
    out: Path = Path("page"),
    webgpu: bool = False,
) -> Output:
    """Write a static web page that draws in the browser.

    Any file server can host it. ONNX Runtime for browsers is fetched once, from its npm package.

    Args:
        models: Run folders, or names of bundled models.
        out: Folder to write.
        webgpu: Let visitors choose WebGPU, which not every browser runs reliably.

    Examples:
        textvae page
        textvae page fashion runs/mine --out site
    """
    check_folder(out)
    from textvae.serve.static_page import write_page

    found = write_page(models, out, webgpu)
    return Output(
        found,
        f"{out}: {', '.join(found['models'])}; a first visit loads at most {found['first_visit_bytes'] / 1e6:.1f} MB\n"
        f"see it: python -m http.server -d {out}",
    )

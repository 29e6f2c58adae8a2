"""``export``: a run or a shipped model to a folder that ONNX Runtime draws from, in Python or in a browser.

The folder holds model.json and one ONNX file for each graph. Nothing in it is executable.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import safetensors.torch

from textvae.data import source
from textvae.export.graphs import graphs_of
from textvae.export.onnx import write_graph
from textvae.exported.spec import FORMAT, SPEC, is_spec, read_spec, text_of
from textvae.models.base import TextVAE
from textvae.priors import FlowPrior
from textvae.recipes.recipe import Recipe
from textvae.runs.files import MODEL
from textvae.runs.run import Run, open_run
from textvae.text.base import NONE
from textvae.utils.errors import UserError
from textvae.utils.files import sha256_of, write_json
from textvae.utils.philox import NOISE
from textvae.utils.progress import say


def export(model: str | Path | Run, out: Path) -> dict[str, Any]:
    """Writes a model to a folder as ONNX graphs with a model.json; returns what model.json holds.

    A model that was exported before, with the same weights and settings, is found and not exported again.

    Raises:
        UserError: there is no such model, it draws nothing, its text encoder is a frozen network, the folder has a
            model.json of something else, or the extra ``export`` is not installed.
    """
    run = model if isinstance(model, Run) else open_run(model)
    network = run.load_model()
    if not isinstance(network, TextVAE):
        raise UserError(f"{run.name} is a {type(network).__name__}: it draws nothing", "choose a model that draws")
    prompts = list(run.recipe.prompts)
    spec = {
        "format": FORMAT,
        "name": run.name,
        "summary": run.recipe.summary,
        "weights": sha256_of(run.path / MODEL),
        "image": list(network.image_shape),
        "latent": list(network.prior.latent_shape),
        "noise": NOISE,
        "text": text_of(run.recipe.text),
        "sampling": _sampling(network),
        "prompts": prompts,
        **_terms(run.recipe),
    }
    if (found := read_spec(out)) is not None:
        graphs = found.pop("graphs")
        if found == spec and all(_is_intact(out, graph) for graph in graphs.values()):
            return {**spec, "graphs": graphs}
    elif (out / SPEC).exists() and not is_spec(out / SPEC):
        raise UserError(f"{out / SPEC} is no file of an export, and would be replaced", "choose another folder")
    # Without it the folder holds no export, so that an interruption cannot leave graphs of two models.
    (out / SPEC).unlink(missing_ok=True)
    condition = run.recipe.text.encode(((prompts or [NONE]) * 3)[:3])
    stored = safetensors.torch.load_file(run.path / MODEL)
    graphs = {}
    for name, graph in graphs_of(network, condition).items():
        say(f"{run.name}: exporting {name}")
        write_graph(graph, out / f"{name}.onnx", stored)
        file = out / f"{name}.onnx"
        graphs[name] = {"file": file.name, "bytes": file.stat().st_size, "sha256": sha256_of(file)}
    spec["graphs"] = graphs
    write_json(out / SPEC, spec)
    return spec


def _is_intact(folder: Path, graph: Mapping[str, Any]) -> bool:
    """Whether the file of a graph is there, as it was written."""
    file = folder / Path(graph["file"]).name
    return file.is_file() and sha256_of(file) == graph.get("sha256")


def _sampling(model: TextVAE) -> dict[str, Any]:
    if not model.prior.supports_guidance:
        return {"kind": "direct"}
    prior = cast(FlowPrior, model.prior)
    config = prior.config
    return {
        "kind": "flow",
        "guidance": config.guidance,
        "guidance_input": config.guidance_input,
        "steps": config.steps,
        "solver": config.solver,
        "spacing": config.spacing,
        "few_step": bool(prior.strides),
    }


def _terms(recipe: Recipe) -> dict[str, str]:
    try:
        data = source(recipe.data)
    except UserError:
        return {}
    return {"data": data.title, "terms": data.terms}

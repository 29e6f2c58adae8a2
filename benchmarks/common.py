"""What the benchmarks share: the machine in words, and where results go."""

import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from textvae.utils.files import write_json

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "src" / "textvae" / "papers" / "measured"


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, and versions."""
    import torch

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return {
        "processor": name,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def summary(values: Sequence[float]) -> dict[str, Any]:
    """All repeats, and the median that is quoted."""
    return {"median": statistics.median(values), "repeats": list(values)}


class Neighbours:
    """How many cores other processes keep busy, from here on."""

    # Two threads that wait for each other on one free core are slower by far more than the half they lost, and not
    # equally so on both sides: with a busy neighbour we have seen the same ratio between 1 and 8.
    ALLOWED = 0.15

    def __init__(self) -> None:
        self._began = self._now()

    def cores(self) -> float | None:
        """Mean since the beginning; None where the system does not tell."""
        (wall, everybody, own), (wall_0, everybody_0, own_0) = self._now(), self._began
        if everybody is None or everybody_0 is None:
            return None
        return round(max(everybody - everybody_0 - (own - own_0), 0.0) / (wall - wall_0), 2)

    @staticmethod
    def _now() -> tuple[float, float | None, float]:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own = sum(usage.ru_utime + usage.ru_stime for usage in usages)
        stat, everybody = Path("/proc/stat"), None
        if stat.exists():
            user, nice, system, _, _, irq, softirq, steal = stat.read_text(encoding="utf-8").split()[1:9]
            ticks = sum(map(int, (user, nice, system, irq, softirq, steal)))
            everybody = ticks / os.sysconf("SC_CLK_TCK")
        return time.monotonic(), everybody, own


def write(name: str, result: Mapping[str, Any], neighbours: Neighbours, out: Path | None) -> None:
    """Writes ``benchmark-NAME.json`` where the package keeps its measured numbers, or elsewhere.

    On a machine that others were using, the package's numbers stay as they are.
    """
    cores = neighbours.cores()
    result = {**result, "machine": {**result["machine"], "other_processes_cores": cores}}
    if out is None and cores is not None and cores > Neighbours.ALLOWED:
        sys.exit(f"not written: other processes kept {cores:g} cores busy meanwhile; again when the machine is quiet")
    path = (out or MEASURED) / f"benchmark-{name}.json"
    write_json(path, result)
    print(f"written: {path}")

"""Shared by the benchmarks: a description of the machine, the load by other processes, and writing of results."""

import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from textvae.utils.cores import usable_cores
from textvae.utils.files import write_json

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "src" / "textvae" / "papers" / "measured"


def machine() -> dict[str, Any]:
    """Processor, cores available to this process, and versions."""
    import torch

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return {
        "processor": name,
        "cores": usable_cores(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def summary(values: Sequence[float]) -> dict[str, Any]:
    """All repeats and their median, which is reported."""
    return {"median": statistics.median(values), "repeats": list(values)}


class Neighbours:
    """Measures how many cores other processes use, from its creation on."""

    # Two threads that share one free core wait for each other and lose more than half of their speed, and not the same
    # on both sides of a comparison: with another busy process, the same ratio varied between 1 and 8.
    ALLOWED = 0.15

    def __init__(self) -> None:
        self._began = self._now()

    def cores(self) -> float | None:
        """Mean number of cores used by others since then; None if the system does not report it."""
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


def write(name: str, result: Mapping[str, Any], neighbours: Neighbours, out: Path | None, timed: bool = True) -> None:
    """Writes ``benchmark-NAME.json`` into the package's folder of measured numbers, or into ``out``.

    If other processes were using the machine, nothing is written into the package, unless no time was measured.
    """
    cores = neighbours.cores()
    result = {**result, "machine": {**result["machine"], "other_processes_cores": cores}}
    if timed and out is None and cores is not None and cores > Neighbours.ALLOWED:
        sys.exit(f"not written: other processes used {cores:g} cores meanwhile; run it again on an idle machine")
    path = (out or MEASURED) / f"benchmark-{name}.json"
    write_json(path, result)
    print(f"written: {path}")

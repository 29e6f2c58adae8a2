"""RESULTS.md, written from stored metrics and never by hand."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from textvae.papers.findings import Stored
from textvae.papers.tables.cells import number, table
from textvae.papers.tables.drawings import paper_d
from textvae.papers.tables.flows import flow, likelihood
from textvae.papers.tables.papers import paper_a, paper_b, paper_c

PREFACE = """# Results

Every number here was written by `textvae reproduce` or a script in `benchmarks/` from a stored metrics file
(`src/textvae/papers/measured/`), which holds the protocol. *published | measured*; a dash means that the source gives
no number, or that ours is absent (its metrics file says why). What the metrics mean:
[docs/metrics.md](docs/metrics.md).
"""


def stored_metrics(folder: Path) -> dict[str, dict[str, Any]]:
    """All metrics files of a folder, by name."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}


def whole(stored: Stored, figures: Path, root: Path) -> str:
    """RESULTS.md: a section for each paper of which something is stored, the judges, the benchmarks."""
    sections = [section(paper, stored) for paper in _SECTIONS]
    pictures = os.path.relpath(figures, root)
    return "\n".join([PREFACE, *(text for text in sections if text)]).replace("FIGURES/", f"{pictures}/")


def section(paper: str, stored: Stored) -> str:
    """One paper's part of the report; empty where nothing of it is stored."""
    return _SECTIONS[paper](stored)


def _judges(stored: Stored) -> str:
    names = [name for name in ("judge-fashion", "judge-digits") if name in stored]
    if not names:
        return ""
    rows = [
        [f"`{name}`", stored[name]["protocol"]["data"], number(stored[name]["classification"]["accuracy"])]
        for name in names
    ]
    return "\n".join(
        [
            "## The judges",
            "",
            "Accuracy on the 10,000 real test images, of the weights that ship (half precision).",
            "",
            table(["judge", "data", "accuracy"], rows),
            "",
        ]
    )


def _benchmarks(stored: Stored) -> str:
    rows = []
    for name, found in stored.items():
        if name.startswith("benchmark-"):
            rows += [[fact["what"], fact["ours"], fact["theirs"], fact["ratio"]] for fact in found["summary"]]
    if not rows:
        return ""
    return "\n".join(
        [
            "## Benchmarks",
            "",
            "`make benchmark`; machine, settings and repeats stand in the metrics files.",
            "",
            table(["what", "textvae", "against", "ratio"], rows),
            "",
        ]
    )


_SECTIONS: Mapping[str, Callable[[Stored], str]] = {
    "a": paper_a,
    "b": paper_b,
    "c": paper_c,
    "d": paper_d,
    "flow": flow,
    "likelihood": likelihood,
    "judges": _judges,
    "benchmarks": _benchmarks,
}

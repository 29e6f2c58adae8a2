"""RESULTS.md, and the table in README.md, written from stored metrics alone and never by hand."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from textvae.papers.stored import Stored, stored_metrics
from textvae.papers.tables.digits import paper_d
from textvae.papers.tables.flows import flow, likelihood
from textvae.papers.tables.judges import benchmarks, judges
from textvae.papers.tables.papers import paper_a, paper_b, paper_c
from textvae.papers.tables.peers import peers
from textvae.utils.errors import UserError
from textvae.utils.files import write_text

PREFACE = """# Results

Every number on this page comes from a metrics file in `src/textvae/papers/measured/`, which also states the protocol.
`textvae reproduce` and the scripts in `benchmarks/` write these files, and this page is generated from them. A bar
in a cell separates *published | measured*. A dash means that the paper gives no number, or that none was measured (the
metrics file states the reason). [docs/metrics.md](docs/metrics.md) explains the metrics.

Numbers with ± are means and standard deviations over seeds. A difference is called *significant* if the means differ by
more than three standard errors; *one seed* means that this could not be tested, because at least one of the two models
was trained with a single seed.

A claim of a paper *holds*, *holds in part* or *does not hold* by the numbers behind it: by significant differences, by
trends that go the same way at every step, or, where images should show what their caption says, by whether they cover
at least half of the way from chance to real images. It is *undecided* where none of this can be said.
"""
OLD_NOISE = """
Models for which the protocol below the table names no noise were measured with torch's random numbers, before version
0.1.0 made the noise of a seed independent of torch. With the same seeds, they generate different images today.
"""

BEGIN, END = "<!-- measured: benchmarks/time_to_quality.py -->", "<!-- end of measured -->"
"""The marks in README.md."""

SECTIONS: Mapping[str, Callable[[Stored], str]] = {
    "a": paper_a,
    "b": paper_b,
    "c": paper_c,
    "d": paper_d,
    "flow": flow,
    "likelihood": likelihood,
    "judges": judges,
    "benchmarks": benchmarks,
    "peers": peers,
}
"""The sections of RESULTS.md in order; each is empty if nothing of it is stored."""


@dataclass(frozen=True)
class Places:
    """Where results are stored and written."""

    metrics: Path
    """Folder of the stored metrics files."""
    figures: Path
    report: Path
    """RESULTS.md."""
    readme: Path | None = None
    """README.md, where it has a place for the comparison with other packages."""

    @classmethod
    def under(cls, folder: Path) -> "Places":
        """A folder of one's own."""
        return cls(folder / "metrics", folder / "figures", folder / "RESULTS.md")

    @classmethod
    def of_repository(cls, root: Path) -> "Places":
        """A clone of textvae: the metrics that it ships, the figures of its documentation, its RESULTS.md."""
        return cls(
            root / "src" / "textvae" / "papers" / "measured",
            root / "docs" / "figures",
            root / "RESULTS.md",
            root / "README.md",
        )


def write_results(places: Places) -> Stored:
    """Writes RESULTS.md and the table of README.md from all stored metrics, which it returns.

    Nothing is trained or measured.

    Raises:
        UserError: no metrics are stored.
    """
    stored = stored_metrics(places.metrics)
    if not stored:
        raise UserError(f"{places.metrics} holds no metrics", "textvae reproduce b measures some")
    figures = os.path.relpath(places.figures, places.report.parent)
    write_text(places.report, results(stored, figures))
    if places.readme is not None:
        write_text(places.readme, with_peers(places.readme.read_text(encoding="utf-8"), stored))
    return stored


def with_peers(readme: str, stored: Stored) -> str:
    """The text of README.md with what is stored of other packages between its marks.

    Raises:
        ValueError: it has no such marks.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"README.md has no place for the comparison: {BEGIN} ... {END}")
    return f"{before}{begin}\n{section('peers', stored)}{end}{after}"


def results(stored: Stored, figures: str) -> str:
    """The text of RESULTS.md, with links to figures in a folder."""
    rows = [metrics["protocol"] for metrics in stored.values() if "generation" in metrics and "protocol" in metrics]
    old = any("noise" not in protocol for protocol in rows)
    sections = [PREFACE + (OLD_NOISE if old else ""), *(section(paper, stored) for paper in SECTIONS)]
    return "\n".join(text for text in sections if text).replace("FIGURES/", f"{figures}/")


def section(paper: str, stored: Stored) -> str:
    """The section of a paper; empty if nothing of it is stored."""
    return SECTIONS[paper](stored)

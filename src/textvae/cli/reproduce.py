"""``reproduce``: the tables of the papers, trained and measured."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from textvae.cli.shared import Output, in_range
from textvae.utils.citations import PAPERS


def reproduce(
    paper: Annotated[Literal["a", "b", "c", "d", "flow"], tyro.conf.Positional],
    /,
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ROW [ROW ...]", help_behavior_hint="(default: all)")] = (),
    runs: Path = Path("runs"),
    num_samples: int = 10_000,
    repository: Annotated[
        Path | None, tyro.conf.arg(help_behavior_hint="(default: results go to RUNS/results)")
    ] = None,
    tables_only: bool = False,
) -> Output:
    """Train and measure the tables of a paper, and write RESULTS.md.

    Runs that are trained or measured already are not repeated.

    PAPERS

    Args:
        paper: a: MNIST and Fashion-MNIST from one-hot labels. b: Fashion-MNIST, dense against convolutional. Both also:
            photographs from sentences. c: photographs, trained on embeddings of images. d: digits from captions. flow:
            textvae's own models with a flow prior.
        only: Rows of the tables, by name.
        runs: Folder of the run folders.
        num_samples: Test images, and generated images, of each measurement.
        repository: Root of a clone of textvae whose results are to be renewed.
        tables_only: Only write RESULTS.md from the stored metrics: nothing is trained, measured or drawn.

    Examples:
        textvae reproduce b
        textvae reproduce a --only label-conv --num-samples 2000
    """
    in_range("--num-samples", num_samples, 2, 10_000_000)
    from textvae.papers.reproduce import reproduce_paper
    from textvae.papers.results import Places, section, write_results

    places = Places.of_repository(repository) if repository else Places.under(runs / "results")
    if tables_only:
        result = {"report": str(places.report), "table": section(paper, write_results(places))}
    else:
        result = reproduce_paper(paper, runs, places, num_samples, only)
    return Output(result, result["table"])


_PAPERS = "\n\n".join(f"    Paper {letter}: {paper.citation}." for letter, paper in PAPERS.items())
reproduce.__doc__ = (reproduce.__doc__ or "").replace("    PAPERS", _PAPERS)

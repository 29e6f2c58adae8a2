"""``reproduce``: the tables of the papers, trained and measured."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from textvae.cli.shared import Output, in_range
from textvae.utils.citations import PAPERS
from textvae.utils.errors import UserError


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
    trained_only: bool = False,
    full: bool = False,
    dry_run: bool = False,
    photographs: str = "coco",
    clip: Annotated[
        str, tyro.conf.arg(help_behavior_hint="(default: $TEXTVAE_DATA/clip, or openai/clip-vit-base-patch32)")
    ] = "",
) -> Output:
    """Train and measure the tables of a paper, and write RESULTS.md.

    Runs that are trained or measured already are not repeated.

    PAPERS

    Args:
        paper: a: MNIST and Fashion-MNIST from one-hot labels. b: Fashion-MNIST, dense against convolutional. Both also:
            photographs from sentences. c: photographs, trained on embeddings of images. d: digits from captions. flow:
            textvae's own models with a flow prior.
        only: Rows of the tables, by name.
        runs: Folder for the run folders.
        num_samples: Number of test images, and of generated images, for each measurement.
        repository: Root of a clone of textvae in which to update the results.
        tables_only: Only write RESULTS.md, and the table in README.md of the repository, from the stored metrics:
            nothing is trained, measured or drawn.
        trained_only: Train nothing: measure the rows already trained in RUNS and, of unfinished trainings, the epochs
            that they kept.
        full: For a, b and c: run the photograph experiments as published, with MS-COCO, CLIP and the paper's subset,
            image size and epochs. MS-COCO is downloaded if it is missing. Runs and report go to RUNS/full.
        dry_run: Only print the commands for preparation and training; with --full, also an estimate of time and disk
            space.
        photographs: With --full: another set of photographs, or a folder, instead of MS-COCO.
        clip: With --full: CLIP model, a folder or a model of the Hugging Face hub.

    Examples:
        textvae reproduce b
        textvae reproduce a --only clip-grid-64 --num-samples 2000
        textvae reproduce c --dry-run
        textvae reproduce a --only clip-grid-64-scenes --trained-only
        textvae reproduce a --full --dry-run
    """
    in_range("--num-samples", num_samples, 2, 10_000_000)
    if trained_only and (full or tables_only or dry_run):
        raise UserError("--trained-only excludes --full, --tables-only and --dry-run", "choose one of them")
    if full:
        return _full(paper, only, runs, num_samples, dry_run, photographs, clip)
    if clip or photographs != "coco":
        raise UserError("--photographs and --clip require --full", "add --full, or leave them out")
    if dry_run:
        from textvae.papers.plan import plan_rows

        commands = plan_rows(paper, runs, only)
        return Output({"commands": commands}, "\n".join(commands))
    from textvae.papers.reproduce import reproduce_paper
    from textvae.papers.results import Places, section, write_results

    places = Places.of_repository(repository) if repository else Places.under(runs / "results")
    if tables_only:
        result = {"report": str(places.report), "table": section(paper, write_results(places))}
    else:
        result = reproduce_paper(paper, runs, places, num_samples, only, trained_only)
    return Output(result, result["table"])


def _full(
    paper: str, only: tuple[str, ...], runs: Path, num_samples: int, dry_run: bool, photographs: str, clip: str
) -> Output:
    import dataclasses

    from textvae.papers.full import plan_full, reproduce_full

    if not dry_run:
        result = reproduce_full(paper, runs, num_samples, only, photographs, clip)
        return Output(result, result["table"])
    plan = plan_full(paper, runs, only, photographs, clip)
    lines = [
        "Commands:",
        *(f"  {command}" for command in plan.commands),
        "",
        "Estimate for this machine's CPU threads:",
    ]
    lines += [f"  {line}" for line in plan.details]
    lines += [f"  in all: {plan.hours:,.0f} h, {plan.gigabytes:.1f} GB of disk ({plan.free_gigabytes:.0f} GB are free)"]
    return Output(dataclasses.asdict(plan), "\n".join(lines))


_PAPERS = "\n\n".join(f"    Paper {letter}: {paper.citation}." for letter, paper in PAPERS.items())
reproduce.__doc__ = (reproduce.__doc__ or "").replace("    PAPERS", _PAPERS)
